"""What a rule of the health page sees of a run, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from innovator_rl.dashboard.health.thresholds import Thresholds
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.runs.run_dir import RunState

Row = dict[str, Any]


@dataclass
class Finding:
    """What a rule found: a value, or why it knows none."""

    id: str
    severity: str
    title: str
    rule: str
    threshold: float
    value: float | None
    unit: str = "share"
    fired: bool = False
    why: str = ""
    advice: str = ""
    tuning: bool = True
    query: str = ""
    view: str = "rollouts"
    domain: str | None = None
    rows: int | None = None


@dataclass
class RuleContext:
    """A run as the rules see it."""

    session: RunSession
    limits: Thresholds
    state: RunState
    steps: list[int]

    @property
    def now(self) -> list[int]:
        """The newest steps."""
        return self.steps[-self.limits.window :]

    @property
    def then(self) -> list[int]:
        """The first steps, none of them among the newest."""
        return [step for step in self.steps[: self.limits.window] if step not in self.now]

    @property
    def selected(self) -> str:
        """The newest steps as a selection."""
        return f"step={self.now[0]}-{self.now[-1]}" if self.now else ""

    def ask(self, sql: str, steps: list[int]) -> list[Row]:
        """A question about training responses (or groups) of some steps: `{where}` is the condition."""
        low, high = (steps[0], steps[-1]) if steps else (1, 0)
        return self.session.index.ask(sql.format(where=f"kind = 'train' AND step BETWEEN {low} AND {high}"))
