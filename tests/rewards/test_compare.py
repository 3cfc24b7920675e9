"""Comparison outside the sandbox: white space, tolerance, plain types, any size."""

import itertools
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.code.sandbox.inside.comparison import (
    alternatives,
    comparison,
    same_output,
    same_value,
    unordered_output,
    unordered_value,
)


@pytest.mark.parametrize(
    ("expected", "said", "same"),
    [
        ("1 2\n", "1 2", True),
        ("1 2  \n\n", "1 2\n", True),
        ("1 2", "1\n2", True),
        ("0.3333333333", "0.33333334", True),
        ("1.5", "1.5e0", True),
        ("1.0", "1", True),
        ("1", "1.0", False),
        ("1000000", "1000001", False),
        ("0.5", "0.6", False),
        ("nan", "nan", True),
        ("1234567.89", "1234567.01", False),
        ("1234567.89", "1234567.88", True),
        ("0.000000500", "0.0", False),
        ("0e12", "0e99", False),
        ("1e1", "10", False),
        ("1e400", "1e999", False),
        ("1e-07", "0.0000001", True),
        ("10.0", "1_0", False),
        ("3.0", "\u0663.0", False),
        ("yes", "Yes", False),
        ("", "", True),
        ("1", "", False),
    ],
)
def test_output(expected: str, said: str, same: bool) -> None:
    assert same_output(expected, said) is same


@pytest.mark.parametrize(
    ("expected", "said", "same"),
    [
        ([1.0, {"a": None}], [1.0000000001, {"a": None}], True),
        ([1], [1.0000000001], False),
        (1000000007, 1000000006.5, False),
        (2, 2.0, True),
        (1234567.89, 1234567.01, False),
        (0.5, Decimal("0.5"), True),
        (0.5, Fraction(1, 2), True),
        ([0, 1], range(2), True),
        ([0, 1], itertools.count(), False),
        ([1], {1: 2}.keys(), True),
        ([1, 2], (1, 2), True),
        ({"1": "x"}, {1: "x"}, True),
        ({"1": "x"}, {1: "x", "1": "y"}, False),
        (1, True, True),
        (0, True, False),
        (1.0, True, False),
        (True, 1, False),
        ("1", 1, False),
        (None, 0, False),
        (10**400, 10**400, True),
        (10**400, 1.0, False),
        (float("nan"), float("nan"), True),
        ([[1]], [[1, 1]], False),
    ],
)
def test_values(expected: object, said: object, same: bool) -> None:
    assert same_value(expected, said) is same


@given(
    st.lists(st.integers() | st.text(max_size=3), max_size=6).flatmap(
        lambda x: st.tuples(st.just(x), st.permutations(x))
    )
)
def test_order_may_be_left_open(pair: tuple[list[object], list[object]]) -> None:
    wanted, said = pair
    assert unordered_value(wanted, said)
    assert not unordered_value(wanted, [*said, 0])
    assert unordered_output("\n".join(map(str, range(5))), " \n".join(map(str, range(4, -1, -1))))


def test_named_comparisons() -> None:
    assert not comparison({"compare": "exact"}, True)("1\n", "1")
    assert not comparison({"compare": "exact"}, False)(1.0, 1.0000001)
    assert comparison({"tolerance": 0.1}, True)("1.0", "1.05")
    assert alternatives({"any": [1, 2]}) == [1, 2]
    with pytest.raises(ValueError, match="exact or unordered"):
        comparison({"compare": "nearly"}, False)


def test_depth_does_not_matter() -> None:
    deep, other = [], []  # type: ignore[var-annotated]
    for _ in range(100_000):
        deep, other = [deep], [other]
    assert same_value(deep, other)
    while deep:
        (deep,), (other,) = deep, other
