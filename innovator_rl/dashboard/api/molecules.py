"""Serve pictures and comparisons of molecules."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from innovator_rl.dashboard.api.models.tools import MoleculeComparison
from innovator_rl.dashboard.api.services import Query, Shared, documented
from innovator_rl.dashboard.queries.filters import check_names, one, whole
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.dashboard.web.json_response import JsonResponse

SVG_CSP = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
MOLECULES = {
    "predicted": "The predicted molecule as SMILES or SELFIES.",
    "gold": "The reference molecule as SMILES or SELFIES. One of the two may be absent.",
}
PICTURE = {
    **MOLECULES,
    "theme": "`light` (default) or `dark`.",
    "side": "`both` (default), `predicted` or `gold`.",
    "width": "Width in pixels, 640 by default.",
    "height": "Height in pixels, 300 by default; a picture taller than wide has the molecules one above the other.",
}
router = APIRouter(tags=["Molecules"])


@router.get("/api/molecules", response_model=MoleculeComparison, openapi_extra=documented(MOLECULES))
def compare_molecules(request: Request, parameters: Query, services: Shared) -> JsonResponse:
    """Return validity, formula and similarity of two molecules."""
    figures = services.molecules.figures(*_texts(parameters, MOLECULES))
    return JsonResponse({**figures, "svg": f"/api/molecules.svg?{request.url.query}"})


@router.get("/api/molecules.svg", response_class=Response, openapi_extra=documented(PICTURE))
def draw_molecules(parameters: Query, services: Shared) -> Response:
    """Draw two molecules as `image/svg+xml` with the common part highlighted.

    Both have the same orientation.

    A molecule that cannot be read is drawn as its error.
    """
    predicted, gold = _texts(parameters, PICTURE)
    theme, side = one(parameters, "theme", "light"), one(parameters, "side", "both")
    if theme not in ("light", "dark") or side not in ("both", "predicted", "gold"):
        raise RequestError("theme must be light or dark, side must be both, predicted or gold")
    width, height = whole(parameters, "width", 640, 100, 2_000), whole(parameters, "height", 300, 80, 2_000)
    svg = services.molecules.draw(predicted, gold, theme, side, width, height)
    headers = {"content-security-policy": SVG_CSP, "cache-control": "private, max-age=3600"}
    return Response(svg, media_type="image/svg+xml", headers=headers)


def _texts(parameters: QueryParams, known: dict[str, str]) -> tuple[str, str]:
    check_names(parameters, known)
    predicted, gold = one(parameters, "predicted", ""), one(parameters, "gold", "")
    if not predicted and not gold:
        raise RequestError("predicted or gold must be given: a molecule as SMILES or SELFIES")
    return predicted, gold
