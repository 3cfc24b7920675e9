"""What today's rewarder says about recorded responses: old judgement beside the new one.

The judging goes through the scoring pool, in killable processes with a deadline. Only installed rewarders can be named: the page
must not be able to import code. Programs are not run (the `code` rewarder answers that it refuses).
"""

from __future__ import annotations

import json
import threading
from typing import Any

from innovator_rl.dashboard.errors import RequestError
from innovator_rl.dashboard.opened import OpenRun
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool, registry

MOST_ROWS = 200
TIMEOUT_SECONDS = 10.0
VALUE_TOLERANCE = 1e-5  # recorded values are 32-bit

Row = dict[str, Any]


class Rescorer:
    """The scoring processes of one server, started when first needed. Close it to end them."""

    def __init__(self) -> None:
        self._pool: ScoringPool | None = None
        self._guard = threading.Lock()

    def rescore(self, opened: OpenRun, wanted: list[Row], rewarder: str | None) -> Row:
        """The answer of `rescore`. Raises `RequestError`."""
        names = registry.names()
        if rewarder is not None and rewarder not in names:
            raise RequestError(f"no rewarder {rewarder[:60]!r} is installed: there are {', '.join(names)}")
        if not wanted or len(wanted) > MOST_ROWS:
            raise RequestError(f"rows: 1 to {MOST_ROWS} responses, got {len(wanted)}")
        rows = [_recorded(opened, row) for row in wanted]
        requests = [_request(row, rewarder, names) for row in rows]
        pool = self._started()
        futures = [pool.submit(request) if isinstance(request, ScoreRequest) else request for request in requests]
        compared = [
            _compared(row, f if isinstance(f, str) else f.result(), rewarder)
            for row, f in zip(rows, futures, strict=True)
        ]
        return {"rows": compared, "summary": _summary(compared), "rewarders": names}

    def _started(self) -> ScoringPool:
        with self._guard:
            if self._pool is None:
                self._pool = ScoringPool(workers=2, timeout_seconds=TIMEOUT_SECONDS)
            return self._pool

    def close(self) -> None:
        """End the scoring processes."""
        with self._guard:
            if self._pool is not None:
                self._pool.close()
                self._pool = None


def _recorded(opened: OpenRun, wanted: Row) -> Row:
    key = [wanted["kind"], wanted["step"], wanted["uid"], wanted["sample"]]
    found = opened.index.ask(
        """SELECT kind, step, prompt_uid AS uid, sample, rewarder, data_source, score_value, correct, reason, extracted, segment, position
           FROM responses WHERE kind = ? AND step = ? AND prompt_uid = ? AND sample = ?""",
        key,
    )
    if not found:
        raise RequestError(
            f"there is no response {wanted['sample']} of {str(wanted['uid'])[:80]!r} in step {wanted['step']}", 404
        )
    place = (found[0].pop("segment"), found[0].pop("position"))
    texts = opened.reader.rows([place], ("prompt", "response", "answer", "info")).get(place)
    return {**found[0], "texts": texts}


def _request(row: Row, rewarder: str | None, names: list[str]) -> ScoreRequest | str:
    """What to judge, or the reason why not."""
    name = rewarder or row["rewarder"]
    if name not in names:
        return "unknown_rewarder"
    texts = row["texts"]
    if texts is None:
        return "damaged_file"
    try:
        info = json.loads(texts["info"]) if texts["info"] else {}
    except (ValueError, RecursionError):
        info = {}
    return ScoreRequest(
        rewarder=name,
        response=texts["response"] or "",
        answer=texts["answer"] or "",
        prompt=texts["prompt"] or "",
        info=info if isinstance(info, dict) else {},
        data_source=row["data_source"] or "",
    )


def _compared(row: Row, score: Score | str, rewarder: str | None) -> Row:
    old = {
        "value": row["score_value"],
        "correct": row["correct"],
        "reason": row["reason"],
        "extracted": row["extracted"],
    }
    if isinstance(score, str):
        new: Row = {
            "value": None,
            "correct": None,
            "reason": score,
            "extracted": None,
            "outcome": "error",
            "seconds": 0.0,
            "terms": {},
        }
    else:
        new = score.to_dict()
    moved = None not in (old["value"], new["value"]) and abs(old["value"] - new["value"]) > VALUE_TOLERANCE
    changed = new["value"] is not None and (moved or bool(old["correct"]) != new["correct"])
    key = {name: row[name] for name in ("kind", "step", "uid", "sample")}
    return {**key, "rewarder": rewarder or row["rewarder"], "old": old, "new": new, "changed": bool(changed)}


def _summary(rows: list[Row]) -> Row:
    judged = [row for row in rows if row["new"]["value"] is not None]

    def mean(which: str) -> float | None:
        values = [row[which]["value"] for row in judged if row[which]["value"] is not None]
        return sum(values) / len(values) if values else None

    return {
        "rows": len(rows),
        "changed": sum(row["changed"] for row in rows),
        "newly_correct": sum(row["new"]["correct"] and not row["old"]["correct"] for row in judged),
        "newly_wrong": sum(bool(row["old"]["correct"]) and not row["new"]["correct"] for row in judged),
        "mean_old": mean("old"),
        "mean_new": mean("new"),
        "errors": sum(row["new"]["outcome"] == "error" for row in rows),
    }
