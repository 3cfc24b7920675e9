r"""Read `\begin{cases}`: a system of equations becomes a list, values with conditions become rows to compare.

Rows may stand in any order. Their conditions are compared as inequalities, so `x \ge 0` is `0 \le x`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rewards.equivalence.normalize import split_top, stripped

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


def _rows(text: str) -> list[str] | None:
    match = _CASES.fullmatch(text)
    if match is None:
        return None
    rows = [stripped(row) for row in _BREAK.split(match.group(1))]
    rows = [row for row in rows if row.strip(" ,.;")]
    return rows if 0 < len(rows) <= MAX_ROWS else None
