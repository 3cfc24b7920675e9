"""Raise alerts about a run.

An alert has a threshold, the measured value and the rows that caused it.

Alerts show where to look after the fact; they are no early warning. A run without a heartbeat, or stuck in a phase, comes
first: until it moves again, advice about settings is silenced. The thresholds are `Thresholds`; a YAML file may override
them (`--health`).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import QueryParams

from innovator_rl.dashboard.health.liveness_rules import LIVENESS_RULES, STALLS
from innovator_rl.dashboard.health.response_rules import RESPONSE_RULES
from innovator_rl.dashboard.health.rule import RuleContext, RuleResult, evaluate
from innovator_rl.dashboard.health.thresholds import Thresholds
from innovator_rl.dashboard.queries.filters import read_filters
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.runs.files import utc_now

SEVERITIES = ("error", "warning", "info")

Row = dict[str, Any]


def health(session: RunSession, limits: Thresholds) -> Row:
    """Return a run's alerts in the order to look at them, and the other rules.

    Those passed, or are unknown.
    """
    steps = session.cached("train-steps", ("rollouts",), lambda: _train_steps(session))
    context = RuleContext(session=session, limits=limits, state=session.run.state(), steps=steps)
    parts = ("rollouts", "words", "metrics")
    responses = session.cached(("alerts", limits), parts, lambda: evaluate(RESPONSE_RULES, context))
    liveness = evaluate(LIVENESS_RULES, context)
    results = [*liveness, *responses]
    stalled = any(result.fired for result in liveness if result.rule.id in STALLS)
    fired = sorted(
        (result for result in results if result.fired),
        key=lambda result: (result.rule.tuning, SEVERITIES.index(result.rule.severity)),
    )
    alerts = [_alert(result, context, stalled) for result in fired]
    counts = {level: sum(a["severity"] == level and not a["silenced"] for a in alerts) for level in SEVERITIES}
    return {
        "checked_at": utc_now(),
        "stalled": stalled,
        "worst": next((level for level in SEVERITIES if counts[level]), None),
        "alerts": alerts,
        "passed": [
            {**_measured(result), "title": result.title, "rule": result.rule.condition}
            for result in results
            if not result.fired and result.value is not None
        ],
        "unknown": [
            {"id": result.rule.id, "title": result.title, "why": result.missing}
            for result in results
            if result.value is None and not result.fired
        ],
        "thresholds": limits.model_dump(),
        "counts": {level: count for level, count in counts.items() if count},
    }


def alert_counts(session: RunSession, limits: Thresholds) -> dict[str, int]:
    """Return the alerts of a run by severity, without the silenced ones."""
    return dict(health(session, limits)["counts"])


def _measured(result: RuleResult) -> Row:
    return {"id": result.rule.id, "threshold": result.threshold, "value": result.value, "unit": result.rule.unit}


def _alert(result: RuleResult, context: RuleContext, stalled: bool) -> Row:
    steps = context.now
    return {
        **_measured(result),
        "severity": result.rule.severity,
        "title": result.title,
        "rule": result.rule.condition,
        "steps": [steps[0], steps[-1]] if steps else None,
        "domain": None,
        "advice": result.advice,
        "silenced": stalled and result.rule.tuning,
        "link": {"view": result.rule.view, "query": result.query},
        "rows": None if result.rows is None else _rows(result, context),
    }


def _rows(result: RuleResult, context: RuleContext) -> int:
    """Count what the link of an alert opens, so that both numbers agree."""
    query = [(name, value) for name, value in parse_qsl(result.query) if name != "sort"]
    filters = read_filters(QueryParams([("kind", "train"), *query]))
    counted = "count(DISTINCT (step, prompt_uid))" if result.rule.view == "groups" else "count(*)"
    sql = f"SELECT {counted} AS n FROM {filters.table} WHERE {filters.where}"
    ask = context.session.index.query
    key = ("alert-rows", result.rule.view, filters.key)
    return context.session.cached(key, ("rollouts", "words"), lambda: int(ask(sql, filters.values)[0]["n"]))


def _train_steps(session: RunSession) -> list[int]:
    rows = session.index.query("SELECT DISTINCT step FROM groups WHERE kind = 'train' ORDER BY step")
    return [row["step"] for row in rows]
