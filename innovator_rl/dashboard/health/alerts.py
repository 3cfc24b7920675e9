"""Alarms about a run: each a rule with a threshold, the value it found, and the rows that fired it.

They say where to look, after the fact; they are no early warning. A run whose writer is silent or stuck is looked at first: until it
moves again, advice about tuning is silenced. Thresholds are `Thresholds`; a YAML file may set others (`--health`).
"""

from __future__ import annotations

from typing import Any

from innovator_rl.dashboard.health.liveness_rules import damaged, lost, silent, stuck
from innovator_rl.dashboard.health.response_rules import RULES
from innovator_rl.dashboard.health.rule import Finding, RuleContext
from innovator_rl.dashboard.health.thresholds import Thresholds
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.runs.files import utc_now
from innovator_rl.runs.run_dir import RunState

Row = dict[str, Any]


def health(session: RunSession, limits: Thresholds) -> Row:
    """The answer of `health`, and `counts` of the alarms by severity."""
    state = session.run.state()
    parts = ("rollouts", "words", "metrics")
    facts = session.cached(("health", limits), parts, lambda: _facts(session, limits, state))
    look = RuleContext(session, limits, state, facts["steps"])
    live = [silent(look), stuck(look), damaged(look), lost(look)]
    stalled = live[0].fired or live[1].fired
    findings = [*live, *facts["findings"]]
    order = {"error": 0, "warning": 1, "info": 2}
    fired = sorted((f for f in findings if f.fired), key=lambda f: (f.tuning, order[f.severity]))
    alarms = [_alarm(finding, look, stalled) for finding in fired]
    counts = {level: sum(a["severity"] == level and not a["silenced"] for a in alarms) for level in order}
    return {
        "checked_at": utc_now(),
        "stalled": stalled,
        "worst": next((level for level in order if counts[level]), None),
        "alarms": alarms,
        "passed": [
            {"id": f.id, "title": f.title, "rule": f.rule, "threshold": f.threshold, "value": f.value, "unit": f.unit}
            for f in findings
            if not f.fired and f.value is not None
        ],
        "unknown": [{"id": f.id, "title": f.title, "why": f.why} for f in findings if f.value is None and not f.fired],
        "thresholds": limits.model_dump(),
        "counts": {level: count for level, count in counts.items() if count},
    }


def _alarm(finding: Finding, look: RuleContext, stalled: bool) -> Row:
    steps = look.now
    return {
        "id": finding.id,
        "severity": finding.severity,
        "title": finding.title,
        "rule": finding.rule,
        "threshold": finding.threshold,
        "value": finding.value,
        "unit": finding.unit,
        "steps": [steps[0], steps[-1]] if steps else None,
        "domain": finding.domain,
        "advice": finding.advice,
        "silenced": stalled and finding.tuning,
        "link": {"view": finding.view, "query": finding.query},
        "rows": finding.rows,
    }


def _facts(session: RunSession, limits: Thresholds, state: RunState) -> Row:
    rows = session.index.ask("SELECT DISTINCT step FROM groups WHERE kind = 'train' ORDER BY step")
    look = RuleContext(session, limits, state, [row["step"] for row in rows])
    return {"steps": look.steps, "findings": [finding for rule in RULES for finding in rule(look)]}
