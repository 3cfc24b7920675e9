"""A simulated run keeps the laws of queues and batches, repeats by its seed, and predicts a recorded run."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.cli.main import main
from innovator_rl.config import load
from innovator_rl.errors import UserError
from innovator_rl.planning import calibration
from innovator_rl.planning.costs import Costs
from innovator_rl.planning.simulation import Disturbances, Settings, Simulation, StepTimes, busiest, with_failures
from innovator_rl.planning.timing import Assumptions
from innovator_rl.planning.workload import Group, Workload

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).with_name("recorded_moe")
COSTS = Costs(
    replicas=1,
    slots=4,
    ranks=2,
    decode=lambda answers, cached: 1.0,
    prefill=lambda tokens: 0.0,
    update=lambda tokens: 0.01 * tokens,
    network=lambda tokens: 0.0,
    log_probs=lambda tokens: 0.002 * tokens,
    sync=3.0,
    rest=0.5,
)
PLAIN = Settings(prompts=4, prompts_per_update=2, samples=2, dynamic_sampling=False, reward_workers=8)
lengths = st.lists(st.lists(st.integers(1, 50), min_size=2, max_size=2), min_size=4, max_size=4)


def groups_of(rows: list[list[int]], scoring: float = 0.0, teaches: bool = True) -> Workload:
    """A workload whose draws are the rows in turn."""
    source = Workload(0, recorded=[Group(1, tuple(row), (scoring,) * len(row), teaches) for row in rows])
    turn = iter(range(10**6))
    source._random.choice = lambda groups: groups[next(turn) % len(groups)]  # type: ignore[method-assign]
    return source


def generation(step: StepTimes) -> float:
    return step.generate + step.idle + step.scores


def list_schedule(rows: list[list[int]], slots: int) -> int:
    """The end of the last of the answers that take slots in order of arrival."""
    free = [0] * slots
    for length in (length for row in rows for length in row):
        free.sort()
        free[0] += length
    return max(free)


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(1, 9))
def test_slots_are_taken_in_order_of_arrival(rows: list[list[int]], slots: int) -> None:
    step = Simulation(replace(COSTS, slots=slots), PLAIN, groups_of(rows)).run(1)[0]
    assert generation(step) == pytest.approx(list_schedule(rows, slots))


@settings(max_examples=40, deadline=None)
@given(lengths, st.integers(1, 8), st.integers(1, 8))
def test_more_slots_or_reward_workers_are_never_slower(rows: list[list[int]], fewer: int, more: int) -> None:
    few, many = sorted((fewer, more))
    slots = [Simulation(replace(COSTS, slots=n), PLAIN, groups_of(rows)).run(1)[0].total for n in (few, many)]
    assert slots[1] <= slots[0] + 1e-9
    scored = [
        Simulation(replace(COSTS, slots=99), replace(PLAIN, reward_workers=n), groups_of(rows, scoring=7.0))
        .run(1)[0]
        .total
        for n in (few, many)
    ]
    assert scored[1] <= scored[0] + 1e-9


@settings(max_examples=40, deadline=None)
@given(lengths)
def test_the_parts_of_a_step_add_up_to_the_clock(rows: list[list[int]]) -> None:
    run = Simulation(replace(COSTS, replicas=3, slots=1), PLAIN, groups_of(rows, scoring=0.3))
    times = run.run(3)
    assert sum(step.total for step in times) == pytest.approx(run.rollouts.now)
    assert all(step.sync == 3.0 and step.rest == 0.5 for step in times)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10**5), min_size=1, max_size=40), st.integers(1, 12))
def test_the_busiest_rank_has_the_mean_at_least_and_one_sequence_more_at_most(sizes: list[int], ranks: int) -> None:
    worst = busiest(sizes, ranks)
    assert max(max(sizes), sum(sizes) / ranks) <= worst <= sum(sizes) / min(ranks, len(sizes)) + max(sizes)


def test_equal_sequences_have_no_imbalance_and_one_long_one_has() -> None:
    equal = Simulation(COSTS, PLAIN, groups_of([[10, 10]])).run(1)[0]
    long = Simulation(COSTS, PLAIN, groups_of([[10, 10], [10, 10], [10, 90], [10, 10]])).run(1)[0]
    assert equal.imbalance == 0.0
    assert long.imbalance > 0.0


def test_a_token_that_more_answers_share_takes_longer() -> None:
    shared = replace(COSTS, slots=8, decode=lambda answers, cached: 0.5 + 0.1 * answers)
    one = Simulation(shared, replace(PLAIN, prompts=1, prompts_per_update=1, samples=1), groups_of([[40]])).run(1)[0]
    many = Simulation(shared, PLAIN, groups_of([[40, 40]])).run(1)[0]
    assert generation(one) == pytest.approx(40 * 0.6)
    assert generation(many) == pytest.approx(40 * 1.3)


def test_dropped_groups_cost_rounds_and_a_hopeless_run_ends() -> None:
    half = replace(PLAIN, dynamic_sampling=True)
    rows = [Group(1, (20, 20), (0.0, 0.0), teaches) for teaches in (True, False)]
    mixed = mean(step.total for step in Simulation(COSTS, half, Workload(3, recorded=rows)).run(20))
    every = mean(step.total for step in Simulation(COSTS, PLAIN, Workload(3, recorded=rows)).run(20))
    assert mixed > 1.5 * every
    hopeless = Simulation(COSTS, replace(half, max_rounds=3), groups_of([[5, 5]], teaches=False)).run(2)
    assert all(step.update > 0 for step in hopeless)


def test_answers_that_continue_in_the_next_step_fill_the_slots_of_a_long_tail() -> None:
    source = [Group(1, (10, 10) if number % 5 else (10, 400), (0.0, 0.0), True) for number in range(50)]
    settings_ = replace(PLAIN, prompts=8, prompts_per_update=8)
    costs = replace(COSTS, slots=16)
    seconds = {
        bound: mean(
            step.total
            for step in Simulation(costs, replace(settings_, max_staleness=bound), Workload(1, recorded=source)).run(
                30
            )[5:]
        )
        for bound in (0, 1, 4)
    }
    assert seconds[4] < seconds[1] < seconds[0]


def test_slow_gpus_slow_everything_that_waits_for_them() -> None:
    fast = Simulation(COSTS, PLAIN, groups_of([[10, 10]]), Disturbances(slow_share=0.0)).run(1)[0]
    slow = Simulation(COSTS, PLAIN, groups_of([[10, 10]]), Disturbances(slow_share=1.0, slow_factor=2.0)).run(1)[0]
    assert generation(slow) == pytest.approx(2 * generation(fast))
    assert slow.update + slow.imbalance == pytest.approx(2 * fast.update)


def test_a_seed_gives_one_result() -> None:
    def times(seed: int) -> list[StepTimes]:
        config = load(ROOT / "configs/train/moe.yaml", [])
        return Simulation(COSTS, PLAIN, Workload.stated(config, Assumptions(), seed), Disturbances(), seed).run(3)

    assert times(1) == times(1)
    assert times(1) != times(2)


def test_stated_lengths_have_the_mean_of_the_plan_and_never_exceed_the_longest() -> None:
    config = load(ROOT / "configs/train/innovator-53b.yaml", [])
    for share in (0.1, 0.4, 0.7):
        source = Workload.stated(config, replace(Assumptions(), mean_response=share))
        drawn = [length for _ in range(800) for length in source.draw().lengths]
        assert mean(drawn) == pytest.approx(share * 16384, rel=0.05)
        assert max(drawn) <= 16384


def test_failures_cost_what_the_exponential_law_says() -> None:
    step = StepTimes(update=100.0)
    often = Disturbances(mtbf_hours=1.0, restart_seconds=60.0)
    rate, piece = 8 / 3600.0, 400.0
    expected = 3 * (math.exp(rate * piece) - 1) * (1 / rate + 60.0)
    drawn = [with_failures([step], 12, 4, 8, often, seed) for seed in range(3)]
    assert mean(one.seconds for one in drawn) == pytest.approx(expected, rel=0.05)
    assert all(one.seconds == pytest.approx(1200 + one.redone + one.restarts) for one in drawn)
    rare = with_failures([step], 12, 4, 8, Disturbances(mtbf_hours=1e12))
    assert (rare.seconds, rare.failures) == (1200.0, 0.0)


def test_a_recorded_run_is_predicted_from_its_first_half() -> None:
    found = calibration.check(RECORDED)
    assert set(found.fitted).isdisjoint(found.predicted)
    assert 0.75 < found.ratio("step") < 1.33, "\n".join(found.lines())
    assert 0.75 < found.ratio("generate") < 1.33, "\n".join(found.lines())


def test_a_run_with_too_few_steps_is_one_line() -> None:
    with pytest.raises(UserError, match="expected at least 4"):
        calibration.check(ROOT / "tests/runs/recorded_v0")


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "simulate", str(ROOT / "configs/train/moe.yaml"), "--gpus", "2,4", "--per-node", "2"]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--json"])
    assert stop.value.code == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["gpus"], one["max_staleness"]) for one in shown["scales"]] == [(2, 0), (4, 0), (2, 1), (4, 1)]
    assert shown["assumed"]["mfu"] == "0.2"
    with pytest.raises(SystemExit) as stop:
        main([*words, "--from", str(RECORDED), "--staleness", "0"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "seconds of a step" in text
    assert f"lengths recorded in {RECORDED}" in text
    with pytest.raises(SystemExit) as stop:
        main([*words, "--staleness", "x"])
    assert stop.value.code == 2
    assert "must be whole numbers" in capsys.readouterr().err
