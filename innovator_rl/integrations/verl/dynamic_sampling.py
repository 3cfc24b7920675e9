"""Take the prompt groups of a step that teach something out of verl's queue, and start new ones where they are missing.

This is DAPO's dynamic sampling on verl's replay buffer.

A group whose samples are all right or all wrong has advantage zero. verl's sampler replaces every dropped group by two,
waits for all of them and discards the surplus; it polls every two seconds, and on data without any signal it never
returns. `DynamicSampler` is plugged in through `trainer.v1.sampler.custom_sampler` and differs in five ways:

- `sampling_policy.py` decides how many prompts to start, by the observed share of kept groups per data source.
- It polls ten times a second (less often where a look takes long), so a step does not wait for a clock.
- It ends: after `max_rounds` x batch groups it completes the step with its latest groups without signal, which add no
  gradient. Where no group at all could be kept it raises `NoLearningSignal` with the counts.
- A request that never returns costs its sample: its agent-loop worker sends it again and then gives it up
  (`request_patience.py`). Only where the worker itself is silent past that time is what is in flight dropped as `lost` and
  replaced; so is, within seconds, what a restarted worker was generating. A validation counts such prompts as failed. Only
  where nothing answers at all, or a worker is dead, does the run end, with its cause.
- With `max_staleness` above 0 whole groups beyond the step's and unfinished ones stay for the next step.

The groups of a step are the first useful ones in the order of the prompts, not of arrival: on-policy they are the same in
every run of one seed. Groups are compared by `correct` (verl's `acc`) or, for graded rewards, by the score, before overlong
shaping gives equally wrong answers different rewards. An unscored sample (an abstention or an infrastructure error) is no
wrong answer: it does not count in this comparison and is counted apart.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from innovator_rl.errors import EngineError
from innovator_rl.integrations.verl.request_patience import FACTOR, TRIES
from innovator_rl.integrations.verl.reward_record import RewardRecord, reward_info
from innovator_rl.integrations.verl.sample_key import group_uid, prompt_order
from innovator_rl.integrations.verl.sampling_policy import PassRates, RefillPolicy, View
from innovator_rl.integrations.verl.sampling_state import LOST, Group, NoHooks, SamplingHooks, SamplingState
from innovator_rl.runs.files import duration

HEALTH_SECONDS = 5.0
"""Time between two checks of the workers while waiting."""

REMARK_SECONDS = 60.0
"""A shorter silence is not remarked, however fast responses came before."""

DEATH_SECONDS = 20.0
"""Longest time between the failure of a request to a dead worker and Ray's notice of the death."""


class NoLearningSignal(EngineError):
    """A step in which every group was all right, all wrong or failed."""


class RolloutStalled(EngineError):
    """Generation that stopped making progress, or whose workers died."""


class DynamicSampler(ReplayBuffer):
    """verl's replay buffer with bounded dynamic sampling.

    `sampler_kwargs`: `enabled` (false keeps every finished group), `metric` (key of reward_extra_info) and `metrics` (the same
    by data source), `max_rounds`, `stall_seconds`, `max_staleness`, `slots` (responses that the engine generates at the same
    time) and `samples` per prompt. verl constructs the sampler; the trainer then sets `hooks` and the policy's rates.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        options = dict(self.sampler_kwargs or {})
        self.metric: str | None = options.get("metric") if options.get("enabled", True) else None
        self.metrics: dict[str, str] = dict(options.get("metrics") or {})
        self.stall_seconds = float(options.get("stall_seconds", 600.0))
        self.slots, self.samples = int(options.get("slots", 0)), int(options.get("samples", 1))
        self.policy = RefillPolicy(
            PassRates(),
            max_staleness=int(options.get("max_staleness", 0)),
            max_rounds=int(options.get("max_rounds", 10)),
        )
        self.hooks: SamplingHooks = NoHooks()
        self._carried: dict[str, Group] = {}  # whole groups that wait for the next step
        self._given_up: set[str] = set()  # lost groups, whose late responses are cleared
        self.counted: set[str] = set()  # groups of a checkpoint that were counted before it was written

    @property
    def carried(self) -> list[str]:
        """Whole groups that wait for the next step, all of them counted."""
        return sorted(self._carried)

    def clear_trained(self) -> int:
        """Remove the samples whose group is no longer in the queue, and return their number.

        verl saves the queue after a step's update and before it clears the step's batch: a checkpoint holds samples that
        were trained, which nothing would ever take or clear after a resume.
        """
        self._sync_metadata_from_transfer_queue()
        groups = self.prompt_global_steps["train"]
        trained = sorted(key for key in self.partitions["train"] if group_uid(key) not in groups)
        if trained:
            tq.kv_clear(keys=trained, partition_id="train")
        return len(trained)

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
            RolloutStalled: nothing answers, or every group failed, or most did and none can be kept.
        """
        if partition_id == "val":
            return self._sample_validation(SamplingState(wanted=batch_size)), {}
        state = SamplingState(wanted=batch_size, step=global_steps, kept=self._carried, carried_in=len(self._carried))
        self.policy.rates.forget()
        try:
            self._wait(state)
            self._choose(state)
        finally:
            self.hooks.sampling_done(state)
        self._clear_groups("train", set(state.fallback))
        return self._take(state, "train"), state.metrics()

    def _take(self, state: SamplingState, partition_id: str) -> Any:
        chosen = [group.uid for group in state.chosen]
        return self._materialize_batch(partition_id, chosen, dict(self.partitions[partition_id]))

    def _choose(self, state: SamplingState) -> None:
        """Take the first groups in the order of the prompts; carry the others over or count them as surplus."""
        ordered = sorted(state.kept.values(), key=lambda group: prompt_order(group.uid))
        state.chosen = tuple(ordered[: state.wanted])
        rest = {group.uid: group for group in ordered[state.wanted :]}
        state.unfinished = len(self._in_flight("train"))
        oldest = state.step + 1 - self.policy.max_staleness  # that the next step may train
        late = {uid for uid, group in rest.items() if group.step < oldest}
        for uid in late:
            del state.kept[uid], rest[uid]
            self._drop(state, uid, "surplus")
        self._clear_groups("train", late)
        state.carried_out, self._carried = len(rest), rest

    def _drop(self, state: SamplingState, uid: str, reason: str) -> None:
        state.drop(uid, reason, self.prompt_global_steps["train"].get(uid, state.step))

    def _in_flight(self, partition_id: str) -> set[str]:
        return self.pending_keys[partition_id] | self.running_keys[partition_id]

    def _wait(self, state: SamplingState) -> None:
        """Poll, sort and start prompts until the step is complete."""
        next_health = last = time.monotonic()
        while True:
            started = time.monotonic()
            self._sync_metadata_from_transfer_queue()
            self._clear_late_responses()
            self._note_progress(state, "train")
            self._sort(state)
            in_flight = self._in_flight("train")
            responses = self.samples * len(in_flight) - sum(group_uid(k) in in_flight for k in self.partitions["train"])
            state.response_seconds += responses * (started - last)
            state.seconds += started - last
            last = started
            self.hooks.sampling_progress(state, len(in_flight))
            ages = [state.step - self.prompt_global_steps["train"].get(uid, state.step) for uid in in_flight]
            if self.policy.complete(state.wanted, len(state.kept), max(ages, default=None)):
                return
            free = max(0, (self.slots or state.wanted * self.samples) - responses) // self.samples
            free = free if in_flight else max(1, free)  # a group may have more samples than there are slots
            sources = Counter(self.hooks.source(uid) for uid in in_flight)
            count = self.policy.to_start(View(state.wanted, len(state.kept), sources, state.submitted, free))
            if count > 0:
                assert self.refill_fn is not None
                state.submitted += self.refill_fn(count)
            elif not in_flight:
                self._complete_with_fallback(state)
                return
            if time.monotonic() >= next_health:
                self._check_workers(state, "train")
                self._check_stall(state, "train")
                next_health = time.monotonic() + HEALTH_SECONDS
            _pause(started)

    def _sample_validation(self, state: SamplingState) -> Any:
        """Wait for every group and replace nothing.

        Failed ones are kept too, because verl pads their missing samples.
        """
        next_health = time.monotonic() + HEALTH_SECONDS
        while True:
            started = time.monotonic()
            self._sync_metadata_from_transfer_queue()
            self._note_progress(state, "val")
            for uid in sorted(self.finished_keys["val"] | self.failure_keys["val"]):
                state.kept.setdefault(uid, Group(uid, ()))
            self.hooks.sampling_progress(state, len(self._in_flight("val")))
            if len(state.kept) >= state.wanted:
                state.chosen = tuple(state.kept.values())[: state.wanted]
                return self._take(state, "val")
            if time.monotonic() >= next_health:
                self._check_workers(state, "val")
                self._check_stall(state, "val")
                next_health = time.monotonic() + HEALTH_SECONDS
            _pause(started)

    def _note_progress(self, state: SamplingState, partition_id: str) -> None:
        now = time.monotonic()
        for uid in self._in_flight(partition_id):
            state.since.setdefault(uid, now)
        new = self.partitions[partition_id].keys() - state.arrived
        state.arrived |= new
        state.longest = max([state.longest, *(now - state.since.get(group_uid(key), now) for key in new)])
        progress = (state.completed, len(self.partitions[partition_id]))
        if progress != state.progress:  # a response arrived, or a group completed
            state.progress, state.last_progress = progress, now
            state.answered, state.remarked = True, False

    def _clear_late_responses(self) -> None:
        """Remove what a worker still wrote for groups that were given up."""
        late = {key for key in self.partitions["train"] if group_uid(key) in self._given_up}
        if late:
            tq.kv_clear(keys=sorted(late), partition_id="train")
            for key in late:
                del self.partitions["train"][key]

    def _sort(self, state: SamplingState) -> None:
        """Sort newly terminal groups into kept and dropped."""
        known = state.kept.keys() | state.fallback.keys()
        failed = self.failure_keys["train"] - known
        for uid in failed:
            self._drop(state, uid, "failed")
        useless = set(failed)
        for group in self._finished_groups(state, self.finished_keys["train"] - known):
            reason = group.drop_reason if self.metric is not None or group.lost else ""
            if reason == "failed":
                self._drop(state, group.uid, reason)
                useless.add(group.uid)
                continue
            if group.uid in self.counted:
                state.carried_in += 1
            else:
                self.policy.rates.add(group.source, not reason)
            if not reason:
                state.kept[group.uid] = group
                continue
            self._drop(state, group.uid, reason)
            state.fallback[group.uid] = group
            if len(state.fallback) > state.wanted:
                oldest = min(state.fallback, key=prompt_order)  # by place, not by arrival: the same in every run
                del state.fallback[oldest]
                useless.add(oldest)
        self._clear_groups("train", useless)
        if state.dropped["failed"] >= state.wanted and state.dropped["failed"] == state.completed:
            raise self._failure(state, "all")

    def _finished_groups(self, state: SamplingState, uids: Iterable[str]) -> list[Group]:
        """Read and count every sample of `uids`; groups in the order of their prompts."""
        samples: dict[str, list[RewardRecord]] = {uid: [] for uid in sorted(uids)}
        keys = sorted(key for key in self.partitions["train"] if group_uid(key) in samples)
        if not keys:
            return []
        data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["extra_fields"])
        for key, extra in zip(keys, list(data["extra_fields"]), strict=True):
            info = reward_info(extra)
            if self.metric is not None and self.metric not in info:
                raise EngineError(f"the reward of {key} lacks {self.metric!r}; it returned {sorted(info)}")
            record = RewardRecord.from_verl(info)
            if group_uid(key) not in self.counted:
                state.rewards.add(record)
            samples[group_uid(key)].append(record)
        return [self._group(uid, records) for uid, records in samples.items() if records]

    def _group(self, uid: str, records: list[RewardRecord]) -> Group:
        source = self.hooks.source(uid)
        metric = self.metrics.get(source, self.metric) if self.metric is not None else None
        scored = [record for record in records if record.scored]
        return Group(
            uid,
            tuple(record.metric(metric) if metric is not None else 0.0 for record in scored),
            unscored=len(records) - len(scored),
            lost=sum(record.reason == LOST for record in records),
            source=source,
            step=self.prompt_global_steps["train"].get(uid, 0),
        )

    def _complete_with_fallback(self, state: SamplingState) -> None:
        """Complete the step with groups without signal once the bound is reached.

        Raises where none could be kept.
        """
        if not state.kept:
            if 2 * state.dropped["failed"] > state.completed:
                self._await_death()
                raise self._failure(state, f"{state.dropped['failed']}")
            counts = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(state.dropped.items()))
            raise NoLearningSignal(
                f"{state.completed} prompt groups and not one with both right and wrong samples ({counts}); "
                "all wrong: easier data or a larger rollout.samples_per_prompt; all correct: harder data; "
                "a rewarder that returns fractions: algorithm.dynamic_sampling.metric=score; "
                f"algorithm.dynamic_sampling.max_rounds={self.policy.max_rounds} sets how long to look"
            )
        while len(state.kept) < state.wanted and state.fallback:
            uid = max(state.fallback, key=prompt_order)
            state.kept[uid] = state.fallback.pop(uid)
            state.fallback_used += 1

    def _await_death(self) -> None:
        """Raise where a worker is dead, which Ray notices some seconds after its requests have failed."""
        deadline = time.monotonic() + DEATH_SECONDS
        while time.monotonic() < deadline:
            self.hooks.check_health()
            time.sleep(min(0.5, DEATH_SECONDS))

    def _failure(self, state: SamplingState, failed: str) -> RolloutStalled:
        return RolloutStalled(
            f"{failed} of the first {state.completed} prompt groups failed to generate; the last error: "
            f"{self.hooks.last_error() or 'none was reported'}"
        )

    def _check_workers(self, state: SamplingState, partition_id: str) -> None:
        """Raise where a worker is dead; give up what a restarted one lost. Nothing replaces a prompt of a validation."""
        self.hooks.check_health()
        if lost := self.hooks.lost_prompts(self._in_flight(partition_id)):
            self._give_up(state, lost, partition_id)

    def _give_up(self, state: SamplingState, uids: Collection[str], partition_id: str) -> None:
        """Drop groups that nobody generates; verl pads what a validation lacks."""
        if partition_id == "val":
            tq.kv_batch_put(keys=sorted(uids), partition_id="val", tags=[{"status": "failure"} for _ in uids])
            return
        for uid in uids:
            self._drop(state, uid, "lost")
        self._given_up.update(uids)
        self._clear_groups("train", set(uids))

    def silence_limit(self, state: SamplingState) -> float:
        """Return how long no response may arrive (seconds).

        By then the agent-loop workers have given up every request that hangs, after `TRIES` of them, and said so.
        """
        return self.stall_seconds + TRIES * max(self.stall_seconds, FACTOR * state.longest)

    def _check_stall(self, state: SamplingState, partition_id: str) -> None:
        """Remark a silence, give up what is in flight after a long one, and raise where nothing answers at all."""
        waited = time.monotonic() - state.last_progress
        stuck = sorted(self._in_flight(partition_id))
        if not stuck:
            return
        unusual = max(REMARK_SECONDS, FACTOR * state.longest) if state.longest else self.stall_seconds
        if waited > unusual and not state.remarked:
            state.remarked = True
            stopped = self.hooks.stopped_processes() or "no process is visibly stopped"
            self.hooks.notice(f"no response for {duration(waited)}; prompt groups in flight: {len(stuck)}; {stopped}")
        if waited <= self.silence_limit(state):
            return
        if state.answered:
            self._give_up(state, stuck, partition_id)
            state.progress, state.last_progress = (
                (state.completed, len(self.partitions[partition_id])),
                time.monotonic(),
            )
            state.answered = False
            return
        raise RolloutStalled(
            f"no response arrived for {waited:.0f} s with {len(stuck)} prompt groups in flight (first: "
            f"{', '.join(stuck[:3])}); algorithm.dynamic_sampling.stall_seconds={self.stall_seconds:.0f}; "
            f"last error: {self.hooks.last_error() or 'none'}; "
            f"{self.hooks.stopped_processes() or 'no process is visibly stopped'}"
        )


def _pause(started: float) -> None:
    """Sleep nine times as long as the look at the queue took, 0.1 to 2 s: on a CPU the engine decodes on the same cores."""
    time.sleep(min(2.0, max(0.1, 9 * (time.monotonic() - started))))
