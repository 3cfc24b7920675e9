"""Serve rescoring, labels and the SQL console."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from innovator_rl.dashboard.api.models.tools import LabelList, Rescored, Rewarders, SqlHelp, SqlResult, Tags
from innovator_rl.dashboard.api.response_key import Body, ResponseKeyBody, check_recorded
from innovator_rl.dashboard.api.services import Shared
from innovator_rl.dashboard.runs.labels import Row, response_key
from innovator_rl.dashboard.runs.tags import read_tags, write_tags
from innovator_rl.dashboard.tools.sql_console import describe_sql, run_sql
from innovator_rl.dashboard.web.json_response import JsonResponse
from innovator_rl.scoring import registry

router = APIRouter(tags=["Tools"])


class LabelBody(ResponseKeyBody):
    """A label to add to a response, or to remove."""

    label: str = Field(description="The label, at most 40 characters.")
    note: str = Field(default="", description="A note, at most 2,000 characters.")
    remove: bool = Field(default=False, description="Whether to remove the label.")
    author: str = Field(default="", description="Who gives the label, at most 40 characters.")


class TagsBody(Body):
    """All tags of a run."""

    tags: list[str] = Field(max_length=100, description="Up to 20 tags of at most 40 characters.")
    archived: bool = Field(default=False, description="Whether to leave the run out of the list.")


class RescoreBody(Body):
    """Recorded responses to score again."""

    rows: list[ResponseKeyBody] = Field(max_length=1_000, description="1 to 200 responses.")
    rewarder: str | None = Field(
        default=None,
        description="An installed rewarder, with parameters or in a formula; null for the recorded one.",
    )


class SqlBody(Body):
    """One SQL statement."""

    sql: str = Field(description="One SELECT over `responses`, `groups`, `metrics` and `labels`.")


@router.get("/api/rewarders", response_model=Rewarders)
def list_rewarders() -> JsonResponse:
    """List the installed rewarders."""
    return JsonResponse({"rows": registry.names()})


@router.post("/api/runs/{run}/rescore", response_model=Rescored)
def rescore(run: str, body: RescoreBody, services: Shared) -> JsonResponse:
    """Score recorded responses again and return both scores."""
    wanted = [row.model_dump() for row in body.rows]
    return JsonResponse(services.rescorer.rescore(services.runs.open(run), wanted, body.rewarder))


@router.get("/api/runs/{run}/labels", response_model=LabelList)
def list_labels(run: str, services: Shared) -> JsonResponse:
    """List every label of a run."""
    rows = services.labels(services.runs.open(run)).all()
    return JsonResponse(_label_list(rows, rows))


@router.post("/api/runs/{run}/labels", response_model=LabelList)
def put_label(run: str, body: LabelBody, services: Shared) -> JsonResponse:
    """Add a label to a response, or remove it; return the labels of that response.

    Labels are stored in `labels.jsonl` of the run directory. The last line about a response and a label decides.
    """
    session = services.runs.open(run)
    labels, key = services.labels(session), response_key(body.model_dump())
    check_recorded(session, key)
    labels.put(key, body.label, body.note, body.remove, body.author)
    session.changed("labels")
    return JsonResponse(_label_list(labels.of(key), labels.all()))


@router.get("/api/runs/{run}/sql", response_model=SqlHelp)
def show_sql_help(run: str, services: Shared) -> JsonResponse:
    """Return the tables of the SQL console with their columns, and examples."""
    session = services.runs.open(run)
    return JsonResponse(describe_sql(session, services.labels(session)))


@router.post("/api/runs/{run}/sql", response_model=SqlResult)
def query_sql(run: str, body: SqlBody, services: Shared) -> JsonResponse:
    """Run one SELECT over the index, without access to files, for at most 5 seconds."""
    session = services.runs.open(run)
    return JsonResponse(run_sql(session, services.labels(session), body.sql))


@router.post("/api/runs/{run}/tags", response_model=Tags)
def put_tags(run: str, body: TagsBody, services: Shared) -> JsonResponse:
    """Replace the tags of a run, and archive it or bring it back.

    They are stored in `tags.json` of the run directory. An archived run is left out of the list; nothing is deleted.
    """
    directory = services.runs.directory(run).path
    write_tags(directory, body.tags, body.archived)
    return JsonResponse(read_tags(directory))


def _label_list(rows: list[Row], all_rows: list[Row]) -> Row:
    return {"rows": rows, "total": len(rows), "names": sorted({row["label"] for row in all_rows})}
