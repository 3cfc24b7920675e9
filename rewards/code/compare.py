"""Compare a program's results with the expected ones, as plain data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

TOLERANCE = 1e-6
JUDGE = "judge"


def same_output(expected: str, actual: str, tolerance: float = TOLERANCE) -> bool:
    """Compare two outputs line by line, up to spaces at the ends of lines.

    Where the lines differ, tokens are compared one by one, and decimal numbers may differ by `tolerance`, relative or
    absolute.
    """
    wanted, given = ([line.rstrip() for line in text.strip().splitlines()] for text in (expected, actual))
    if wanted == given:
        return True
    left, right = expected.split(), actual.split()
    return len(left) == len(right) and all(a == b or _close(a, b, tolerance) for a, b in zip(left, right, strict=True))


def _close(expected: str, actual: str, tolerance: float) -> bool:
    if len(expected) > 400 or len(actual) > 400:
        return False
    try:
        x, y = float(expected), float(actual)
    except ValueError:
        return False
    decimal = "." in expected or "e" in expected.lower()
    return decimal and math.isclose(x, y, rel_tol=tolerance, abs_tol=tolerance)


def unordered_output(expected: str, actual: str) -> bool:
    """Return the same lines in any order, each up to spaces."""
    return sorted(" ".join(line.split()) for line in expected.strip().splitlines()) == sorted(
        " ".join(line.split()) for line in actual.strip().splitlines()
    )


def same_value(expected: Any, actual: Any, tolerance: float = TOLERANCE) -> bool:
    """Compare plain data.

    Lists and tuples are alike, floats agree within `tolerance`, a bool equals only a bool, and keys of dictionaries
    are compared as JSON writes them.
    """
    pairs = [(expected, actual)]
    while pairs:
        wanted, given = pairs.pop()
        if isinstance(wanted, (list, tuple)) and isinstance(given, (list, tuple)):
            if len(wanted) != len(given):
                return False
            pairs += zip(wanted, given, strict=True)
        elif isinstance(wanted, dict) and isinstance(given, dict):
            theirs = {str(key): value for key, value in given.items()}
            if {str(key) for key in wanted} != set(theirs) or len(theirs) != len(given):
                return False
            pairs += [(value, theirs[str(key)]) for key, value in wanted.items()]
        elif not _same_atom(wanted, given, tolerance):
            return False
    return True


def _same_atom(wanted: Any, given: Any, tolerance: float) -> bool:
    if isinstance(wanted, bool) or isinstance(given, bool):
        return wanted is given
    if isinstance(wanted, (int, float)) and isinstance(given, (int, float)):
        if isinstance(wanted, float) or isinstance(given, float):
            return close_numbers(wanted, given, tolerance)
        return wanted == given
    return type(wanted) is type(given) and bool(wanted == given)


def close_numbers(wanted: float, given: float, tolerance: float) -> bool:
    """`math.isclose` for numbers of any size; nan agrees with nan."""
    try:
        return math.isclose(wanted, given, rel_tol=tolerance, abs_tol=tolerance) or (
            wanted != wanted and given != given
        )
    except OverflowError:
        return wanted == given


def unordered_value(expected: Any, actual: Any) -> bool:
    """Return the same elements in any order, at the outer level.

    Each as `same_value` sees it.
    """
    if not isinstance(expected, (list, tuple, set)) or not isinstance(actual, (list, tuple, set)):
        return same_value(expected, actual)
    if len(expected) != len(actual):
        return False
    left = list(actual)
    for wanted in expected:
        found = next((place for place, given in enumerate(left) if same_value(wanted, given)), None)
        if found is None:
            return False
        left.pop(found)
    return True


def custom_checker_of(tests: dict[str, Any]) -> Callable[..., Any] | None:
    """Return the custom checker of the tests, the function `judge` of their source.

    It belongs to the data set, not to the model, and runs here. What compiling or running the text raises passes
    through.
    """
    if not tests.get(JUDGE):
        return None
    space: dict[str, Any] = {"__name__": "judge"}
    exec(compile(tests[JUDGE], "judge.py", "exec"), space)
    found: Callable[..., Any] = space[JUDGE]
    return found


def alternatives(expected: Any) -> list[Any]:
    """`{"any": [...]}` lists several right answers."""
    if isinstance(expected, dict) and set(expected) == {"any"} and isinstance(expected["any"], list):
        return list(expected["any"])
    return [expected]


def comparison(tests: dict[str, Any], output: bool) -> Callable[[Any, Any], bool]:
    """Return the comparison that the tests name.

    Args:
        tests: The tests of a row; `compare` is `exact`, `unordered` or absent, `tolerance` is for floats.
        output: Whether outputs are compared, and not values.

    Raises:
        ValueError: For an unknown name.
    """
    name, tolerance = tests.get("compare", ""), float(tests.get("tolerance", TOLERANCE))
    if name == "unordered":
        return unordered_output if output else unordered_value
    if name == "exact":
        return (lambda wanted, actual: bool(wanted == actual)) if output else lambda a, b: same_value(a, b, 0.0)
    if name:
        raise ValueError(f"compare is {name!r}; it can be exact or unordered")
    if output:
        return lambda wanted, actual: same_output(wanted, actual, tolerance)
    return lambda wanted, actual: same_value(wanted, actual, tolerance)
