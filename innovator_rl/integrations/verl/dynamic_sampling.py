"""Replace prompt groups that teach nothing by fresh ones.

This is DAPO's dynamic sampling on verl's replay buffer.

A group whose samples are all right or all wrong has advantage zero. verl's sampler replaces every dropped group by two,
waits for all of them and discards the surplus; it polls every two seconds, and on data without any signal it never
returns. `DynamicSampler` is plugged in through `trainer.v1.sampler.custom_sampler` and differs in four ways:

- Each dropped or failed group is replaced by one, as soon as it is known: generated / trained is exactly
  1 / (share of kept groups).
- It polls as often as the queue can answer (every 20 ms or less often), so a step does not wait for a clock.
- It ends: after `max_rounds` x batch groups it completes the step with its latest groups without signal, which add no
  gradient. Where no group at all could be kept it raises `NoLearningSignal` with the counts.
- It checks: no response for `stall_seconds`, or a dead worker, ends the run with its cause.

Groups are dropped by `correct` (verl's `acc`), not by the reward: overlong shaping gives equally wrong answers different
rewards. An unscored sample (an abstention or an infrastructure error) is no wrong answer: it does not count in this
comparison and is counted apart.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from innovator_rl.errors import EngineError
from innovator_rl.integrations.verl.reward_metrics import RewardMetrics
from innovator_rl.integrations.verl.reward_record import RewardRecord, reward_info
from innovator_rl.integrations.verl.sample_key import group_uid, prompt_order

TOLERANCE = 1e-6
"""Two values of the metric closer than this count as equal."""

HEALTH_SECONDS = 5.0
"""Time between two checks of the workers while waiting."""


class NoLearningSignal(EngineError):
    """A step in which every group was all right, all wrong or failed."""


class RolloutStalled(EngineError):
    """Generation that stopped making progress, or whose workers died."""


@dataclass(frozen=True)
class Group:
    """A finished group: the metric of scored samples and the number of others."""

    uid: str
    values: tuple[float, ...]
    unscored: int = 0

    @property
    def drop_reason(self) -> str:
        """Why the group would not train; empty where it would."""
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
    submitted: int
    kept: dict[str, Group] = field(default_factory=dict)
    fallback: dict[str, Group] = field(default_factory=dict)  # without signal, may complete an exhausted step
    dropped: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)  # of every dropped group, by uid
    rewards: RewardMetrics = field(default_factory=RewardMetrics)  # of all samples seen, dropped groups too
    fallback_used: int = 0  # groups in `kept` that are fallback ones, because max_rounds was reached
    progress: tuple[int, int] = (0, 0)  # groups that ended, responses in the queue
    last_progress: float = field(default_factory=time.monotonic)

    def drop(self, uid: str, reason: str) -> None:
        """Count a group that will not train, with its reason."""
        self.dropped[reason] += 1
        self.reasons[uid] = reason

    @property
    def completed(self) -> int:
        """Groups that ended: kept, dropped or failed."""
        return len(self.kept) - self.fallback_used + len(self.reasons)

    def metrics(self) -> dict[str, float]:
        """Return the metrics `sampling/*` of groups and `domain/*`, `reward/*` of samples.

        The samples of dropped groups count too.
        """
        figures = {f"sampling/dropped_{reason}": float(count) for reason, count in sorted(self.dropped.items())}
        figures["sampling/generated_groups"] = float(self.completed)
        figures["sampling/kept_groups"] = float(len(self.kept) - self.fallback_used)
        figures["sampling/fallback_groups"] = float(self.fallback_used)
        figures["sampling/generated_per_trained"] = self.completed / max(1, self.wanted)
        return figures | self.rewards.metrics()


class SamplingHooks(Protocol):
    """What a sampler reports to, and asks, while it waits for groups."""

    def sampling_progress(self, state: SamplingState, in_flight: int) -> None:
        """Receive the state after each poll; `in_flight` groups are still being generated."""

    def sampling_done(self, state: SamplingState) -> None:
        """Receive the final state once per step, also before an error is raised."""

    def check_health(self) -> None:
        """Raise the cause where a worker died."""

    def last_error(self) -> str:
        """Return the message of the latest failed generation; empty where none failed."""


class NoHooks:
    """Hooks of a sampler that nobody observes."""

    def sampling_progress(self, state: SamplingState, in_flight: int) -> None:
        """Ignore the state."""

    def sampling_done(self, state: SamplingState) -> None:
        """Ignore the state."""

    def check_health(self) -> None:
        """Check nothing."""

    def last_error(self) -> str:
        """Return no error."""
        return ""


class DynamicSampler(ReplayBuffer):
    """verl's replay buffer with exact dynamic sampling.

    `sampler_kwargs`: `enabled` (false keeps every finished group), `metric` (key of reward_extra_info), `max_rounds`,
    `stall_seconds`. verl constructs the sampler; the trainer then sets `hooks`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        options = dict(self.sampler_kwargs or {})
        self.metric: str | None = options.get("metric") if options.get("enabled", True) else None
        self.max_rounds = int(options.get("max_rounds", 10))
        self.stall_seconds = float(options.get("stall_seconds", 600.0))
        self.hooks: SamplingHooks = NoHooks()

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[Any, dict[str, float]]:
        """Wait for `batch_size` groups to train on and take them out of the queue.

        Args:
            global_steps: the step, counted from 1.
            partition_id: "train", or "val" for validation, which takes whatever finished, failed groups too.
            batch_size: number of prompt groups.

        Returns:
            verl's batch (`KVBatchMeta`) and the metrics of the step.

        Raises:
            NoLearningSignal: `max_rounds` x `batch_size` groups and not one to keep.
            RolloutStalled: no response arrived for `stall_seconds`, or every group failed.
        """
        state = SamplingState(wanted=batch_size, submitted=batch_size)
        if partition_id == "val":
            self._wait(state, partition_id, self._sort_validation)
            return self._take(state, partition_id), {}
        try:
            self._wait(state, partition_id, self._sort)
        finally:
            self.hooks.sampling_done(state)
        self._clear_groups(partition_id, set(state.fallback))
        return self._take(state, partition_id), state.metrics()

    def _take(self, state: SamplingState, partition_id: str) -> Any:
        chosen = list(state.kept)[: state.wanted]
        return self._materialize_batch(partition_id, chosen, dict(self.partitions[partition_id]))

    def _wait(self, state: SamplingState, partition_id: str, sort: Callable[[SamplingState, str], int]) -> None:
        """Poll, sort and refill until the step is complete."""
        next_health = time.monotonic() + HEALTH_SECONDS
        while True:
            started = time.monotonic()
            self._sync_metadata_from_transfer_queue()
            progress = (state.completed, len(self.partitions[partition_id]))
            if progress != state.progress:  # a response arrived, or a group completed
                state.progress, state.last_progress = progress, time.monotonic()
            missing = sort(state, partition_id)
            in_flight = len(self.pending_keys[partition_id]) + len(self.running_keys[partition_id])
            self.hooks.sampling_progress(state, in_flight)
            if len(state.kept) >= state.wanted:
                return
            allowed = min(missing, self.max_rounds * state.wanted - state.submitted)
            if allowed > 0:
                assert self.refill_fn is not None
                state.submitted += self.refill_fn(allowed)
            elif missing > 0 and in_flight == 0:
                self._complete_with_fallback(state)
                return
            if time.monotonic() >= next_health:
                self.hooks.check_health()
                self._check_stall(state, in_flight, partition_id)
                next_health = time.monotonic() + HEALTH_SECONDS
            time.sleep(min(2.0, max(0.02, 4 * (time.monotonic() - started))))

    def _sort_validation(self, state: SamplingState, partition_id: str) -> int:
        """Keep every terminal group and replace nothing.

        Failed ones are kept too, because verl pads their missing samples.
        """
        for uid in sorted(self.finished_keys[partition_id] | self.failure_keys[partition_id]):
            state.kept.setdefault(uid, Group(uid, ()))
        return 0

    def _sort(self, state: SamplingState, partition_id: str) -> int:
        """Sort newly terminal groups into kept and dropped.

        Return how many replacements are missing.
        """
        known = state.kept.keys() | state.fallback.keys()
        failed = self.failure_keys[partition_id] - known
        for uid in failed:
            state.drop(uid, "failed")
        self._clear_groups(partition_id, set(failed))
        if state.dropped["failed"] >= state.wanted and state.dropped["failed"] == state.completed:
            raise RolloutStalled(
                f"all of the first {state.completed} prompt groups failed to generate; the last error: "
                f"{self.hooks.last_error() or 'none was reported'}"
            )
        for group in self._finished_groups(state, partition_id, self.finished_keys[partition_id] - known):
            reason = group.drop_reason if self.metric is not None else ""
            if not reason:
                state.kept[group.uid] = group
                continue
            state.drop(group.uid, reason)
            state.fallback[group.uid] = group
            if len(state.fallback) > state.wanted:
                oldest = min(state.fallback, key=prompt_order)  # by place, not by arrival: the same in every run
                del state.fallback[oldest]
                self._clear_groups(partition_id, {oldest})
        return (
            state.wanted - len(state.kept) - len(self.pending_keys[partition_id]) - len(self.running_keys[partition_id])
        )

    def _finished_groups(self, state: SamplingState, partition_id: str, uids: set[str]) -> list[Group]:
        """Read and count every sample of `uids`; groups in the order of their prompts."""
        keys = sorted(key for key in self.partitions[partition_id] if group_uid(key) in uids)
        if not keys:
            return []
        values: dict[str, list[float]] = defaultdict(list)
        unscored: Counter[str] = Counter()
        data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["extra_fields"])
        for key, extra in zip(keys, list(data["extra_fields"]), strict=True):
            info = reward_info(extra)
            if self.metric is not None and self.metric not in info:
                raise EngineError(f"the reward of {key} lacks {self.metric!r}; it returned {sorted(info)}")
            record = RewardRecord.from_verl(info)
            state.rewards.add(record)
            uid = group_uid(key)
            if record.scored:
                values[uid].append(record.metric(self.metric) if self.metric is not None else 0.0)
            else:
                unscored[uid] += 1
        return [Group(uid, tuple(values[uid]), unscored[uid]) for uid in sorted(values.keys() | unscored.keys())]

    def _complete_with_fallback(self, state: SamplingState) -> None:
        """Complete the step with groups without signal once the bound is reached.

        Raises where none could be kept.
        """
        if not state.kept:
            counts = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(state.dropped.items()))
            raise NoLearningSignal(
                f"{state.completed} prompt groups and not one with both right and wrong samples ({counts}); "
                "all wrong: easier data or a larger rollout.samples_per_prompt; all correct: harder data; "
                "a rewarder that returns fractions: algorithm.dynamic_sampling.metric=score; "
                f"algorithm.dynamic_sampling.max_rounds={self.max_rounds} sets how long to look"
            )
        while len(state.kept) < state.wanted and state.fallback:
            uid = max(state.fallback, key=prompt_order)
            state.kept[uid] = state.fallback.pop(uid)
            state.fallback_used += 1

    def _check_stall(self, state: SamplingState, in_flight: int, partition_id: str) -> None:
        waited = time.monotonic() - state.last_progress
        if waited > self.stall_seconds:
            stuck = sorted(self.pending_keys[partition_id] | self.running_keys[partition_id])[:3]
            raise RolloutStalled(
                f"no response arrived for {waited:.0f} s with {in_flight} prompt groups in flight (first: "
                f"{', '.join(stuck)}); "
                f"algorithm.dynamic_sampling.stall_seconds={self.stall_seconds:.0f}; last error: {self.hooks.last_error() or 'none'}"
            )
