"""Serve lists of responses and groups, and downloads of them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from innovator_rl.dashboard.api.models.rollouts import GroupsPage, RolloutsPage
from innovator_rl.dashboard.api.services import Query, Shared, documented, download
from innovator_rl.dashboard.health.alerts import health
from innovator_rl.dashboard.queries.filters import (
    FILTERS,
    GROUP_SORTS,
    MOST_PER_PAGE,
    SORTS,
    one,
    read_filters,
    read_order,
)
from innovator_rl.dashboard.queries.rollouts import HISTOGRAMS, groups_page, narrowed, rollouts_page
from innovator_rl.dashboard.tools.export import FORMATS, export, export_columns, selected
from innovator_rl.dashboard.tools.static_site import static_site
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.dashboard.web.json_response import JsonResponse

PAGE = {"page": "Number of the page, from 1.", "size": f"Rows per page, 50 by default, {MOST_PER_PAGE} at most."}
ROLLOUTS = {
    **FILTERS,
    "sort": f"Column, with a leading `-` for descending; `step` by default: {', '.join(f'`{n}`' for n in SORTS)}.",
    **PAGE,
    "histogram": f"Column of the histogram: {', '.join(f'`{name}`' for name in HISTOGRAMS)} or `none`.",
}
GROUPS = {**FILTERS, "sort": f"Column, as above: {', '.join(f'`{name}`' for name in GROUP_SORTS)}.", **PAGE}
EXPORT = {
    **FILTERS,
    "sort": "Column, as above.",
    "format": f"{', '.join(f'`{name}`' for name in FORMATS)}; `jsonl` by default.",
    "columns": "`all` (default), or `narrow` without prompt and response.",
}
router = APIRouter(tags=["Rollouts"])


@router.get("/api/runs/{run}/rollouts", response_model=RolloutsPage, openapi_extra=documented(ROLLOUTS))
def list_rollouts(run: str, parameters: Query, services: Shared) -> JsonResponse:
    """List the responses that match the filters, with a histogram of one column."""
    session = services.runs.open(run)
    return JsonResponse(rollouts_page(session, services.labels(session), services.searches, parameters))


@router.get("/api/runs/{run}/groups", response_model=GroupsPage, openapi_extra=documented(GROUPS))
def list_groups(run: str, parameters: Query, services: Shared) -> JsonResponse:
    """List the groups in which at least one response matches the filters."""
    session = services.runs.open(run)
    return JsonResponse(groups_page(session, services.labels(session), services.searches, parameters))


@router.get("/api/runs/{run}/export", response_class=StreamingResponse, openapi_extra=documented(EXPORT))
def export_rollouts(run: str, parameters: Query, services: Shared) -> StreamingResponse:
    """Download the responses that match the filters, 100,000 rows at most."""
    session = services.runs.open(run)
    filters = read_filters(parameters, also=("sort", "format", "columns"))
    form, names = one(parameters, "format", "jsonl"), export_columns(one(parameters, "columns", "all"))
    if form not in FORMATS:
        raise RequestError(f"format={form[:40]}: must be one of {', '.join(FORMATS)}")
    narrowed(session, services.labels(session), services.searches, filters)
    places = selected(session, filters, read_order(parameters, SORTS, "step"))
    return download(export(session, places, form, names), FORMATS[form], f"{session.run.name}.{form}")


@router.get("/api/runs/{run}/static", response_class=StreamingResponse, openapi_extra=documented(FILTERS))
def export_static_site(run: str, parameters: Query, services: Shared) -> StreamingResponse:
    """Download the matching groups, 200 at most, as plain HTML pages in a ZIP file.

    The pages open from disk without a server: an index with curves and alerts, and one page per group. They contain no
    script.
    """
    session = services.runs.open(run)
    filters = read_filters(parameters)
    labels = services.labels(session)
    narrowed(session, labels, services.searches, filters)
    alerts = health(session, services.thresholds)["alerts"]
    return download(static_site(session, labels, filters, alerts), "application/zip", f"{session.run.name}.zip")
