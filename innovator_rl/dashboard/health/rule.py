"""Define what an alert rule is, and evaluate a table of rules.

A rule states what it measures, the threshold that it compares with, and what to do when it fires. Most rules measure a
SQL aggregate over the newest steps (`Aggregate`); all aggregates over one table are one query. The others call a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from innovator_rl.dashboard.health.thresholds import Thresholds
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.runs.run_dir import RunState

Row = dict[str, Any]


@dataclass(kw_only=True)
class RuleContext:
    """A run as the rules see it."""

    session: RunSession
    limits: Thresholds
    state: RunState
    steps: list[int]

    @property
    def now(self) -> list[int]:
        """Return the newest steps."""
        return self.steps[-self.limits.window :]

    @property
    def then(self) -> list[int]:
        """Return the first steps, without any of the newest."""
        return [step for step in self.steps[: self.limits.window] if step not in self.now]

    @property
    def filter(self) -> str:
        """Return the query parameter that selects the newest steps."""
        return f"step={self.now[0]}-{self.now[-1]}" if self.now else ""

    def ask(self, sql: str, steps: list[int]) -> list[Row]:
        """Query the training responses (or groups) of some steps.

        `{where}` stands for the condition.
        """
        low, high = (steps[0], steps[-1]) if steps else (1, 0)
        return self.session.index.query(sql.format(where=f"kind = 'train' AND step BETWEEN {low} AND {high}"))


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a rule measured.

    Attributes:
        value: the measured value; None where it is unknown.
        rows: how many rows behind the value deserve a look, where they can be counted.
        subject: what the rule found (a reason, a term), for its title.
        threshold: the threshold, where it is not a fixed setting.
        fired: whether the alert fires, where comparing the value with the threshold does not decide it alone.
        missing: why the value is unknown, where the rule's own text does not say it.
        advice: what to do, where the rule's own text does not say it.
        query: more query parameters of the link.
    """

    value: float | None
    rows: int | None = None
    subject: str = ""
    threshold: float | None = None
    fired: bool | None = None
    missing: str = ""
    advice: str = ""
    query: str = ""


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A SQL aggregate over the newest steps, and the rows to look at.

    It reads `responses` or `groups`; a condition selects the rows.
    """

    table: str
    value: str
    rows: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One alert rule.

    Attributes:
        id: identifies the rule in the API.
        severity: `error`, `warning` or `info`.
        title: a short name.
        condition: one sentence about what is compared.
        measure: how the value is obtained.
        limit: the setting of `Thresholds` to compare with; empty means 0.
        below: whether the alert fires below the threshold instead of above.
        unit: the unit of value and threshold.
        missing: why the value can be unknown.
        advice: what to do when the alert fires.
        tuning: whether the advice concerns settings; such alerts are silenced while the run does not move.
        view: the page with the rows: `rollouts`, `groups` or `run`.
        query: query parameters of that page, in addition to the newest steps.
    """

    id: str
    severity: str
    title: str
    condition: str
    measure: Aggregate | Callable[[RuleContext], Measurement]
    limit: str = ""
    below: bool = False
    unit: str = "share"
    missing: str = ""
    advice: str = ""
    tuning: bool = True
    view: str = "rollouts"
    query: str = ""


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """A rule with what it measured on a run, and whether it fired."""

    rule: Rule
    title: str
    threshold: float
    value: float | None
    fired: bool
    missing: str
    advice: str
    query: str
    rows: int | None


def evaluate(rules: Sequence[Rule], context: RuleContext) -> list[RuleResult]:
    """Evaluate every rule on a run."""
    aggregates = _aggregates(rules, context)
    return [
        _result(rule, aggregates[rule.id] if isinstance(rule.measure, Aggregate) else rule.measure(context), context)
        for rule in rules
    ]


def _aggregates(rules: Sequence[Rule], context: RuleContext) -> dict[str, Measurement]:
    """Query the aggregates of all rules, once per table."""
    by_table: dict[str, list[tuple[str, Aggregate]]] = {}
    for rule in rules:
        if isinstance(rule.measure, Aggregate):
            by_table.setdefault(rule.measure.table, []).append((rule.id, rule.measure))
    found = {}
    for table, aggregates in by_table.items():
        columns = [f"{one.value} AS {name}_value" for name, one in aggregates]
        columns += [f"count(*) FILTER ({one.rows}) AS {name}_rows" for name, one in aggregates if one.rows]
        row = context.ask(f"SELECT {', '.join(columns)} FROM {table} WHERE {{where}}", context.now)[0]
        for name, _ in aggregates:
            found[name] = Measurement(value=row[f"{name}_value"], rows=row.get(f"{name}_rows"))
    return found


def _result(rule: Rule, measured: Measurement, context: RuleContext) -> RuleResult:
    threshold = measured.threshold
    if threshold is None:
        threshold = float(getattr(context.limits, rule.limit)) if rule.limit else 0.0
    value, fired = measured.value, measured.fired
    if fired is None:
        fired = value is not None and (value < threshold if rule.below else value > threshold)
    query = "" if rule.view == "run" else "&".join(filter(None, (context.filter, rule.query, measured.query)))
    return RuleResult(
        rule=rule,
        title=f"{rule.title}: {measured.subject}" if measured.subject else rule.title,
        threshold=threshold,
        value=value,
        fired=fired,
        missing=measured.missing or rule.missing,
        advice=" ".join(filter(None, (rule.advice, measured.advice))),
        query=query,
        rows=measured.rows,
    )
