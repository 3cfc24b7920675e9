"""DAPO's dynamic sampling on verl's replay buffer: exact refill, a named end, no fixed poll.

A group whose samples are all right or all wrong has advantage zero and teaches nothing. verl's sampler replaces every dropped group by
two, waits for all of them and throws the surplus away; it looks every two seconds, and on data without any signal it never returns.
`DynamicSampler` is plugged in through `trainer.v1.sampler.custom_sampler` and differs in four ways:

- each dropped or failed group is replaced by one, as soon as it is known: generated / trained is 1 / (share of useful groups), exactly;
- it looks as often as the queue can answer (20 ms and more), so a step does not wait for a clock;
- it ends: after `max_rounds` x batch groups it fills the step with its latest groups without signal (they add no gradient), and when
  not one useful group was found it raises `NoLearningSignal` with the counts;
- it watches: a group that makes no progress for `stall_seconds`, or a dead worker, ends the run with its cause.

Dropping is decided by `correct` (verl's `acc`), not by the reward: overlong shaping gives equally wrong answers different rewards. A
sample without a verdict (abstained, or an infrastructure error) is no wrong answer: it has no say in it, and is counted apart.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from innovator_rl.integrations.verl.reward_metrics import RewardMetrics, judged

TOLERANCE = 1e-6
"""Two values of the metric closer than this count as equal."""

HEALTH_SECONDS = 5.0
"""Between two looks at the workers while waiting."""


class NoLearningSignal(RuntimeError):
    """Every group of a step was all right, all wrong or failed."""


class RolloutStalled(RuntimeError):
    """Generation stopped making progress, or the workers behind it died."""


@dataclass(frozen=True)
class Group:
    """A finished prompt group: the metric of its judged samples, and why it would not train (empty: it would)."""

    uid: str
    values: tuple[float, ...]
    unscored: int = 0

    @property
    def drop_reason(self) -> str:
        if len(self.values) + self.unscored < 2:
            return ""
        if not self.values:
            return "unjudged"
        if max(self.values) - min(self.values) > TOLERANCE:
            return ""
        return (
            "all_correct"
            if self.values[0] >= 1.0 - TOLERANCE
            else "all_wrong"
            if self.values[0] <= TOLERANCE
            else "all_equal"
        )


@dataclass
class SamplingState:
    """What one call of `sample` has seen so far."""

    wanted: int
    submitted: int
    useful: dict[str, Group] = field(default_factory=dict)
    spare: dict[str, Group] = field(default_factory=dict)  # without signal, kept to fill an exhausted step
    dropped: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)  # of every dropped group, by uid
    tally: RewardMetrics = field(default_factory=RewardMetrics)  # of all samples seen, dropped groups too
    filled: int = 0  # useful groups that are spare ones, taken because max_rounds was reached
    last_progress: float = field(default_factory=time.monotonic)

    def drop(self, uid: str, reason: str) -> None:
        """Count a group that will not train, with its reason."""
        self.dropped[reason] += 1
        self.reasons[uid] = reason

    @property
    def settled(self) -> int:
        """Groups whose fate is known."""
        return len(self.useful) - self.filled + len(self.reasons)

    def metrics(self) -> dict[str, float]:
        """`sampling/*` of the step: groups generated, kept, dropped by reason; `domain/*`, `reward/*`: its samples, dropped ones too."""
        figures = {f"sampling/dropped_{reason}": float(count) for reason, count in sorted(self.dropped.items())}
        figures["sampling/generated_groups"] = float(self.settled)
        figures["sampling/useful_groups"] = float(len(self.useful) - self.filled)
        figures["sampling/filled_groups"] = float(self.filled)
        figures["sampling/generated_per_trained"] = self.settled / max(1, self.wanted)
        return figures | self.tally.metrics()


class DynamicSampler(ReplayBuffer):
    """verl's replay buffer with exact dynamic sampling.

    `sampler_kwargs`: `enabled` (false keeps every finished group), `metric` (key of reward_extra_info), `max_rounds`, `stall_seconds`.
    The trainer sets `on_progress(round, in_flight)`, `on_sampled(round)` (once, also before an error), `check_health()` (raises when a
    worker died) and `last_error()` (what a failed generation said).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        options = dict(self.sampler_kwargs or {})
        self.metric: str | None = options.get("metric") if options.get("enabled", True) else None
        self.max_rounds = int(options.get("max_rounds", 10))
        self.stall_seconds = float(options.get("stall_seconds", 600.0))
        self.on_progress: Callable[[SamplingState, int], None] = lambda _round, _in_flight: None
        self.on_sampled: Callable[[SamplingState], None] = lambda _round: None
        self.check_health: Callable[[], None] = lambda: None
        self.last_error: Callable[[], str] = lambda: ""

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[Any, dict[str, float]]:
        """Wait for `batch_size` useful groups of the partition and take them out of the queue.

        Returns verl's (KVBatchMeta, metrics). Validation (partition "val") takes whatever finished, failed groups too.

        Raises:
            NoLearningSignal: `max_rounds` x `batch_size` groups and not one useful.
            RolloutStalled: no group settled for `stall_seconds`, or every group failed.
        """
        state = SamplingState(wanted=batch_size, submitted=batch_size)
        if partition_id == "val":
            self._wait(state, partition_id, self._settle_validation)
            return self._take(state, partition_id), {}
        try:
            self._wait(state, partition_id, self._settle)
        finally:
            self.on_sampled(state)
        self._clear_groups(partition_id, set(state.spare))
        return self._take(state, partition_id), state.metrics()

    def _take(self, state: SamplingState, partition_id: str) -> Any:
        chosen = list(state.useful)[: state.wanted]
        return self._materialize_batch(partition_id, chosen, dict(self.partitions[partition_id]))

    def _wait(self, state: SamplingState, partition_id: str, settle: Callable[[SamplingState, str], int]) -> None:
        """Look, settle and refill until the step is complete."""
        next_health = time.monotonic() + HEALTH_SECONDS
        while True:
            started = time.monotonic()
            self._sync_metadata_from_transfer_queue()
            settled = state.settled
            missing = settle(state, partition_id)
            in_flight = len(self.pending_keys[partition_id]) + len(self.running_keys[partition_id])
            if state.settled > settled:
                state.last_progress = time.monotonic()
            self.on_progress(state, in_flight)
            if len(state.useful) >= state.wanted:
                return
            allowed = min(missing, self.max_rounds * state.wanted - state.submitted)
            if allowed > 0:
                assert self.refill_fn is not None
                state.submitted += self.refill_fn(allowed)
            elif missing > 0 and in_flight == 0:
                self._fill_from_spare(state)
                return
            if time.monotonic() >= next_health:
                self.check_health()
                self._check_stall(state, in_flight, partition_id)
                next_health = time.monotonic() + HEALTH_SECONDS
            time.sleep(min(2.0, max(0.02, 4 * (time.monotonic() - started))))

    def _settle_validation(self, state: SamplingState, partition_id: str) -> int:
        """Every terminal group counts, failed ones too (verl pads their missing samples); nothing is replaced."""
        for uid in sorted(self.finished_keys[partition_id] | self.failure_keys[partition_id]):
            state.useful.setdefault(uid, Group(uid, ()))
        return 0

    def _settle(self, state: SamplingState, partition_id: str) -> int:
        """Sort newly terminal groups into useful and dropped; return how many replacements are owed."""
        known = state.useful.keys() | state.spare.keys()
        failed = self.failure_keys[partition_id] - known
        for uid in failed:
            state.drop(uid, "failed")
        self._clear_groups(partition_id, set(failed))
        if state.dropped["failed"] >= state.wanted and state.dropped["failed"] == state.settled:
            raise RolloutStalled(
                f"all of the first {state.settled} prompt groups failed to generate; the last error: "
                f"{self.last_error() or 'none was reported'}"
            )
        for group in self._finished_groups(state, partition_id, self.finished_keys[partition_id] - known):
            reason = group.drop_reason if self.metric is not None else ""
            if not reason:
                state.useful[group.uid] = group
                continue
            state.drop(group.uid, reason)
            state.spare[group.uid] = group
            if len(state.spare) > state.wanted:
                oldest = next(iter(state.spare))
                del state.spare[oldest]
                self._clear_groups(partition_id, {oldest})
        return (
            state.wanted
            - len(state.useful)
            - len(self.pending_keys[partition_id])
            - len(self.running_keys[partition_id])
        )

    def _finished_groups(self, state: SamplingState, partition_id: str, uids: set[str]) -> list[Group]:
        """Read and count every sample of `uids`; groups in the order of their prompts."""
        keys = sorted(key for key in self.partitions[partition_id] if key.split("_")[0] in uids)
        if not keys:
            return []
        values: dict[str, list[float]] = defaultdict(list)
        unscored: Counter[str] = Counter()
        data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["extra_fields"])
        for key, extra in zip(keys, list(data["extra_fields"]), strict=True):
            extra = getattr(extra, "data", extra)
            info = extra.get("reward_extra_info", {}) if isinstance(extra, dict) else {}
            if self.metric is not None and self.metric not in info:
                raise RuntimeError(f"the reward of {key} lacks {self.metric!r}; it returned {sorted(info)}")
            state.tally.add(info)
            uid = key.split("_")[0]
            if judged(info):
                values[uid].append(float(np.float64(info.get(self.metric, 0.0))))
            else:
                unscored[uid] += 1
        return [Group(uid, tuple(values[uid]), unscored[uid]) for uid in sorted(values.keys() | unscored.keys())]

    def _fill_from_spare(self, state: SamplingState) -> None:
        """The bound is reached: complete the step with groups without signal, or say that there is none."""
        if not state.useful:
            counts = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(state.dropped.items()))
            raise NoLearningSignal(
                f"{state.settled} prompt groups and not one with both right and wrong samples ({counts}); "
                "all wrong: easier data or a larger rollout.samples_per_prompt; all correct: harder data; "
                f"algorithm.dynamic_sampling.max_rounds={self.max_rounds} sets how long to look"
            )
        while len(state.useful) < state.wanted and state.spare:
            uid, group = state.spare.popitem()
            state.useful[uid] = group
            state.filled += 1

    def _check_stall(self, state: SamplingState, in_flight: int, partition_id: str) -> None:
        waited = time.monotonic() - state.last_progress
        if waited > self.stall_seconds:
            stuck = sorted(self.pending_keys[partition_id] | self.running_keys[partition_id])[:3]
            raise RolloutStalled(
                f"no prompt group finished for {waited:.0f} s with {in_flight} in flight (first: {', '.join(stuck)}); "
                f"algorithm.dynamic_sampling.stall_seconds={self.stall_seconds:.0f}; last error: {self.last_error() or 'none'}"
            )
