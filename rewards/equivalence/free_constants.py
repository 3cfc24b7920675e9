"""Compare formulas whose constants are free: `+ C` of an antiderivative, the factors of a general solution.

A mathematics config only: under a physics config a letter is a quantity. Antiderivatives agree if their difference does
not change; general solutions agree if a renaming of the constants makes them equal.
"""

from __future__ import annotations

import itertools
import re

import mpmath

from rewards.equivalence.evaluation import symbols
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.numeric_equivalence import Comparison, points, readings, rename, same_trees
from rewards.equivalence.tokens import UnreadableFormula

_ADDED = re.compile(r"(?:C|c|K|k)(?:_\w+)?|const|constant")
_GENERAL = re.compile(r"(?:[ABCDKk]|c)(?:_\w+)?")
_INTEGRATED = re.compile(r"C(?:_\w+)?|c_\w+")
_NEAR = mpmath.mpf(10) ** -15
MAX_CONSTANTS = 3


def same_with_constants(gold: str, predicted: str, comparison: Comparison) -> bool:
    """Return whether two formulas agree but for the names or values of their free constants.

    Raises:
        UnreadableFormula: Where one cannot be read.
    """
    if comparison.config.measured or not any(letter in gold + predicted for letter in "CcKk"):
        return False
    for first, second in readings(gold, predicted):
        if _antiderivatives(first, second, comparison) or _renamed(first, second, comparison):
            return True
    return False


def _antiderivatives(first: Node, second: Node, comparison: Comparison) -> bool:
    left, right = _split(first), _split(second)
    if left is None or right is None:
        return False
    (a, own), (b, other) = left, right
    if own in symbols(a) or other in symbols(b) or not (symbols(a) | symbols(b)):
        return False
    try:
        differences = [x - y for x, y in points(a, b, comparison)]
    except UnreadableFormula:
        return False
    size = max(1, *(abs(value) for value in differences))
    return len(differences) > 1 and all(abs(value - differences[0]) <= _NEAR * size for value in differences)


def _split(tree: Node) -> tuple[Node, str] | None:
    """Return a sum without its added constant, and that constant's name."""
    terms = list(_terms(tree))
    added = [term for term in terms if term.kind == "symbol" and _ADDED.fullmatch(term.text)]
    rest = [term for term in terms if term not in added]
    if len(added) != 1 or not rest:
        return None
    total = rest[0]
    for term in rest[1:]:
        total = Node("add", (total, term))
    return total, added[0].text


def _terms(tree: Node) -> list[Node]:
    if tree.kind == "add":
        return [*_terms(tree.parts[0]), *_terms(tree.parts[1])]
    return [tree]


def _renamed(first: Node, second: Node, comparison: Comparison) -> bool:
    """Return whether the constants that each side alone uses may be matched; those of one side are C, or C with indices."""
    own = sorted(symbols(first) - symbols(second)), sorted(symbols(second) - symbols(first))
    if len(own[0]) != len(own[1]) or not 0 < len(own[0]) <= MAX_CONSTANTS:
        return False
    if not all(_GENERAL.fullmatch(name) for side in own for name in side):
        return False
    if not any(all(map(_INTEGRATED.fullmatch, side)) for side in own):
        return False
    if not (symbols(first) & symbols(second)):
        return False
    return any(
        same_trees(
            first, rename(second, {b: Node("symbol", (), a) for a, b in zip(own[0], order, strict=True)}), comparison
        )
        for order in itertools.permutations(own[1])
    )
