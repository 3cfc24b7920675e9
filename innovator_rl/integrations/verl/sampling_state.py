"""What dynamic sampling knows of a step while it waits: the finished groups, the counts, and whom it reports to.

`dynamic_sampling.py` fills a `SamplingState` per step; the trainer is its `SamplingHooks`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from innovator_rl.integrations.verl.reward_metrics import RewardMetrics

TOLERANCE = 1e-6
"""Two values of the metric closer than this count as equal."""

LOST = "generation_failed"
"""Reason code of a sample that was never generated."""


@dataclass(frozen=True)
class Group:
    """A finished group: the metric of scored samples, the number of others, and where it comes from.

    Attributes:
        uid: key of the prompt group.
        values: what is compared, of the scored samples.
        unscored: number of samples without a score.
        lost: number of those that were never generated.
        source: data source of the prompt.
        step: step in which the group was started.
    """

    uid: str
    values: tuple[float, ...]
    unscored: int = 0
    lost: int = 0
    source: str = ""
    step: int = 0

    @property
    def drop_reason(self) -> str:
        """Why the group would not train; empty where it would."""
        if not self.values and self.lost and self.lost == self.unscored:
            return "failed"
        if len(self.values) + self.unscored < 2:
            return ""
        if not self.values:
            return "unscored"
        if max(self.values) - min(self.values) > TOLERANCE:
            return ""
        if self.values[0] >= 1.0 - TOLERANCE:
            return "all_correct"
        return "all_wrong" if self.values[0] <= TOLERANCE else "all_equal"


@dataclass
class SamplingState:
    """What one call of `sample` has seen so far."""

    wanted: int
    step: int = 0
    submitted: int = 0
    carried_in: int = 0  # groups of `kept` that finished in an earlier step
    kept: dict[str, Group] = field(default_factory=dict)
    fallback: dict[str, Group] = field(default_factory=dict)  # without signal, may complete an exhausted step
    dropped: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)  # of every dropped group, by uid
    started: dict[str, int] = field(default_factory=dict)  # step in which each dropped group was started
    rewards: RewardMetrics = field(default_factory=RewardMetrics)  # of all samples seen, dropped groups too
    fallback_used: int = 0  # groups in `kept` that are fallback ones, because max_rounds was reached
    chosen: tuple[Group, ...] = ()  # what the step trains on, once it is complete
    carried_out: int = 0  # whole groups that stay for the next step
    unfinished: int = 0  # groups that are still being generated when the step is complete
    progress: tuple[int, int] = (0, 0)  # groups that ended, responses in the queue
    last_progress: float = field(default_factory=time.monotonic)
    answered: bool = False  # whether a response arrived since the start or since groups were given up
    remarked: bool = False  # whether the silence since the last response was remarked
    since: dict[str, float] = field(default_factory=dict)  # when each group was first seen in flight
    arrived: set[str] = field(default_factory=set)  # keys of the responses seen
    longest: float = 0.0  # that a response took, from the first sight of its group (seconds)
    response_seconds: float = 0.0  # integral over time of the responses in flight
    seconds: float = 0.0

    def drop(self, uid: str, reason: str, started: int) -> None:
        """Count a group that will not train, with its reason and the step in which it was started."""
        self.dropped[reason] += 1
        self.reasons[uid], self.started[uid] = reason, started

    @property
    def completed(self) -> int:
        """Groups that ended in this step: kept, dropped or failed."""
        return len(self.kept) - self.fallback_used + len(self.reasons) - self.carried_in

    def metrics(self) -> dict[str, float]:
        """Return the metrics `sampling/*` of groups and `domain/*`, `reward/*` of samples.

        The samples of dropped groups count too.
        """
        ages = [self.step - group.step for group in self.chosen] or [0]
        figures = {f"sampling/dropped_{reason}": float(count) for reason, count in sorted(self.dropped.items())}
        figures["sampling/started_groups"] = float(self.submitted)
        figures["sampling/generated_groups"] = float(self.completed)
        figures["sampling/kept_groups"] = float(len(self.kept) - self.fallback_used)
        figures["sampling/fallback_groups"] = float(self.fallback_used)
        figures["sampling/carried_groups"] = float(self.carried_out)
        figures["sampling/unfinished_groups"] = float(self.unfinished)
        figures["sampling/generated_per_trained"] = self.completed / max(1, self.wanted)
        figures["sampling/responses_in_flight"] = self.response_seconds / max(1e-9, self.seconds)
        figures["sampling/staleness_mean"] = sum(ages) / len(ages)
        figures["sampling/staleness_max"] = float(max(ages))
        return figures | self.rewards.metrics()


class SamplingHooks(Protocol):
    """What a sampler reports to, and asks, while it waits for groups."""

    def sampling_progress(self, state: SamplingState, in_flight: int) -> None:
        """Receive the state after each poll; `in_flight` groups are still being generated."""

    def sampling_done(self, state: SamplingState) -> None:
        """Receive the final state once per step, also before an error is raised."""

    def check_health(self) -> None:
        """Raise the cause where a worker died."""

    def lost_prompts(self, in_flight: Collection[str]) -> set[str]:
        """Return those of the prompt groups in flight that nobody generates any more."""

    def last_error(self) -> str:
        """Return the message of the latest failed generation; empty where none failed."""

    def source(self, uid: str) -> str:
        """Return the data source of a prompt group."""

    def notice(self, text: str) -> None:
        """Receive a remark for the user."""

    def stopped_processes(self) -> str:
        """Name the processes of the run that are stopped; empty where none is visibly."""


class NoHooks:
    """Hooks of a sampler that nobody observes."""

    def sampling_progress(self, state: SamplingState, in_flight: int) -> None:
        """Ignore the state."""

    def sampling_done(self, state: SamplingState) -> None:
        """Ignore the state."""

    def check_health(self) -> None:
        """Check nothing."""

    def lost_prompts(self, in_flight: Collection[str]) -> set[str]:
        """Lose nothing."""
        return set()

    def last_error(self) -> str:
        """Return no error."""
        return ""

    def source(self, uid: str) -> str:
        """Return one source for all groups."""
        return ""

    def notice(self, text: str) -> None:
        """Ignore the remark."""

    def stopped_processes(self) -> str:
        """Name none."""
        return ""
