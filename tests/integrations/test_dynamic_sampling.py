"""Dynamic sampling against a queue in memory: refills by rate, an end on data without signal, lost requests, stalls and failures."""

import random
import time
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

import pytest
import transfer_queue as tq

from innovator_rl.integrations.verl import dynamic_sampling
from innovator_rl.integrations.verl.dynamic_sampling import DynamicSampler, NoLearningSignal, RolloutStalled
from innovator_rl.integrations.verl.sampling_state import NoHooks

SAMPLES = 4


class Queue:
    """A TransferQueue partition whose groups finish the moment they are looked at, `outcome(n)` deciding the n-th group.

    outcome: a list of `correct` values (one per sample; "abstained" or "error" for an unscored one), None for a failed group, "never"
    for one that hangs.
    """

    def __init__(self, outcome: Callable[[int], Any], batch: int, concurrency: int = 3) -> None:
        self.outcome, self.concurrency = outcome, concurrency
        self.tags: dict[str, dict[str, dict[str, Any]]] = {"train": {}}
        self.values: dict[str, dict[str, Any]] = {}
        self.submitted = 0
        self.step = 1

    def submit(self, count: int) -> int:
        for _ in range(count):
            tag = {"is_prompt": True, "status": "pending", "global_steps": self.step}
            self.tags["train"][f"p{self.submitted:05d}"] = tag
            self.submitted += 1
        return count

    def kv_list(self, partition_id: str | None = None) -> dict[str, dict[str, Any]]:
        pending = [uid for uid, tag in self.tags["train"].items() if tag.get("status") == "pending"]
        for uid in random.Random(len(pending)).sample(pending, min(self.concurrency, len(pending))):
            self.finish(uid)
        return {name: {key: dict(tag) for key, tag in tags.items()} for name, tags in self.tags.items()}

    def finish(self, uid: str) -> None:
        result = self.outcome(int(uid[1:]))
        if result == "never":
            return
        self.tags["train"][uid]["status"] = "failure" if result is None else "finished"
        for sample, correct in enumerate(result or []):
            key = f"{uid}_{sample}_0"
            self.tags["train"][key] = {"status": "success", "seq_len": 8}
            outcome = correct if isinstance(correct, str) else "scored"
            value = 0.0 if isinstance(correct, str) else correct
            info = {"acc": value, "score_value": value, "domain": "math", "outcome": outcome}
            self.values[key] = {"reward_extra_info": info}

    def kv_batch_get(self, keys: list[str], partition_id: str, select_fields: list[str]) -> dict[str, list[Any]]:
        return {"extra_fields": [self.values[key] for key in keys]}

    def kv_clear(self, keys: list[str], partition_id: str) -> None:
        for key in keys:
            self.tags[partition_id].pop(key, None)


class OutOfMemory(NoHooks):
    def last_error(self) -> str:
        return "EngineDeadError: out of memory"


def sampler_of(queue: Queue, monkeypatch: pytest.MonkeyPatch, hooks: NoHooks | None = None, **options: Any) -> Any:
    for name in ("kv_list", "kv_batch_get", "kv_clear"):
        monkeypatch.setattr(tq, name, getattr(queue, name))
    sampler = DynamicSampler(
        trainer_mode="sync",
        trainer_config={},
        max_off_policy_threshold=None,
        max_off_policy_strategy="drop",
        sampler_kwargs={"metric": "acc", "max_rounds": 10, "stall_seconds": 60, "samples": SAMPLES, **options},
        refill_fn=queue.submit,
    )
    sampler.hooks = hooks or OutOfMemory()
    return sampler


def run(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, batch: int = 8, hooks: NoHooks | None = None, **options: Any
) -> tuple[Any, dict[str, float]]:
    sampler = sampler_of(queue, monkeypatch, hooks, **options)
    return sampler.sample(global_steps=1, partition_id="train", batch_size=batch)


def mixed(n: int) -> list[float]:
    return [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("rate", [0.8, 0.5, 0.25])
def test_the_first_useful_groups_train_whatever_the_order_of_arrival(
    rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(7)
    useful = [draw.random() < rate for _ in range(5000)]
    chosen = []
    for concurrency in (3, 50):
        queue = Queue(lambda n: mixed(n) if useful[n] else [0.0] * SAMPLES, batch=32, concurrency=concurrency)
        batch, metrics = run(queue, monkeypatch, batch=32, max_rounds=50)
        chosen.append(sorted(batch.keys))
        first = [n for n in range(5000) if useful[n]][:32]
        assert sorted({int(key[1:6]) for key in batch.keys}) == first
        assert queue.submitted == metrics["sampling/started_groups"] == metrics["sampling/generated_groups"]
        assert queue.submitted <= 1.3 * 32 / rate + 3
        assert not queue.tags["train"].keys() - set(batch.keys)
    assert chosen[0] == chosen[1]


def test_graded_sources_are_compared_by_score(monkeypatch: pytest.MonkeyPatch) -> None:
    class Captions(NoHooks):
        def source(self, uid: str) -> str:
            return "captions" if int(uid[1:]) % 2 else "math"

    class Graded(Queue):
        def finish(self, uid: str) -> None:
            super().finish(uid)
            for key, value in self.values.items():
                value["reward_extra_info"]["score_value"] = 0.2 + 0.1 * int(key.split("_")[1])

    queue = Graded(lambda n: [0.0] * SAMPLES, batch=4)  # none is correct, and the scores differ
    options: dict[str, Any] = {"metrics": {"captions": "score_value"}, "hooks": Captions()}
    batch, metrics = run(queue, monkeypatch, batch=4, **options)
    assert {int(key[1:6]) % 2 for key in batch.keys} == {1}
    assert metrics["sampling/kept_groups"] == 4


def test_working_ahead_carries_whole_and_unfinished_groups_over(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(lambda n: mixed(n) if n % 2 else [0.0] * SAMPLES, batch=8, concurrency=2)
    sampler = sampler_of(queue, monkeypatch, max_staleness=2, slots=16 * SAMPLES)
    trained: list[str] = []
    for step in range(1, 7):
        queue.step = step
        batch, metrics = sampler.sample(global_steps=step, partition_id="train", batch_size=8)
        trained += sorted({key.split("_")[0] for key in batch.keys})
        tq.kv_clear(keys=batch.keys, partition_id="train")
        assert metrics["sampling/staleness_max"] <= 2
        assert metrics["sampling/responses_in_flight"] > 0
    assert len(trained) == len(set(trained)) == 48
    left = {key for key in queue.tags["train"] if "_" not in key}
    useful = {f"p{n:05d}" for n in range(1, queue.submitted, 2)}
    assert len(useful - left - set(trained)) <= 8  # surplus beyond the bound of staleness, counted as dropped
    assert metrics["sampling/unfinished_groups"] + metrics["sampling/carried_groups"] == len(left) > 0


def test_working_ahead_fills_the_slots_and_a_dropped_group_keeps_the_step_of_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Started(Queue):
        def submit(self, count: int) -> int:
            waiting = sum(tag.get("status") == "pending" for tag in self.tags["train"].values())
            assert waiting + count <= 16  # what the engine generates at the same time
            started.update({f"p{self.submitted + i:05d}": self.step for i in range(count)})
            return super().submit(count)

    class Noting(NoHooks):
        def sampling_done(self, state: Any) -> None:
            noted.update(state.started)
            late.extend(uid for uid, step in state.started.items() if step < state.step)

    started: dict[str, int] = {}
    noted: dict[str, int] = {}
    late: list[str] = []
    queue = Started(lambda n: mixed(n) if n % 2 else [0.0] * SAMPLES, batch=8, concurrency=2)
    sampler = sampler_of(queue, monkeypatch, Noting(), max_staleness=2, slots=16 * SAMPLES)
    for step in range(1, 5):
        queue.step = step
        batch, _ = sampler.sample(global_steps=step, partition_id="train", batch_size=8)
        tq.kv_clear(keys=batch.keys, partition_id="train")
    assert late
    assert noted == {uid: started[uid] for uid in noted}


def test_groups_that_wait_in_a_checkpoint_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(lambda n: mixed(n) if n % 5 else [0.0] * SAMPLES, batch=8, concurrency=16)
    options: dict[str, Any] = {"max_staleness": 2, "slots": 16 * SAMPLES}
    sampler = sampler_of(queue, monkeypatch, **options)
    generated = responses = 0.0
    trained = 0
    for step in range(1, 5):
        if step == 3:  # the run was killed after step 2; its queue and these names are in the checkpoint
            assert sampler.carried
            resumed = sampler_of(queue, monkeypatch, **options)
            resumed.policy.rates, resumed.counted = sampler.policy.rates, set(sampler.carried)
            sampler = resumed
            assert sampler.clear_trained() == trained  # verl saves before it clears what it trained
            assert {key.split("_")[0] for key in queue.tags["train"]} >= sampler.counted
            assert sampler.clear_trained() == 0
        queue.step = step
        batch, metrics = sampler.sample(global_steps=step, partition_id="train", batch_size=8)
        trained = len(batch.keys)
        if step != 2:
            tq.kv_clear(keys=batch.keys, partition_id="train")
        generated += metrics["sampling/generated_groups"]
        responses += metrics.get("domain/math/responses", 0.0)
    assert generated == queue.submitted - metrics["sampling/unfinished_groups"]
    assert responses == generated * SAMPLES


def test_dropped_groups_are_counted_by_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    results = {0: [0.0] * 4, 1: [1.0] * 4, 2: None}
    queue = Queue(lambda n: results.get(n, mixed(n)), batch=4)
    _, metrics = run(queue, monkeypatch, batch=4)
    assert metrics["sampling/dropped_all_wrong"] == 1
    assert metrics["sampling/dropped_all_correct"] == 1
    assert metrics["sampling/dropped_failed"] == 1
    assert metrics["sampling/generated_per_trained"] == queue.submitted / 4
    whole = queue.submitted - 1
    assert metrics["domain/math/responses"] == whole * SAMPLES
    assert metrics["domain/math/correct"] == pytest.approx((0 + 4 + (whole - 2) * 2) / (whole * SAMPLES))


def test_an_unscored_sample_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    results = {0: [1.0, "error", 1.0, 1.0], 1: ["abstained", 0.0, 0.0, "error"], 2: ["abstained"] * 4}
    queue = Queue(lambda n: results.get(n, [1.0, 0.0, "abstained", 1.0]), batch=4)
    _, metrics = run(queue, monkeypatch, batch=4)
    assert metrics["sampling/dropped_all_correct"] == 1
    assert metrics["sampling/dropped_all_wrong"] == 1
    assert metrics["sampling/dropped_unscored"] == 1
    rest = queue.submitted - 3
    assert metrics["domain/math/correct"] == pytest.approx((3 + rest * 2) / (3 + 2 + rest * 3))
    assert metrics["domain/math/abstained"] == pytest.approx((1 + 4 + rest) / (queue.submitted * 4))
    assert metrics["domain/math/errors"] == pytest.approx(2 / (queue.submitted * 4))


def test_data_without_any_signal_ends_with_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(lambda n: [float(n % 2)] * SAMPLES, batch=8)
    started = time.monotonic()
    with pytest.raises(
        NoLearningSignal, match=r"80 prompt groups and not one .*40 all correct, 40 all wrong.*max_rounds=10"
    ):
        run(queue, monkeypatch)
    assert time.monotonic() - started < 30
    assert queue.submitted == 80


def test_a_step_short_of_signal_is_completed_with_fallback_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(lambda n: mixed(n) if n < 3 else [0.0] * SAMPLES, batch=8)
    batch, metrics = run(queue, monkeypatch, max_rounds=2)
    assert len({key.split("_")[0] for key in batch.keys}) == 8
    assert (metrics["sampling/kept_groups"], metrics["sampling/fallback_groups"]) == (3, 5)
    assert queue.submitted == 16


def test_without_dynamic_sampling_every_finished_group_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(lambda n: None if n == 2 else [0.0] * SAMPLES, batch=8)
    _, metrics = run(queue, monkeypatch, enabled=False)
    assert metrics["sampling/kept_groups"] == 8
    assert metrics["sampling/dropped_failed"] == 1
    assert queue.submitted == 9


def test_a_dead_engine_ends_the_step_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RolloutStalled, match=r"all of the first 8 prompt groups failed .*EngineDeadError: out of memory"
    ):
        run(Queue(lambda n: None, batch=8), monkeypatch)


def test_an_engine_that_dies_after_some_answers_is_the_cause_and_not_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_sampling, "DEATH_SECONDS", 0.05)
    with pytest.raises(RolloutStalled, match=r"38 of the first 40 prompt groups failed .*EngineDeadError"):
        run(Queue(lambda n: [0.0] * SAMPLES if n < 2 else None, batch=4), monkeypatch, batch=4)


@pytest.mark.timeout(30)  # without its check it waits forever
def test_a_request_that_never_returns_costs_its_group_and_not_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_sampling, "HEALTH_SECONDS", 0.05)
    queue = Queue(lambda n: "never" if n == 5 else mixed(n), batch=8)
    sampler = sampler_of(queue, monkeypatch, stall_seconds=0.3)
    batch, metrics = sampler.sample(global_steps=1, partition_id="train", batch_size=8)
    assert metrics["sampling/dropped_lost"] == 1
    assert sorted({int(key[1:6]) for key in batch.keys}) == [0, 1, 2, 3, 4, 6, 7, 8]
    queue.tags["train"]["p00005_0_0"] = {"status": "success"}  # it answers after all
    queue.tags["train"]["p00005"] = {"status": "finished"}
    sampler.sample(global_steps=2, partition_id="train", batch_size=8)
    assert not {"p00005", "p00005_0_0"} & queue.tags["train"].keys()


@pytest.mark.timeout(30)
def test_an_engine_that_answers_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_sampling, "HEALTH_SECONDS", 0.05)
    queue = Queue(lambda n: "never" if n >= 5 else mixed(n), batch=8)
    with pytest.raises(
        RolloutStalled,
        match=r"no response arrived for .* with \d prompt groups in flight \(first: p00008, p00009, p00010\); .*stall_seconds",
    ):
        run(queue, monkeypatch, stall_seconds=0.3)


@pytest.mark.timeout(30)
def test_the_sampler_outwaits_the_workers_which_send_a_request_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request hangs, the others end after 400 s: its worker sends it again at 1,200 s and gives it up at 2,400 s."""
    clock = [0.0]

    def pass_ten_seconds(_: float) -> None:
        clock[0] += 10.0

    monkeypatch.setattr(dynamic_sampling, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=pass_ten_seconds))

    class Patient(Queue):
        def kv_list(self, partition_id: str | None = None) -> dict[str, dict[str, dict[str, Any]]]:
            self.concurrency = 8 if clock[0] > 400 else 0
            return super().kv_list(partition_id)

        def finish(self, uid: str) -> None:
            if uid != "p00005" or clock[0] > 2400:
                super().finish(uid)

    noted = Noting()
    queue = Patient(lambda n: ["error", 1.0, 0.0, 1.0] if n == 5 else mixed(n), batch=8)
    batch, metrics = run(queue, monkeypatch, hooks=noted, stall_seconds=600)
    assert sorted({int(key[1:6]) for key in batch.keys}) == list(range(8)), "the rest of its group trains"
    assert "sampling/dropped_lost" not in metrics
    assert len(noted.notices) == 1, "a silence is remarked once, at three times the longest response"
    assert noted.notices[0].endswith("; prompt groups in flight: 1; stopped: VLLM::EngineCore (7)")


class Noting(NoHooks):
    """Keeps remarks; one process is stopped."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def stopped_processes(self) -> str:
        return "stopped: VLLM::EngineCore (7)"


@pytest.mark.timeout(30)
def test_a_validation_goes_on_without_a_request_that_never_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_sampling, "HEALTH_SECONDS", 0.05)
    queue = Queue(mixed, batch=8)
    queue.tags["val"] = {f"v{n}": {"is_prompt": True, "status": "running", "global_steps": 1} for n in range(8)}

    def put(keys: list[str], partition_id: str, tags: list[dict[str, Any]]) -> None:
        for key, tag in zip(keys, tags, strict=True):
            queue.tags[partition_id][key].update(tag)

    def answer(partition_id: str | None = None) -> Any:
        for n in range(7):
            queue.tags["val"][f"v{n}"]["status"] = "finished"
            queue.tags["val"][f"v{n}_0_0"] = {"status": "success", "seq_len": 8}
        return Queue.kv_list(queue, partition_id)

    sampler = sampler_of(queue, monkeypatch, stall_seconds=0.2)
    monkeypatch.setattr(tq, "kv_batch_put", put)
    monkeypatch.setattr(tq, "kv_list", answer)
    batch, _ = sampler.sample(global_steps=1, partition_id="val", batch_size=8)
    assert sorted(batch.keys) == [f"v{n}_0_0" for n in range(7)]


@pytest.mark.timeout(30)
def test_responses_count_before_their_group_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [time.monotonic()]

    def pass_ten_seconds(_: float) -> None:
        clock[0] += 10.0

    monkeypatch.setattr(dynamic_sampling, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=pass_ten_seconds))

    class SlowQueue(Queue):
        """A queue in which one group gets a response per poll and completes with its twentieth."""

        def kv_list(self, partition_id: str | None = None) -> dict[str, dict[str, Any]]:
            arrived = sum(key.startswith("p00000_") for key in self.tags["train"])
            if arrived < 20:
                self.tags["train"][f"p00000_{arrived}_0"] = {"status": "success", "seq_len": 8}
                return {name: {key: dict(tag) for key, tag in tags.items()} for name, tags in self.tags.items()}
            return super().kv_list(partition_id)

    queue = SlowQueue(lambda n: [1.0, 0.0] * 10, batch=1)
    _, metrics = run(queue, monkeypatch, batch=1, stall_seconds=60)  # the group takes 200 s
    assert metrics["sampling/kept_groups"] == 1


def test_a_dead_worker_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_sampling, "HEALTH_SECONDS", 0.05)

    class Died(RuntimeError):
        pass

    class DeadServer(NoHooks):
        def check_health(self) -> None:
            raise Died("vLLM server 0.0 died")

    with pytest.raises(Died, match="vLLM server"):
        run(Queue(lambda n: "never", batch=2), monkeypatch, batch=2, hooks=DeadServer())


def test_what_a_restarted_worker_lost_is_dropped_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_sampling, "HEALTH_SECONDS", 0.05)

    class Restarted(NoHooks):
        def lost_prompts(self, in_flight: Collection[str]) -> set[str]:
            return {"p00000", "p00003"} & set(in_flight)

    queue = Queue(lambda n: "never" if n in (0, 3) else mixed(n), batch=4)
    batch, metrics = run(queue, monkeypatch, batch=4, hooks=Restarted(), stall_seconds=60)
    assert sorted({key[:6] for key in batch.keys}) == ["p00001", "p00002", "p00004", "p00005"]
    assert metrics["sampling/dropped_lost"] == 2
    assert queue.tags["train"].keys().isdisjoint({"p00000", "p00003"})


def test_a_validation_goes_on_without_what_a_restarted_worker_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic_sampling, "HEALTH_SECONDS", 0.05)

    class Restarted(NoHooks):
        def lost_prompts(self, in_flight: Collection[str]) -> set[str]:
            return set(in_flight)

    queue = Queue(mixed, batch=2)
    queue.tags["val"] = {"p9": {"is_prompt": True, "status": "running", "global_steps": 1}}

    def put(keys: list[str], partition_id: str, tags: list[dict[str, Any]]) -> None:
        for key, tag in zip(keys, tags, strict=True):
            queue.tags[partition_id][key].update(tag)

    monkeypatch.setattr(tq, "kv_batch_put", put)
    sampler = sampler_of(queue, monkeypatch, Restarted())
    batch, _ = sampler.sample(global_steps=1, partition_id="val", batch_size=1)
    assert list(batch.keys) == []


def test_a_reward_without_the_metric_is_an_error_that_lists_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RuntimeError, match=r"lacks 'accuracy'; it returned \['acc', 'domain', 'outcome', 'score_value'\]"
    ):
        run(Queue(mixed, batch=2), monkeypatch, batch=2, metric="accuracy")


def test_waking_up_takes_milliseconds_not_a_poll_of_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("innovator_rl.integrations.verl.dynamic_sampling.time.sleep", waits.append)
    run(Queue(mixed, batch=8, concurrency=1), monkeypatch, batch=8)
    assert len(waits) == 8  # a group finishes with each look
    assert min(waits) < 0.2
