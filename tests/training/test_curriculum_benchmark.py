"""The comparison of curriculum and uniform draws: where a curve reaches a target, and the interval over paired seeds."""

import math
from pathlib import Path

import pytest
from scipy import stats

from benchmarks.curriculum import Reached, earlier, interval, measure, reached, report
from benchmarks.learn import done
from innovator_rl.runs.run_dir import RunDir


def test_the_target_is_interpolated_between_validations() -> None:
    groups = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    curve = {0: 0.1, 3: 0.3, 6: 0.6}
    mean = pytest.approx((0.1 + 1 / 6 + 7 / 30 + 0.3 + 0.4 + 0.5 + 0.6) / 7)
    assert reached(curve, groups, 0.3) == Reached(pytest.approx(3.0), pytest.approx(60.0), 0.6, mean, 210.0)
    assert reached(curve, groups, 0.45) == Reached(pytest.approx(4.5), pytest.approx(125.0), 0.6, mean, 210.0)
    assert reached(curve, groups, 0.05) == Reached(0.0, 0.0, 0.6, mean, 210.0)
    assert reached(curve, groups, 0.7) == Reached(None, None, 0.6, mean, 210.0)


def test_the_first_crossing_counts_where_a_curve_falls_again() -> None:
    assert reached({0: 0.2, 2: 0.6, 4: 0.4}, [1.0] * 4, 0.4).steps == pytest.approx(1.0)


def test_the_interval_is_students() -> None:
    values = [1.0, 2.0, 6.0]
    low, high = stats.t.interval(0.95, 2, loc=3.0, scale=stats.sem(values))
    mean, half = interval(values)
    assert (mean - half, mean + half) == (pytest.approx(low), pytest.approx(high))
    assert math.isinf(interval([1.0])[1])


def test_only_pairs_that_both_reached_it_are_compared() -> None:
    found = {
        "uniform": {0: Reached(8.0, 100.0, 0.6), 1: Reached(9.0, 110.0, 0.6), 2: Reached(None, None, 0.3)},
        "curriculum": {0: Reached(6.0, 70.0, 0.6), 1: Reached(7.0, 90.0, 0.6), 2: Reached(5.0, 60.0, 0.6)},
    }
    text = report(found, 15, 0.5)
    assert "uniform    seed 2: more than 15 steps (at the end 30.0%, " in text
    assert "curriculum - uniform: -2.0 ± 0.0 steps (2 of 3 seeds)" in text
    assert "-25 ± 64 groups (2 of 3 seeds)" in text


def test_a_run_that_learned_all_it_can_is_done_and_measured_to_its_end(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "short")
    run.open_attempt(total_steps=6)
    run.write_metrics(0, {"val-core/sums/acc/mean@2": 0.2, "val-core/atoms/acc/mean@2": 0.4})
    for step in range(1, 5):
        run.write_metrics(step, {"sampling/started_groups": 10.0})
    run.write_metrics(3, {"val-core/sums/acc/mean@2": 0.6, "val-core/atoms/acc/mean@2": 0.6})
    assert not done(run, 6)
    run.finish("failed", cause="NoLearningSignal: 36 prompt groups and not one with both right and wrong samples")
    assert done(run, 6)
    found = measure(run, 6, target=0.45)
    assert (found.steps, found.groups, found.generated) == (pytest.approx(1.5), pytest.approx(15.0), 40.0)
    assert found.mean == pytest.approx((0.3 + 0.4 + 0.5 + 4 * 0.6) / 7)


def test_results_of_an_earlier_call_count_where_the_settings_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "curriculum.json"
    settings = {"target": 0.6, "rows": 40, "steps": 15}
    assert earlier(file, settings) == {}
    file.write_text('{"target": 0.6, "rows": 40, "steps": 15, "uniform": {"0": {"steps": 3.0}}}')
    assert earlier(file, settings)["uniform"] == {"0": {"steps": 3.0}}
    assert earlier(file, settings | {"rows": 80}) == {}
