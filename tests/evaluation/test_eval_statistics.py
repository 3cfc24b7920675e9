"""Scores and intervals against known values and laws."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.evaluation.statistics import bootstrap, grouped_mean, majority, mean_estimate, pass_at_k, wilson


def test_known_values() -> None:
    assert pass_at_k(8, 2, 4) == pytest.approx(0.7857142857)
    assert pass_at_k(16, 4, 8) == pytest.approx(0.9615384615)
    low, high = wilson(5, 30)
    assert (round(low, 3), round(high, 3)) == (0.073, 0.336)


@given(st.integers(1, 7), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(samples: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    subsets = list(combinations([i < right for i in range(samples)], k))
    assert pass_at_k(samples, right, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@given(st.integers(1, 400), st.data())
def test_wilson_holds_the_share_and_stays_in_bounds(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    low, high = wilson(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1


def test_intervals_resample_rows_and_narrow_with_them() -> None:
    few, many = mean_estimate([0.25, 0.75] * 10), mean_estimate([0.25, 0.75] * 1000)
    assert few.interval is not None
    assert many.interval is not None
    assert few.interval[1] - few.interval[0] > 5 * (many.interval[1] - many.interval[0])
    values = np.array([0.25, 0.75] * 10)
    assert bootstrap(20, lambda rows: float(values[rows].mean())) == pytest.approx(few.interval, abs=0.05)
    assert bootstrap(1, lambda rows: 1.0) is None
    assert mean_estimate([]).n == 0


def test_majority_votes() -> None:
    assert majority(["4", "5", "4"], [True, False, True])
    assert not majority(["4", "5", "5"], [True, False, False])
    assert majority([None, "4", ""], [False, True, False])
    assert not majority([None, None], [False, False])
    assert majority(["4", "5"], [True, False])  # a tie goes to the answer given first


def test_an_interval_over_few_groups_covers_the_mean_as_often_as_it_states() -> None:
    """Six groups of 20 rows that share a chance of being right; an interval of the normal distribution covers 90 %."""
    random = np.random.default_rng(1)
    names = [f"g{group}" for group in range(6) for _ in range(20)]
    covered = 0
    for _ in range(500):
        chances = np.repeat(random.beta(2, 2, 6), 20)
        interval = mean_estimate(list((random.random(120) < chances).astype(float)), names).interval
        assert interval is not None
        covered += interval[0] <= 0.5 <= interval[1]
    assert 0.93 <= covered / 500 <= 0.97


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_score_of_all_or_nothing_over_groups_has_the_interval_of_as_many_rows(value: float) -> None:
    names = [f"g{place // 10}" for place in range(40)]
    assert mean_estimate([value] * 40, names).interval == wilson(value * 4, 4)
    assert mean_estimate([0.5] * 40, names).interval == (0.5, 0.5)


def test_rows_that_stand_alone_are_groups_of_one() -> None:
    values = [0.0, 0.25, 0.5, 1.0, 1.0, 0.75]
    alone, named = grouped_mean(values, [""] * 6), grouped_mean(values, list("abcdef"))
    assert alone == named
    assert alone.error == pytest.approx(np.std(values, ddof=1) / 6**0.5)
    assert grouped_mean(values, ["a"] * 6).interval is None
    assert mean_estimate(values, [""] * 6) == mean_estimate(values)
    assert (grouped_mean([1.0, 1.0], ["", ""]).p, grouped_mean([0.0, 0.0], ["", ""]).p) == (0.0, 1.0)
