"""Score recorded responses again and compare with the recorded scores.

A row is a dictionary with columns of the rollout record: `status`, `kind`, `step`, `prompt_uid`, `rewarder`,
`data_source`, `prompt`, `response`, `answer` and `info`. The request is the one that the run's reward loop made of the
response.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring import registry
from innovator_rl.scoring.api import TURN_ENDS, Score, ScoreRequest
from innovator_rl.scoring.composite import is_composite, parse
from innovator_rl.scoring.pool import ScoringPool

TOLERANCE = 1e-6  # values are recorded as 32-bit floats
LIMITS = frozenset({"code_isolation", "memory_mb"})
Row = dict[str, Any]


def installed(name: str) -> bool:
    """Return whether every rewarder in a name is installed and keeps the limits.

    Scoring with such a name imports no file of the name's choosing, and runs no program with less isolation than the
    pool requires.
    """
    known = registry.names()
    try:
        parts = [registry.split(part) for part in (parse(name).names if is_composite(name) else (name,))]
    except (UserError, RecursionError, MemoryError):  # the last two: brackets nested beyond what Python's parser takes
        return False
    return all(base in known and LIMITS.isdisjoint(parameters) for base, parameters in parts)


def rewarder_of(row: Mapping[str, Any], reward: str | None) -> str:
    """Return the rewarder for a row: `reward`, or the recorded one.

    The name is empty where there is nothing to score.
    """
    if row["status"] != "ok" or row["response"] is None:
        return ""
    return reward or row["rewarder"] or ""


def request_of(row: Mapping[str, Any], rewarder: str) -> ScoreRequest:
    """Return the request for a recorded response, without the tokens that end a turn."""
    response = row["response"]
    while ends := [end for end in TURN_ENDS if response.endswith(end)]:
        response = response[: -len(ends[0])]
    try:
        info = json.loads(row["info"] or "{}")
    except (ValueError, RecursionError):
        info = {}
    return ScoreRequest(
        rewarder,
        response,
        answer=row["answer"] or "",
        prompt=row["prompt"] or "",
        info=info if isinstance(info, dict) else {},
        data_source=row["data_source"] or "",
    )


def scores_groups(pool: ScoringPool, rewarder: str) -> bool:
    """Return whether a rewarder scores groups; one that cannot be loaded does not."""
    return bool(pool.describe(rewarder).get("group"))


def rescore(pool: ScoringPool, rows: Sequence[Row], reward: str | None) -> Iterator[tuple[Row, Score | None]]:
    """Score recorded rows again.

    A group rewarder gets all rows of one prompt and step together.

    Args:
        pool: The pool that scores.
        rows: Rows of the rollout record.
        reward: The rewarder to use; None for the recorded one of each row.

    Yields:
        Each row with its new score, or None where there was nothing to score, in no particular order.
    """
    groups: dict[str, bool] = {}
    single: list[tuple[Row, ScoreRequest]] = []
    together: dict[tuple[Any, ...], list[tuple[Row, ScoreRequest]]] = defaultdict(list)
    for row in rows:
        name = rewarder_of(row, reward)
        if not name:
            yield row, None
            continue
        if name not in groups:
            groups[name] = scores_groups(pool, name)
        request = request_of(row, name)
        if groups[name]:
            together[name, row["kind"], row["step"], row["prompt_uid"]].append((row, request))
        else:
            single.append((row, request))
    yield from zip([row for row, _ in single], pool.map(request for _, request in single), strict=True)
    for members in together.values():
        whole = dataclasses.replace(members[0][1], responses=tuple(request.response for _, request in members))
        yield from zip([row for row, _ in members], pool.submit_group(whole).result(), strict=True)


def differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return whether two scores differ in value, correctness, outcome or reason."""
    same = all(old[name] == new[name] for name in ("correct", "outcome", "reason"))
    return not same or abs((old["value"] or 0.0) - new["value"]) > TOLERANCE * max(1.0, abs(new["value"]))
