"""Compare lists, sets, tuples, vectors and matrices member by member.

    Members(is_equivalent, comparison).same("(1, 2)", "x = 1, y = 2")

A list of solutions also agrees with the equation that has them, and a list with one that repeats a member.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Protocol

from rewards.equivalence.containers import MAX_ITEMS, Items, brackets_match, items
from rewards.equivalence.equations import name_of, same_equations
from rewards.equivalence.evaluation import symbols
from rewards.equivalence.intervals import has_relation
from rewards.equivalence.normalize import encloses, split_top
from rewards.equivalence.numeric_equivalence import Comparison, readings, same_formula

MAX_SOLUTIONS = 6
_POINT = re.compile(r"-?\d{1,30}\.\d{1,60}")
_WHOLE = re.compile(r"-?\d{1,30}")
_NAMED_TUPLE = re.compile(r"\((.*)\)\s*=\s*(\(.*\))", re.DOTALL)


class SameAnswer(Protocol):
    """Whether two answers agree; members of a list also by the name on the left of an equation."""

    def __call__(self, gold: str, predicted: str, in_list: bool = False) -> bool:
        """Return whether they agree."""


@dataclass(frozen=True)
class Members:
    """How answers of several members are compared.

    Attributes:
        is_equivalent: Decides about two members.
        comparison: What counts as equal, and the budget.
    """

    is_equivalent: SameAnswer
    comparison: Comparison

    def same(self, gold: str, predicted: str) -> bool | None:
        """Compare by members where either answer has several; None where neither has."""
        named = [_named_tuple(text) for text in (gold, predicted)]
        first, second = (found or items(text) for found, text in zip(named, (gold, predicted), strict=True))
        first, second = _without_conditions(first, second), _without_conditions(second, first)
        if len(first.parts) == 1 and len(second.parts) == 1:
            if first.parts[0] != gold or second.parts[0] != predicted:
                return self.is_equivalent(first.parts[0], second.parts[0])
            return None
        if max(len(first.parts), len(second.parts)) > MAX_ITEMS:
            return False
        if len(first.parts) != len(second.parts):
            return (
                self._repeated(first, second)
                or self._solved(first, second)
                or self._components(gold, predicted, first, second)
            )
        if not brackets_match(first, second):
            return False
        ordered = first.ordered or second.ordered or "matrix" in first.kind or _positional(first, second)
        return self._matched(_by_name(first, second), _by_name(second, first), ordered)

    def _solved(self, first: Items, second: Items) -> bool:
        """Return whether one side is an equation and the other the list of all its solutions."""
        equation, listed = (first, second) if len(first.parts) == 1 else (second, first)
        sides = split_top(equation.parts[0], "=")
        if len(equation.parts) > 1 or len(sides) != 2 or listed.kind not in ("", "{}"):
            return False
        solutions = [split_top(part, "=") for part in listed.parts]
        if listed.kind or any(len(one) != 2 for one in solutions) or len({one[0] for one in solutions}) > 1:
            solutions = _named_alike(solutions, sides) if equation is first else []
        if not solutions:
            return False
        name = solutions[0][0]
        if (
            any(one[0] != name for one in solutions)
            or "(" in name
            or sides[0] == name
            or len(solutions) > MAX_SOLUTIONS
            or not all(map(all, solutions))
        ):
            return False
        product = "".join(f"({name} - ({value}))" for name, value in solutions)
        return same_equations([product, "0"], sides, partial(self.is_equivalent, in_list=False), False, self.comparison)

    def _repeated(self, first: Items, second: Items) -> bool:
        """Return whether two lists differ in length only because one repeats a member."""
        if (
            first.ordered
            or second.ordered
            or "matrix" in first.kind + second.kind
            or 1 in (len(first.parts), len(second.parts))
        ):
            return False
        longer, shorter = sorted((first.parts, second.parts), key=len, reverse=True)
        return all(any(self.is_equivalent(a, b, in_list=True) for b in shorter) for a in longer) and all(
            any(self.is_equivalent(a, b, in_list=True) for a in longer) for b in shorter
        )

    def _components(self, gold: str, predicted: str, first: Items, second: Items) -> bool:
        r"""Compare components with unit vectors, `(2, 3)` and `2\hat{i} + 3\hat{j}`."""
        if len(first.parts) == 1 and len(second.parts) in (2, 3) and second.ordered:
            vector, listed = gold, second
        elif len(second.parts) == 1 and len(first.parts) in (2, 3) and first.ordered:
            vector, listed = predicted, first
        else:
            return False
        vector = split_top(vector, "=")[-1]
        if "hat" not in vector and "math" not in vector and "vec" not in vector:
            return False
        spelled = " + ".join(f"({part}) \\hat{{{axis}}}" for part, axis in zip(listed.parts, "ijk", strict=False))
        return same_formula(vector, spelled, self.comparison)

    def _matched(self, gold: list[str], predicted: list[str], ordered: bool) -> bool:
        if ordered:
            if _same_places(gold, predicted):
                return True
            return all(self.is_equivalent(a, b, in_list=True) for a, b in zip(gold, predicted, strict=True))
        left = list(predicted)
        for part in gold:
            hit = next((candidate for candidate in left if self.is_equivalent(part, candidate, in_list=True)), None)
            if hit is None:
                return False
            left.remove(hit)
        return True


def _named_alike(solutions: list[list[str]], equation: list[str]) -> list[list[str]]:
    """Return solutions that are bare, or named by indices, under the only unknown of an equation; none for others."""
    trees = readings(*equation)[0]
    unknowns = set().union(*map(symbols, trees))
    if len(unknowns) != 1 or any(len(one) > 2 for one in solutions):
        return []
    unknown = unknowns.pop()
    names = [one[0] for one in solutions if len(one) == 2]
    indexed = [re.fullmatch(r"(.+)_\{?\d\}?", name) for name in names]
    plain = all(name == unknown for name in names)
    if not plain and not (len(set(names)) == len(solutions) and all(one and one[1] == unknown for one in indexed)):
        return []
    return [[unknown, one[-1]] for one in solutions]


def _same_places(gold: list[str], predicted: list[str]) -> bool:
    """Return whether the longer decimals of one side round to those of the other, at one number of places."""
    if not all(_POINT.fullmatch(part) or _WHOLE.fullmatch(part) for part in gold + predicted):
        return False
    places = [max(len(part.partition(".")[2]) for part in side) for side in (gold, predicted)]
    fewest = min(places)
    if fewest < 3 or places[0] == places[1]:
        return False
    half = Fraction(500_001, 1_000_000) / 10**fewest
    return all(abs(Fraction(a) - Fraction(b)) <= half for a, b in zip(gold, predicted, strict=True))


def _without_conditions(listed: Items, other: Items) -> Items:
    """Drop inequalities that state where a formula holds, next to one without."""
    if listed.kind or len(listed.parts) < 2 or len(other.parts) > 1 or has_relation(other.parts[0]):
        return listed
    kept = tuple(part for part in listed.parts if not has_relation(part))
    return Items("", kept) if len(kept) == 1 else listed


def _named_tuple(text: str) -> Items | None:
    """`(x, y) = (1, 2)` as the members `x = 1`, `y = 2`."""
    match = _NAMED_TUPLE.fullmatch(text.strip())
    if not match or not encloses(f"({match.group(1)})") or not encloses(match.group(2)):
        return None
    values = items(match.group(2))
    names = split_top(match.group(1), ",;")
    if len(names) != len(values.parts) or len(names) < 2:
        return None
    return Items("()", tuple(f"{name}={value}" for name, value in zip(names, values.parts, strict=True)))


def _positional(first: Items, second: Items) -> bool:
    """Return whether order matters between `a = 1, b = 2` and `1, 2`.

    One side names different variables, the other none.
    """
    named = [
        [name_of(split_top(part, "=")[0]) if "=" in part else None for part in side.parts] for side in (first, second)
    ]
    for mine, other in (named, named[::-1]):
        letters = [name for name in mine if name]
        if len(letters) == len(mine) and len(set(letters)) == len(letters) and not any(other):
            return True
    return False


def _by_name(side: Items, other: Items) -> list[str]:
    """Return the parts of a list; `y = 4, x = 3` in the order of its letters next to a tuple."""
    parts = list(side.parts)
    names = [split_top(part, "=")[0] for part in parts if "=" in part]
    if side.kind or other.kind != "()" or len(set(names)) < len(parts) or any("=" in part for part in other.parts):
        return parts
    return sorted(parts) if all(len(name) == 1 and name.isalpha() for name in names) else parts
