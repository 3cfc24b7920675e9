"""Compute a run's curves, one point per step.

They are of all responses and of each domain, with the trainer's own metrics.
"""

from __future__ import annotations

import math
from typing import Any

from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.aliases import current
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.schema import DROP_REASONS, SCORED

GROUP_BY = ("domain", "data_source", "rewarder")
MOST_SERIES = 40
DROPPED = tuple(current("drop_reason", reason)[1] for reason in DROP_REASONS if reason)
STATUSES = ("kept", *DROPPED, "other", "pending")
"""What became of a group; `other` counts groups dropped for a reason that this version does not define."""

Row = dict[str, Any]

RESPONSES = f"""
SELECT step, {{by}} AS series, count(*) AS responses, avg(reward) FILTER ({SCORED}) AS reward,
       quantile_cont(reward, 0.1) FILTER ({SCORED}) AS reward_p10, quantile_cont(reward, 0.9) FILTER ({SCORED}) AS reward_p90,
       avg(coalesce(correct, false)::INT) FILTER ({SCORED}) AS accuracy,
       avg(response_tokens) AS length, quantile_cont(response_tokens, 0.9) AS length_p90,
       avg(coalesce(truncated, false)::INT) AS truncated, avg(entropy) AS entropy, avg(clip_low) AS clip_low,
       avg(clip_high) AS clip_high, avg(gap) AS gap, avg(reward_seconds) AS reward_seconds,
       avg((outcome = 'error' OR generation_status <> 'ok')::INT) AS errors, avg(repetition) AS repetition
FROM responses WHERE kind = ? GROUP BY 1, 2
"""
COUNTED = {
    "kept": "status = 'kept'",
    **{reason: f"drop_reason = '{reason}'" for reason in DROPPED},
    "other": f"drop_reason NOT IN ('', {', '.join(repr(reason) for reason in DROPPED)})",
    "pending": "status = 'pending'",
}
GROUPS = f"""
SELECT step, {{by}} AS series, count(*) AS groups,
       {", ".join(f"count(*) FILTER ({condition}) AS {name}" for name, condition in COUNTED.items())}
FROM groups WHERE kind = ? GROUP BY 1, 2
"""
POINTS = (
    *("responses", "reward", "reward_p10", "reward_p90", "accuracy", "length", "length_p90", "truncated", "entropy"),
    *("clip_low", "clip_high", "gap", "reward_seconds", "errors", "repetition", "groups", *STATUSES),
)


def curves(session: RunSession, kind: str, by: str) -> Row:
    """Return the curves of one kind of rollouts, grouped by a column."""
    if by not in GROUP_BY:
        raise RequestError(f"by={by[:40]}: must be one of {', '.join(GROUP_BY)}")
    return session.cached(("curves", kind, by), ("rollouts", "words", "metrics"), lambda: _curves(session, kind, by))


def _curves(session: RunSession, kind: str, by: str) -> Row:
    found: dict[str, dict[int, Row]] = {}
    for column in (f"coalesce({by}, '')", "'all'"):
        whole = column == "'all'"
        queries = [RESPONSES, GROUPS] if by != "rewarder" or whole else [RESPONSES]
        for query in queries:
            for row in session.index.query(query.format(by=column), [kind]):
                name = "all" if whole else (row["series"] or "none")
                found.setdefault(name, {}).setdefault(row["step"], {}).update(row)
    metrics = {line["step"]: line for line in session.metrics()} if kind == "train" else {}
    steps = sorted({step for rows in found.values() for step in rows} | set(metrics))
    names = sorted(found, key=lambda name: (name != "all", -sum(r.get("responses", 0) for r in found[name].values())))
    series = [
        {"name": name, "points": {point: [found[name].get(step, {}).get(point) for step in steps] for point in POINTS}}
        for name in names[:MOST_SERIES]
    ]
    numeric = sorted({key for line in metrics.values() for key, value in line.items() if "/" in key and _number(value)})
    values = {key: [metrics[s].get(key) if s in metrics else None for s in steps] for key in numeric}
    return {"kind": kind, "by": by, "steps": steps, "series": series, "metrics": values}


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
