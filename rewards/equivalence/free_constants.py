"""Compare formulas whose constants are free: `+ C` of an antiderivative, the factors of a general solution.

A mathematics config only: under a physics config a letter is a quantity. Antiderivatives agree if their difference does
not change; general solutions agree if a renaming of the constants makes them equal.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator

import mpmath

from rewards.equivalence.evaluation import symbols
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.numeric_equivalence import Comparison, points, readings, rename, same_trees
from rewards.equivalence.tokens import UnreadableFormula

_ADDED = re.compile(r"(?:C|c|K|k)(?:_\w+)?|const|constant")
_GENERAL = re.compile(r"(?:[ABCDKk]|c)(?:_\w+)?")
_INDEXED = re.compile(r"[CcKk]_\w+")
_EXCHANGED = re.compile(r"[ABCD](?:_\w+)?|c_\w+")
_VARIABLES = {"x", "y", "z", "t", "u", "v", "w", "s", "r", "theta", "phi"}
_FUNDAMENTAL = {"e", "exp", "sin", "cos", "sinh", "cosh"}
_INTEGRATED = re.compile(r"C(?:_\w+)?|c_\w+")
_NEAR = mpmath.mpf(10) ** -15
MAX_CONSTANTS = 3


def same_with_constants(gold: str, predicted: str, comparison: Comparison) -> bool:
    """Return whether two formulas agree but for the names or values of their free constants.

    Raises:
        UnreadableFormula: Where one cannot be read.
    """
    if comparison.config.measured or not any(letter in gold + predicted for letter in "CcKkAB"):
        return False
    for trees in readings(gold, predicted):
        first, second = (_absorbed(tree) for tree in trees)
        if (
            _antiderivatives(first, second, comparison)
            or _renamed(first, second, comparison)
            or _exchanged(first, second, comparison)
            or ((first, second) != trees and _same_absorbed(first, second, comparison))
        ):
            return True
    return False


def _same_absorbed(first: Node, second: Node, comparison: Comparison) -> bool:
    """Return whether two formulas with one constant each agree once it stands alone, and neither is without it."""
    constants = [_constants(tree) for tree in (first, second)]
    return constants[0] == constants[1] != set() and same_trees(first, second, comparison)


def _constants(tree: Node) -> set[str]:
    return {name for name in symbols(tree) if _INTEGRATED.fullmatch(name)}


def _absorbed(tree: Node) -> Node:
    r"""Return a tree whose only constant stands alone: `e^{x+C}` as `C e^x`, `(x + C)/3` as `x/3 + C`, `\ln|Cx|` too.

    A constant that occurs more than once stays where it is, and so does a C among other given quantities: `(B + C)/2`.
    """
    names = [name for name in leaves(tree) if _INTEGRATED.fullmatch(name)]
    return _moved(tree, names[0]) if len(names) == 1 and symbols(tree) & _VARIABLES else tree


def leaves(tree: Node) -> list[str]:
    """Return the symbols of a tree, each as often as it occurs."""
    if tree.kind == "symbol":
        return [tree.text]
    return [name for part in tree.parts for name in leaves(part)]


def _moved(tree: Node, name: str) -> Node:
    constant = Node("symbol", (), name)
    parts = tuple(_moved(part, name) for part in tree.parts)
    tree = Node(tree.kind, parts, tree.text) if parts else tree
    if tree.kind in ("pow", "exp"):
        rest = _without_term(parts[-1], constant)
        raised = Node(tree.kind, (*parts[:-1], rest), tree.text) if rest else None
        return Node("mul", (constant, raised)) if raised and _is_e(tree) else tree
    if tree.kind == "div" and parts[1].kind == "number":
        rest = _without_term(parts[0], constant)
        return Node("add", (Node("div", (rest, parts[1])), constant)) if rest else tree
    if tree.kind == "ln" and (inner := _without_factor(parts[0], constant)):
        return Node("add", (Node("ln", (inner,)), constant))
    return tree


def _is_e(tree: Node) -> bool:
    return tree.kind == "exp" or tree.parts[0].kind == "e"


def _without_term(tree: Node, constant: Node) -> Node | None:
    """Return a sum without a constant among its terms; None where it is none of them, or the only one."""
    terms = list(_terms(tree))
    rest = [term for term in terms if term != constant and term != Node("neg", (constant,))]
    if len(rest) != len(terms) - 1 or not rest:
        return None
    return functools.reduce(lambda a, b: Node("add", (a, b)), rest)


def _without_factor(tree: Node, constant: Node) -> Node | None:
    """Return a product, or its absolute value, without a constant among its factors; None where it is none of them."""
    if tree.kind == "abs":
        inner = _without_factor(tree.parts[0], constant)
        return Node("abs", (inner,)) if inner else None
    if tree.kind != "mul" or constant not in tree.parts:
        return None
    return tree.parts[1] if tree.parts[0] == constant else tree.parts[0]


def _exchanged(first: Node, second: Node, comparison: Comparison) -> bool:
    """Return whether the same constants stand in another order: `A cos t + B sin t`, `A sin t + B cos t`.

    All have factors in the same variables, so that none differs from the others in what it belongs to, or are C with
    indices.
    """
    names = sorted(name for name in symbols(first) if _EXCHANGED.fullmatch(name))
    if symbols(first) != symbols(second) or not 1 < len(names) <= MAX_CONSTANTS or set(names) == symbols(first):
        return False
    integrated = all(map(_INDEXED.fullmatch, names))
    if not integrated and not _is_transcendental(first):
        return False  # A x^2 + B x is rather a polynomial with given factors
    if not all(_are_alike(tree, names, integrated) for tree in (first, second)):
        return False
    return any(
        same_trees(
            first, rename(second, {a: Node("symbol", (), b) for a, b in zip(names, order, strict=True)}), comparison
        )
        for order in itertools.permutations(names)
    )


def _is_transcendental(tree: Node) -> bool:
    return tree.kind in _FUNDAMENTAL or any(map(_is_transcendental, tree.parts))


def _are_alike(tree: Node, names: list[str], integrated: bool) -> bool:
    """Return whether every constant is the factor of one term, and the terms are in the same variables."""
    found = list(_factors(tree, frozenset(), frozenset(names)))
    if sorted(name for name, _ in found) != names:
        return False
    return integrated or (len({variables for _, variables in found}) == 1 and bool(found[0][1]))


def _factors(tree: Node, outer: frozenset[str], names: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each constant of a sum of terms with the variables that it is multiplied by."""
    if tree.kind in ("add", "neg"):
        for part in tree.parts:
            yield from _factors(part, outer, names)
        return
    if tree.kind in ("mul", "div"):
        for part, other in (tree.parts, tree.parts[::-1]):
            if part.kind in ("add", "mul", "div", "neg") and symbols(part) & names and not symbols(other) & names:
                yield from _factors(part, outer | symbols(other), names)
                return
    for name in symbols(tree) & names:
        yield name, outer | (symbols(tree) - {name})


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
    if not any(not _GENERAL.fullmatch(name) for name in symbols(first) & symbols(second)):
        return False
    return any(
        same_trees(
            first, rename(second, {b: Node("symbol", (), a) for a, b in zip(own[0], order, strict=True)}), comparison
        )
        for order in itertools.permutations(own[1])
    )
