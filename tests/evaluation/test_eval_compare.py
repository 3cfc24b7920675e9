"""Paired comparisons against known values and laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from innovator_rl.evaluation.compare import compare, markdown, mcnemar, paired, wins

ANSWERS = st.dictionaries(st.sampled_from([f"r{i}" for i in range(12)]), st.sampled_from([0.0, 1.0]), min_size=2)


def test_mcnemar_has_the_known_value() -> None:
    assert mcnemar(12, 4) == pytest.approx(0.0768, abs=5e-5)
    assert mcnemar(0, 0) == 1.0


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    if first + second:
        assert mcnemar(first, second) == pytest.approx(binomtest(min(first, second), first + second, 0.5).pvalue)


@given(ANSWERS, ANSWERS)
def test_swapping_the_checkpoints_swaps_solved_and_lost(first: dict[str, float], second: dict[str, float]) -> None:
    there, back = paired("t", first, second), paired("t", second, first)
    assert there.newly_solved == back.newly_lost
    assert there.p == back.p
    assert there.n == len(first.keys() & second.keys())
    if there.n:
        assert there.difference == pytest.approx(-back.difference)
        assert there.difference == pytest.approx((len(there.newly_solved) - len(there.newly_lost)) / there.n)


def test_only_rows_that_both_answered_count() -> None:
    found = paired("t", {"a": 0.0, "b": 1.0, "only first": 1.0}, {"a": 1.0, "b": 1.0, "only second": 0.0})
    assert (found.n, found.difference, found.newly_solved, found.newly_lost) == (2, 0.5, ("a",), ())


def document(model: str, **scores: float) -> dict[str, object]:
    rows = [
        {
            "task": t,
            "title": t,
            "metric": "acc",
            "score": s,
            "n": 4,
            "interval": None,
            "skipped": None,
            "main": True,
            "share": True,
        }
        for t, s in scores.items()
    ]
    values = {t: {"values": {str(i): float(i < 4 * s) for i in range(4)}} for t, s in scores.items()}
    return {"model": model, "rows": rows, "tasks": values}


def test_wins_and_ties_are_counted_apart() -> None:
    documents = [document("one", x=0.5, y=0.75, z=0.25), document("two", x=0.5, y=0.5, z=0.75)]
    assert [(item["wins"], item["ties"], item["tasks"]) for item in wins(documents)] == [(1, 1, 3), (1, 1, 3)]
    assert [item["win_rate"] for item in wins(documents)] == [pytest.approx(2 / 3)] * 2
    by_task = {item["task"]: item for item in compare(documents)}
    assert by_task["z"]["metric"] == "acc"
    assert by_task["z"]["newly_solved"] == ("1", "2")
    assert by_task["y"]["newly_lost"] == ("2",)
    text = markdown(documents)
    assert "+50.0" in text
    assert "Newly solved by two in z: 1, 2" in text
