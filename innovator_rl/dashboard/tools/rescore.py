"""Score recorded responses again and return the recorded score with the new one.

The scoring pool runs the reward functions in killable processes with a deadline. Only installed rewarders can be named,
alone, with parameters or in a formula, because the page must not be able to import code. Programs run in the sandbox, or not
at all where it cannot isolate them: the run's `reward.code_isolation` sets the required level, and `none` counts as
`standard` here.
"""

from __future__ import annotations

import threading
from typing import Any

from innovator_rl.dashboard.runs.config_file import read_config
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.runs.run_dir import RunDir
from innovator_rl.scoring import Score, ScoringPool, registry
from innovator_rl.scoring.rescoring import differs, installed, rescore, rewarder_of, scores_groups

MOST_ROWS = 200
TIMEOUT_SECONDS = 10.0
MOST_CHARS = 1_000  # of a rewarder's name
SKIPPED = "not_generated"

Row = dict[str, Any]
KEY = ("kind", "step", "uid", "sample_index")


class Rescorer:
    """The scoring processes of one server, started when first needed.

    Close it to end them.
    """

    def __init__(self) -> None:
        self._pools: dict[str, ScoringPool] = {}
        self._guard = threading.Lock()

    def rescore(self, session: RunSession, wanted: list[Row], rewarder: str | None) -> Row:
        """Score responses again.

        Args:
            session: the opened run.
            wanted: the keys of 1 to MOST_ROWS responses.
            rewarder: an installed rewarder; None for the recorded one.

        Raises:
            RequestError: for an unknown rewarder or response, or too many of them.
        """
        names = registry.names()
        if rewarder is not None and not _allowed(rewarder):
            raise RequestError(f"unknown rewarder {rewarder[:60]!r}: must be one of {', '.join(names)}")
        if not wanted or len(wanted) > MOST_ROWS:
            raise RequestError(f"rows must name 1 to {MOST_ROWS} responses, got {len(wanted)}")
        pool = self._started(_isolation(session.run))
        rows = [_recorded(session, row) for row in wanted]
        scores: dict[tuple[Any, ...], Score | str] = {_key(row): _obstacle(row, rewarder) for row in rows}
        scorable = [row for row in rows if not scores[_key(row)]]
        for row, score in rescore(pool, _with_neighbors(session, pool, scorable, rewarder), rewarder):
            scores[_key(row)] = score or SKIPPED
        compared = [_compared(row, scores[_key(row)], rewarder) for row in rows]
        return {"rows": compared, "summary": _summary(compared), "rewarders": names}

    def _started(self, isolation: str) -> ScoringPool:
        with self._guard:
            if isolation not in self._pools:
                self._pools[isolation] = ScoringPool(2, TIMEOUT_SECONDS, code_isolation=isolation)
            return self._pools[isolation]

    def close(self) -> None:
        """End the scoring processes."""
        with self._guard:
            while self._pools:
                self._pools.popitem()[1].close()


def _isolation(run: RunDir) -> str:
    config = read_config(run)[0]
    reward = (config or {}).get("reward")
    return "strict" if isinstance(reward, dict) and reward.get("code_isolation") == "strict" else "standard"


def _allowed(rewarder: str) -> bool:
    return len(rewarder) <= MOST_CHARS and installed(rewarder)


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _recorded(session: RunSession, wanted: Row) -> Row:
    found = _read(session, "kind = ? AND step = ? AND prompt_uid = ? AND sample_index = ?", list(_key(wanted)))
    if not found:
        raise RequestError(
            f"response not found: {wanted['sample_index']} of {str(wanted['uid'])[:80]!r} in step {wanted['step']}", 404
        )
    return found[0]


def _read(session: RunSession, condition: str, values: list[Any]) -> list[Row]:
    """Return the responses that meet a condition, with their text.

    `readable` is False where it is lost.
    """
    found = session.index.query(
        f"""SELECT kind, step, prompt_uid, prompt_uid AS uid, sample_index, rewarder, data_source, generation_status AS status,
                   score_value, correct, outcome, reason, extracted, segment, position
            FROM all_responses WHERE {condition} ORDER BY sample_index""",
        values,
    )
    places = [(row.pop("segment"), row.pop("position")) for row in found]
    texts = session.reader.rows(places, ("prompt", "response", "answer", "info"))
    return [
        {**row, "response": None, "readable": place in texts, **texts.get(place, {})}
        for row, place in zip(found, places, strict=True)
    ]


def _obstacle(row: Row, rewarder: str | None) -> str:
    """Return why a response cannot be scored; empty where it can."""
    if not row["readable"]:
        return "damaged_file"
    name = rewarder_of(row, rewarder)
    if not name:
        return SKIPPED if row["status"] != "ok" or row["response"] is None else "unknown_rewarder"
    return "" if _allowed(name) else "unknown_rewarder"


def _with_neighbors(session: RunSession, pool: ScoringPool, rows: list[Row], rewarder: str | None) -> list[Row]:
    """Return `rows` and, where a rewarder compares responses, the rest of the group."""
    together = {name for name in {rewarder_of(row, rewarder) for row in rows} if scores_groups(pool, name)}
    prompts = {(r["kind"], r["step"], r["uid"]) for r in rows if rewarder_of(r, rewarder) in together}
    found = {_key(row): row for row in rows}
    for prompt in sorted(prompts):
        for row in _read(session, "kind = ? AND step = ? AND prompt_uid = ?", list(prompt)):
            if rewarder_of(row, rewarder) in together:
                found.setdefault(_key(row), row)
    return list(found.values())


def _compared(row: Row, score: Score | str, rewarder: str | None) -> Row:
    old = {name: row[name] for name in ("correct", "outcome", "reason", "extracted")} | {"value": row["score_value"]}
    if isinstance(score, str):
        new: Row = {
            "value": None,
            "correct": None,
            "reason": score,
            "extracted": None,
            "outcome": "skipped" if score == SKIPPED else "error",
            "seconds": 0.0,
            "terms": {},
        }
    else:
        new = score.to_dict()
    changed = new["value"] is not None and differs(old, new)
    key = {name: row[name] for name in KEY}
    return {**key, "rewarder": rewarder or row["rewarder"], "old": old, "new": new, "changed": changed}


def _summary(rows: list[Row]) -> Row:
    compared = [row for row in rows if row["new"]["value"] is not None]

    def mean(which: str) -> float | None:
        values = [row[which]["value"] for row in compared if row[which]["value"] is not None]
        return sum(values) / len(values) if values else None

    return {
        "rows": len(rows),
        "changed": sum(row["changed"] for row in rows),
        "newly_correct": sum(row["new"]["correct"] and not row["old"]["correct"] for row in compared),
        "newly_wrong": sum(bool(row["old"]["correct"]) and not row["new"]["correct"] for row in compared),
        "mean_old": mean("old"),
        "mean_new": mean("new"),
        "skipped": sum(row["new"]["outcome"] == "skipped" for row in rows),
        "errors": sum(row["new"]["outcome"] == "error" for row in rows),
    }
