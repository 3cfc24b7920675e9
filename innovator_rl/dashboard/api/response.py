"""Serve one group, one response, and its tokens."""

from __future__ import annotations

from fastapi import APIRouter

from innovator_rl.dashboard.api.models.response import GroupDetail, ResponseDetail, TokenWindow
from innovator_rl.dashboard.api.response_key import GROUP, RESPONSE, read_group_key, read_response_key
from innovator_rl.dashboard.api.services import Query, Shared, documented, read_again
from innovator_rl.dashboard.queries.filters import whole
from innovator_rl.dashboard.queries.response import group_answer, response_answer
from innovator_rl.dashboard.queries.tokens import MOST_TOKENS, tokens_answer
from innovator_rl.dashboard.web.json_response import JsonResponse

MOST_CHARS = 1_000_000
SHOW_GROUP = {**GROUP, "chars": "Characters of each response, 20,000 by default."}
SHOW_RESPONSE = {
    **RESPONSE,
    "offset": "First character of the text, 0 by default.",
    "limit": f"Characters of the text, 200,000 by default, {MOST_CHARS:,} at most.",
}
SHOW_TOKENS = {
    **RESPONSE,
    "offset": "First token, 0 by default.",
    "limit": f"Number of tokens, 2,000 by default, {MOST_TOKENS:,} at most.",
}
router = APIRouter(tags=["Responses"])


@router.get("/api/runs/{run}/group", response_model=GroupDetail, openapi_extra=documented(SHOW_GROUP, ("step", "uid")))
def show_group(run: str, parameters: Query, services: Shared) -> JsonResponse:
    """Return all responses to one prompt in one step, the best reward first."""
    session, (kind, step, uid) = services.runs.open(run), read_group_key(parameters, ("chars",))
    chars, labels = whole(parameters, "chars", 20_000, 0, MOST_CHARS), services.labels(session)
    return JsonResponse(read_again(session, lambda: group_answer(session, labels, kind, step, uid, chars)))


@router.get(
    "/api/runs/{run}/response",
    response_model=ResponseDetail,
    openapi_extra=documented(SHOW_RESPONSE, ("step", "uid", "sample_index")),
)
def show_response(run: str, parameters: Query, services: Shared) -> JsonResponse:
    """Return everything recorded about one response.

    That is its text, score, molecules, tests, labels and neighbors.
    """
    session, key = services.runs.open(run), read_response_key(parameters, ("offset", "limit"))
    offset = whole(parameters, "offset", 0, 0, 10**10)
    limit, labels = whole(parameters, "limit", 200_000, 0, MOST_CHARS), services.labels(session)
    return JsonResponse(read_again(session, lambda: response_answer(session, labels, *key, offset, limit)))


@router.get(
    "/api/runs/{run}/tokens",
    response_model=TokenWindow,
    openapi_extra=documented(SHOW_TOKENS, ("step", "uid", "sample_index")),
)
def show_tokens(run: str, parameters: Query, services: Shared) -> JsonResponse:
    """Return a window of a response's tokens; 404 where no token data was recorded.

    A series that was not recorded is absent; an entry that is not finite is null.
    """
    session, key = services.runs.open(run), read_response_key(parameters, ("offset", "limit"))
    offset = whole(parameters, "offset", 0, 0, 10**9)
    limit = whole(parameters, "limit", 2_000, 1, MOST_TOKENS)
    return JsonResponse(read_again(session, lambda: tokens_answer(session, *key, offset, limit)))
