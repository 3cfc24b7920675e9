"""Compare a program's results with the expected ones, as plain data.

Integers are exact. Decimal numbers agree within a relative 1e-6 or an absolute 1e-9, and never by more than one unit of
the last digit that the expected number shows; a row's `tolerance` replaces all of that. This module imports nothing of
the project, so that it works inside a sandbox, too.
"""

from __future__ import annotations

import decimal
import fractions
import math
import pathlib
import re
from collections.abc import Callable, Iterable
from typing import Any

RELATIVE, ABSOLUTE = 1e-6, 1e-9
MAX_SHOWN_DIGITS = 6
MAX_NUMBER_CHARS = 400
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]{1,5}))?", re.ASCII)


def same_output(expected: str, actual: str, tolerance: float | None = None) -> bool:
    """Compare two outputs line by line, up to spaces at the ends of lines.

    Args:
        expected: The right output.
        actual: The output of the program.
        tolerance: Where the lines differ, tokens are compared one by one, and decimal numbers may differ by this,
            relative or absolute; by default as the module describes.
    """
    wanted, given = ([line.rstrip() for line in text.strip().split("\n")] for text in (expected, actual))
    if wanted == given:
        return True
    left, right = expected.split(), actual.split()
    return len(left) == len(right) and all(a == b or _close(a, b, tolerance) for a, b in zip(left, right, strict=True))


def _close(expected: str, actual: str, tolerance: float | None) -> bool:
    if len(expected) > MAX_NUMBER_CHARS or len(actual) > MAX_NUMBER_CHARS:
        return False
    wanted, given = _NUMBER.fullmatch(expected), _NUMBER.fullmatch(actual)
    if wanted is None or given is None or not _is_decimal(expected, wanted):
        return False
    return close_numbers(float(expected), float(actual), tolerance, _shown(wanted))


def _is_decimal(text: str, match: re.Match[str]) -> bool:
    """Return whether a number is written as a decimal one: with a point, or as a small power of ten."""
    small = (match[3] or "").startswith("-") and text.lstrip("+-0")[:1] not in ("e", "E", "")
    return "." in text or small


def _shown(match: re.Match[str]) -> int | None:
    """Return how many digits after the point are shown, None for a power of ten."""
    return None if match[3] else len(match[1] or match[2] or "")


def unordered_output(expected: str, actual: str) -> bool:
    """Return whether two outputs have the same lines in any order, up to spaces."""
    return sorted(" ".join(line.split()) for line in expected.strip().splitlines()) == sorted(
        " ".join(line.split()) for line in actual.strip().splitlines()
    )


def same_value(expected: Any, actual: Any, tolerance: float | None = None) -> bool:
    """Compare plain data.

    Lists, tuples and iterators are alike, numbers agree as the module describes, a bool equals an expected 0 or 1, and
    keys of dictionaries are compared as JSON writes them.
    """
    pairs = [(expected, actual)]
    while pairs:
        wanted, given = pairs.pop()
        if isinstance(wanted, (list, tuple)) and _is_sequence(given):
            items = _first(given, len(wanted) + 1)
            if len(wanted) != len(items):
                return False
            pairs += zip(wanted, items, strict=True)
        elif isinstance(wanted, dict) and isinstance(given, dict):
            theirs = {str(key): value for key, value in given.items()}
            if {str(key) for key in wanted} != set(theirs) or len(theirs) != len(given):
                return False
            pairs += [(value, theirs[str(key)]) for key, value in wanted.items()]
        elif not _same_atom(wanted, given, tolerance):
            return False
    return True


def _is_sequence(value: Any) -> bool:
    if isinstance(value, (str, bytes, bytearray, dict, set, frozenset)):
        return False
    return isinstance(value, (list, tuple, range)) or hasattr(value, "__next__") or type(value).__name__ in _VIEWS


_VIEWS = ("deque", "array", "dict_keys", "dict_values", "dict_items")


def _first(values: Iterable[Any], count: int) -> list[Any]:
    """Return the first items, one more than are wanted at most: an iterator may be endless."""
    if isinstance(values, (list, tuple)):
        return list(values)
    return [item for item, _ in zip(values, range(count), strict=False)]


def _same_atom(wanted: Any, given: Any, tolerance: float | None) -> bool:
    if isinstance(wanted, bool):
        return wanted is given
    if isinstance(given, bool):
        return type(wanted) is int and wanted == int(given)
    if isinstance(wanted, (int, float)) and isinstance(given, (int, float, decimal.Decimal, fractions.Fraction)):
        if isinstance(wanted, int) and tolerance is None:
            return bool(wanted == given)
        if isinstance(wanted, int) and isinstance(given, int):
            return wanted == given
        match = _NUMBER.fullmatch(repr(wanted)) if isinstance(wanted, float) else None
        return close_numbers(wanted, given, tolerance, _shown(match) if match else None)
    if isinstance(wanted, str) and isinstance(given, pathlib.PurePath):
        return wanted == str(given)
    return type(wanted) is type(given) and bool(wanted == given)


def close_numbers(wanted: float, given: Any, tolerance: float | None = None, shown: int | None = None) -> bool:
    """Return whether two numbers of any size agree; nan agrees with nan.

    Args:
        wanted: The expected number.
        given: The number to compare.
        tolerance: Allowed difference, relative or absolute, in place of the defaults.
        shown: Digits after the point that the expected number shows.
    """
    try:
        given = float(given)
        if math.isinf(wanted) or math.isinf(given):
            return wanted == given and isinstance(wanted, float) and tolerance is None and shown is None
        if tolerance is not None:
            return math.isclose(wanted, given, rel_tol=tolerance, abs_tol=tolerance) or (
                wanted != wanted and given != given
            )
        allowed = RELATIVE * abs(wanted)
        if shown is not None:
            allowed = min(allowed, 10.0 ** -min(shown, MAX_SHOWN_DIGITS) * (1 + 1e-6))
        return abs(wanted - given) <= max(allowed, ABSOLUTE) or (wanted != wanted and given != given)
    except (OverflowError, ValueError):
        return bool(wanted == given)


def unordered_value(expected: Any, actual: Any, tolerance: float | None = None) -> bool:
    """Return whether two collections have the same elements in any order.

    The order is free at the outer level; elements are compared by `same_value`.
    """
    if not isinstance(expected, (list, tuple, set)) or isinstance(actual, (str, bytes, dict)):
        return same_value(expected, actual, tolerance)
    if not _is_sequence(actual) and not isinstance(actual, (set, frozenset)):
        return False
    left = list(_first(actual, len(expected) + 1))
    if len(expected) != len(left):
        return False
    for wanted in expected:
        found = next((place for place, given in enumerate(left) if same_value(wanted, given, tolerance)), None)
        if found is None:
            return False
        left.pop(found)
    return True


def alternatives(expected: Any) -> list[Any]:
    """`{"any": [...]}` lists several right answers."""
    if isinstance(expected, dict) and set(expected) == {"any"} and isinstance(expected["any"], list):
        return list(expected["any"])
    return [expected]


def comparison(tests: dict[str, Any], output: bool) -> Callable[[Any, Any], bool]:
    """Return the comparison that the tests name.

    Args:
        tests: The tests of a row; `compare` is `exact`, `unordered` or absent, `tolerance` is for decimal numbers.
        output: Whether outputs are compared, and not values.

    Raises:
        ValueError: For an unknown name.
    """
    name = tests.get("compare") or ""
    tolerance = None if tests.get("tolerance") is None else float(tests["tolerance"])
    if name == "unordered":
        return unordered_output if output else lambda a, b: unordered_value(a, b, tolerance)
    if name == "exact":
        return (lambda wanted, actual: bool(wanted == actual)) if output else lambda a, b: same_value(a, b, 0.0)
    if name:
        raise ValueError(f"compare is {name!r}; it must be exact or unordered")
    if output:
        return lambda wanted, actual: same_output(wanted, actual, tolerance)
    return lambda wanted, actual: same_value(wanted, actual, tolerance)
