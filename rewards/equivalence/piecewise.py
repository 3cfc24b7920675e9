r"""Read `\begin{cases}`: a system of equations becomes a list, values with conditions become rows to compare.

Rows may stand in any order. Their conditions are compared as inequalities, so `x \ge 0` is `0 \le x`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import mpmath

from rewards.equivalence.evaluation import DIGITS, evaluate, symbols
from rewards.equivalence.normalize import split_top, stripped
from rewards.equivalence.numeric_equivalence import Comparison, readings, values_at
from rewards.equivalence.sets import RealSet, probes, real_set

_CASES = re.compile(r"\s*\\begin\{(?:d|r)?cases\}(.*)\\end\{(?:d|r)?cases\}\s*", re.DOTALL)
_BREAK = re.compile(r"\\\\(?:\[[^\]]*\])?")
_WHEN = re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*,?\s*(?:if|for|when|where|as)?\s*,?\s*\}|\b(?:if|for|when)\b")
_OTHERWISE = re.compile(r"\\?(?:text|mathrm|mbox)?\s*\{?\s*(?:otherwise|else|elsewhere)\s*\}?\s*")
MAX_ROWS = 12


def system(text: str) -> str | None:
    """Return the equations of a brace without conditions as a list; None for anything else."""
    rows = _rows(text)
    if rows is None or any("&" in row for row in rows) or not all("=" in row for row in rows):
        return None
    return ", ".join(row.rstrip(" ,.;") for row in rows)


def branches(text: str) -> list[tuple[str, str]] | None:
    """Return value and condition of each row; None where a row has no condition."""
    rows = _rows(text)
    if rows is None:
        return None
    found = []
    for row in rows:
        value, mark, condition = row.partition("&")
        if not mark:
            parts = split_top(row, ",")
            value, condition = parts[0], ", ".join(parts[1:])
        condition = "otherwise" if _OTHERWISE.fullmatch(condition.strip(" ,.")) else _WHEN.sub(" ", condition)
        value, condition = stripped(value).strip(" ,;"), stripped(condition).strip(" ,;.")
        if not value or not condition:
            return None
        found.append((value, condition))
    return found


def same_branches(
    first: list[tuple[str, str]], second: list[tuple[str, str]], same: Callable[[str, str], bool]
) -> bool:
    """Return whether two functions by cases have the same values under the same conditions."""
    left = list(second)
    for value, condition in first:
        hit = next((row for row in left if same(condition, row[1]) and same(value, row[0])), None)
        if hit is None:
            return False
        left.remove(hit)
    return not left


def same_by_cases(rows: list[tuple[str, str]], formula: str, comparison: Comparison) -> bool:
    r"""Return whether a function by cases has the values of a formula, as `|x|` has those of its two halves.

    The conditions are sets of one variable with numbers for ends; the values are compared at every end and between.

    Args:
        rows: Value and condition of each case.
        formula: A formula in TeX, or another function by cases.
        comparison: The comparison under way.
    """
    others = branches(formula)
    sides = [_cases(rows), _cases(others) if others else [(formula, None)]]
    if None in sides:
        return False
    names = {part.name for side in sides for _, part in side or () if part} - {""}
    ends = tuple(end for side in sides for _, part in side or () if part for end in part.ends)
    if len(names) != 1:
        return False
    name = names.pop()
    with mpmath.workdps(DIGITS):
        return all(_same_at(point, name, sides, comparison) for point in probes(ends))


def _cases(rows: list[tuple[str, str]]) -> list[tuple[str, RealSet | None]] | None:
    """Return the values with the sets they hold on; None where a condition is no such set. Only the last may be none."""
    sets = [None if condition == "otherwise" else real_set(condition) for _, condition in rows]
    if None in sets[:-1] or (sets[-1] is None and rows[-1][1] != "otherwise"):
        return None
    return [(value, found) for (value, _), found in zip(rows, sets, strict=True)]


def _same_at(point: Any, name: str, sides: list[Any], comparison: Comparison) -> bool:
    """Return whether both sides have one value at a point; a point that a side leaves out proves nothing."""
    texts = [next((value for value, part in side if part is None or part.contains(point)), None) for side in sides]
    if None in texts:
        return True
    first, second = readings(*texts)[0]
    values = values_at(symbols(first) | symbols(second), 0, comparison.config) | {name: point}
    a, b = (evaluate(tree, values, comparison.budget) for tree in (first, second))
    return bool(abs(a - b) <= mpmath.mpf(10) ** -20 * max(abs(a), abs(b), mpmath.mpf(10) ** -10))


def _rows(text: str) -> list[str] | None:
    match = _CASES.fullmatch(text)
    if match is None:
        return None
    rows = [stripped(row) for row in _BREAK.split(match.group(1))]
    rows = [row for row in rows if row.strip(" ,.;")]
    return rows if 0 < len(rows) <= MAX_ROWS else None
