"""Estimate how long stages take, by what has been measured before what the configuration states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from innovator_rl.paper.stage import Stage, StageRecord
from innovator_rl.runs.files import duration

RecordOf = Callable[[Stage], StageRecord | None]


@dataclass(frozen=True)
class Expected:
    """How long a stage is expected to take.

    Attributes:
        seconds: From its start to its end; 0 where nothing says.
        source: Where that comes from.
        measured: Whether it was measured.
    """

    seconds: float
    source: str
    measured: bool = True


def expected(stage: Stage, stages: Sequence[Stage], record_of: RecordOf) -> Expected:
    """Return how long a stage takes: as it last did, or as others of its kind on average, or as the configuration states.

    Args:
        stage: The stage.
        stages: All stages of the path.
        record_of: Returns what is kept of a complete stage.
    """
    if own := record_of(stage):
        return Expected(own.seconds, "time of its last run")
    kind = [one for one in stages if stage.kind and one.kind == stage.kind and one is not stage]
    records = [record for one in kind if (record := record_of(one))]
    if records:
        names = "1 stage" if len(records) == 1 else f"{len(records)} stages"
        return Expected(sum(record.seconds for record in records) / len(records), f"mean of {names} of its kind")
    return Expected(stage.hours * 3600, "hours in the configuration", measured=False)


@dataclass(frozen=True)
class TimeLeft:
    """How long a path still takes.

    Attributes:
        stage: Seconds that the running stage still takes; 0 where it has no estimate.
        later: Seconds of the later stages that have an estimate.
        unknown: Stages without one.
    """

    stage: float
    later: float
    unknown: int

    def after(self, elapsed: float) -> str:
        """Return it in words, `elapsed` seconds later; empty where nothing has an estimate."""
        if not self.stage and not self.later:
            return ""
        left = duration(max(0.0, self.stage - elapsed) + self.later)
        if self.unknown:
            stages = "stage" if self.unknown == 1 else "stages"
            return f", at least {left} left in all, and {self.unknown} {stages} without an estimate"
        return f", about {left} left in all"
