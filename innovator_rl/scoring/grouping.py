"""Score rows in order with any rewarder: one by one, or the responses of a prompt together for a group rewarder."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import Score, ScoreRequest
from innovator_rl.scoring.pool import ScoringPool


def score_rows(
    pool: ScoringPool, requests: Sequence[ScoreRequest], groups: Sequence[Hashable] | None = None
) -> Iterator[Score]:
    """Score requests of one rewarder, one score per request and in order.

    Args:
        pool: The pool that scores.
        requests: Single responses.
        groups: What says which requests are responses to one prompt, for a group rewarder; by default those with the
            same prompt, answer, info and data source are.

    Raises:
        UserError: The rewarder cannot be loaded; nothing was scored.
    """
    if not requests:
        return
    if not require_loaded(pool, requests[0].rewarder)["group"]:
        yield from pool.map(requests)
        return
    members: dict[Hashable, list[int]] = defaultdict(list)
    for position, request in enumerate(requests):
        own = groups[position] if groups is not None else None
        members[own if own is not None else _prompt(request)].append(position)
    place = {position: (key, i) for key, positions in members.items() for i, position in enumerate(positions)}
    scores: dict[Hashable, Future[list[Score]]] = {}
    for key, positions in members.items():
        responses = tuple(requests[position].response for position in positions)
        scores[key] = pool.submit_group(dataclasses.replace(requests[positions[0]], responses=responses))
    for position in range(len(requests)):
        key, i = place[position]
        yield scores[key].result()[i]


def require_loaded(pool: ScoringPool, rewarder: str) -> dict[str, Any]:
    """Return the description of a rewarder.

    Raises:
        UserError: It cannot be loaded.
    """
    about = pool.describe(rewarder)
    if about["problem"]:
        problem = " ".join(about["problem"].split())
        raise UserError(f"rewarder {rewarder!r} cannot be loaded: {problem}; correct it")
    return about


def _prompt(request: ScoreRequest) -> Hashable:
    info = json.dumps(request.info, sort_keys=True, default=repr)
    return request.prompt, request.answer, info, request.data_source


def with_response(request: ScoreRequest, response: str) -> ScoreRequest:
    """Return a request with another response, in the old one's place in its group."""
    responses = tuple(response if other == request.response else other for other in request.responses)
    return dataclasses.replace(request, response=response, responses=responses)
