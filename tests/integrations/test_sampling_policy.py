"""The refill policy alone: laws of its counts, and a simulated run next to one-for-one refills."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sampling import OneForOne, engine_figures, lognormal, simulate
from innovator_rl.integrations.verl.sampling_policy import LARGEST_EXCESS, PassRates, RefillPolicy, View
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.runs.run_dir import RunDir


def rates(kept: float, seen: float) -> PassRates:
    return PassRates({"a": kept}, {"a": seen})


@given(missing=st.integers(1, 600), seen=st.integers(0, 400), share=st.floats(0, 1))
def test_a_round_starts_enough_on_average_and_never_far_more(missing: int, seen: int, share: float) -> None:
    policy = RefillPolicy(rates(share * seen, seen))
    size, predicted = policy.round_size(missing), missing / policy.rates.overall()
    assert missing <= size
    assert predicted - 0.5 <= size <= max(predicted + 0.5, LARGEST_EXCESS * predicted)


def test_an_on_policy_round_waits_for_the_one_before() -> None:
    policy = RefillPolicy(PassRates())
    assert policy.to_start(View(8, 0, {}, 0, 0)) == 8
    assert policy.to_start(View(8, 3, {"a": 1}, 8, 100)) == 0
    assert policy.to_start(View(8, 8, {}, 8, 100)) == 0
    assert policy.to_start(View(8, 0, {}, 80, 100)) == 0  # max_rounds


def test_working_ahead_fills_free_slots_up_to_its_bound() -> None:
    policy = RefillPolicy(rates(499, 999), max_staleness=1)
    assert policy.rates.overall() == pytest.approx(0.5)
    assert policy.to_start(View(8, 0, {}, 0, 5)) == 5
    assert policy.to_start(View(8, 4, {"a": 16}, 0, 50)) in (8, 9)  # 16 - 4 - 16 / 2 are missing, two started for each
    assert policy.to_start(View(8, 8, {"a": 16}, 0, 50)) <= 1  # the bound is reached, up to rounding


def test_a_group_at_the_bound_of_staleness_holds_the_step() -> None:
    policy = RefillPolicy(PassRates(), max_staleness=2)
    assert policy.complete(8, 8, 1)
    assert not policy.complete(8, 8, 2)
    assert not policy.complete(8, 7, None)
    assert RefillPolicy(PassRates()).complete(8, 9, None)


def test_a_source_has_its_own_rate_and_old_steps_fade() -> None:
    found = PassRates()
    for _ in range(40):
        found.add("easy", True)
        found.add("hard", False)
    assert found.rate("easy") > 0.9
    assert found.rate("hard") < 0.1
    assert found.rate("new") == pytest.approx(found.overall())
    for _ in range(30):
        found.forget()
    assert found.overall() > 0.95  # as before there was anything
    again = PassRates()
    again.load_state_dict(found.state_dict())
    assert again == found


def test_slots_stay_full_where_one_for_one_leaves_them_empty() -> None:
    def run(policy: RefillPolicy) -> tuple[float, float, float]:
        figures = simulate(policy, prompts=48, samples=4, rate=0.5, steps=8, draw=lognormal(0), seed=1)
        return figures.in_flight, figures.step_time, figures.started

    old = run(OneForOne(PassRates()))
    on_policy = run(RefillPolicy(PassRates()))
    ahead = run(RefillPolicy(PassRates(), max_staleness=2))
    assert ahead[0] >= 0.8 > on_policy[0] > 2 * old[0]
    assert ahead[1] <= 1.2
    assert on_policy[1] < 0.5 * old[1]
    assert ahead[2] <= 1.3
    assert on_policy[2] <= 1.35


def test_the_rate_does_not_depend_on_which_source_finished_first() -> None:
    kept = {"a": 4.2, "b": 3.8, "c": 2.1}
    rates = [PassRates({name: kept[name] for name in order}, dict.fromkeys(order, 1.0)) for order in ("abc", "cba")]
    assert rates[0].overall() == rates[1].overall()


def test_what_an_engine_did_is_read_from_its_run(tmp_path: Path) -> None:
    """Steps 2 and 3: 8 s and 12 s of generation, whose longest answers took 4 s and 10 s; the first step warms up."""
    run = RunDir(tmp_path / "r")
    recorder = Recorder(run.path, writer="test", attempt=run.open_attempt(total_steps=3))
    for step, seconds in ((1, 1.0), (2, 4.0), (3, 10.0)):
        for sample, part in enumerate((0.5, 1.0)):
            recorder.rollout(
                RolloutRow(step=step, prompt_uid=f"g{step}", sample=sample, generate_seconds=part * seconds)
            )
    recorder.close()
    for step, seconds in ((1, 50.0), (2, 8.0), (3, 12.0)):
        figures = {"started_groups": 20.0, "kept_groups": 8.0, "generated_groups": 20.0, "dropped_surplus": 2.0}
        figures |= {"responses_in_flight": 48.0}
        metrics = {"timing_s/gen": seconds, **{f"sampling/{name}": value for name, value in figures.items()}}
        run.write_metrics(step, metrics)
    run.verl_yaml.write_text("trainer: {v1: {sampler: {sampler_kwargs: {slots: 64}}}}\n")
    run.finish("finished")
    assert engine_figures(run) == {"in flight": 0.75, "step time": 1.6, "started": 2.5, "pass rate": 0.5}
