"""Decide whether two equations hold at the same places, by all their roots.

Each equation is a residual, a tree that vanishes where it holds. For every unknown in turn, with random values for the
others, the residual is a function of one variable. Where its numerator is a polynomial, all roots are compared, so
that `x^2 = 9` is not `x = 3`; elsewhere the roots found from several starts of both signs must solve the other one.
"""

from __future__ import annotations

from typing import Any

import mpmath

from rewards.equivalence.evaluation import digits_for, evaluate, symbols
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.numeric_equivalence import Comparison, values_at
from rewards.equivalence.tokens import UnreadableFormula

_ONE = Node("number", (), "1")
_SAMPLES, _UNITS_PER_PAIR = 14, 100
_NEAR = mpmath.mpf(10) ** -12
_STARTS = ("1", "-1", "3.1", "-2.7", "0.2")
MAX_UNKNOWNS = 6


def same_solutions(first: Node, second: Node, comparison: Comparison) -> bool:
    r"""Return whether two residuals in the same symbols vanish at the same places.

    Args:
        first: Left side minus right side of the one equation.
        second: The same of the other.
        comparison: Whether symbols are positive, and the work that is left. An equation in a single symbol is
            compared by every root, whatever its sign, and so is one that holds for no positive symbols, as
            `m\ddot{x} + kx = 0` does.
    """
    names = sorted(symbols(first))
    if len(names) > MAX_UNKNOWNS:
        return False
    positive = comparison.config.positive and len(names) > 1
    agreed = _agreements(first, second, names, comparison, positive)
    if agreed == 0 and positive:
        agreed = _agreements(first, second, names, comparison, False)
    return agreed is not None and agreed >= 1


def _agreements(first: Node, second: Node, names: list[str], comparison: Comparison, positive: bool) -> int | None:
    """Return for how many unknowns two residuals have the same roots, None where they differ for one."""
    agreed = 0
    with mpmath.workdps(digits_for(first, second)):
        for unknown in names:
            values = values_at(set(names), 0, comparison.config)
            found = _by_polynomials(first, second, unknown, values, comparison, positive)
            if found is None:
                found = _by_search(first, second, unknown, values, comparison, positive)
            if found is False:
                return None
            agreed += found is True
    return agreed


def _by_polynomials(
    first: Node, second: Node, unknown: str, values: dict[str, Any], comparison: Comparison, positive: bool
) -> bool | None:
    roots = [_roots(tree, unknown, values, comparison) for tree in (first, second)]
    if roots[0] is None or roots[1] is None:
        return None
    if positive:
        roots = [
            [root for root in side or [] if abs(mpmath.im(root)) < _NEAR and mpmath.re(root) > 0] for side in roots
        ]
        if not any(roots):
            return None
    a, b = (side or [] for side in roots)
    return all(_among(root, b) for root in a) and all(_among(root, a) for root in b)


def _among(root: Any, others: list[Any]) -> bool:
    return any(abs(root - other) <= _NEAR * max(1, abs(root)) for other in others)


def _roots(tree: Node, unknown: str, values: dict[str, Any], comparison: Comparison) -> list[Any] | None:
    """Return all complex roots in one unknown, None where the numerator is no polynomial of it."""
    above, _ = numerator(tree)
    step = 2j * mpmath.pi / _SAMPLES
    places = [mpmath.mpf("1.7") * mpmath.exp(step * k) for k in range(_SAMPLES)]
    elsewhere = mpmath.mpc("0.61", "0.87")  # a higher power passes for a lower one on the circle, but not here
    try:
        heights = [evaluate(above, {**values, unknown: place}, comparison.budget) for place in places]
        apart = evaluate(above, {**values, unknown: elsewhere}, comparison.budget)
    except UnreadableFormula:
        return None
    terms = [
        sum(height * place ** (-k) for height, place in zip(heights, places, strict=True)) / _SAMPLES
        for k in range(_SAMPLES)
    ]
    size = max(map(abs, terms))
    small = size * mpmath.mpf(10) ** (-mpmath.mp.dps // 2)
    terms = [term if abs(term) > small else mpmath.mpf(0) for term in terms]
    if not size or any(terms[-3:]) or abs(mpmath.polyval(terms[::-1], elsewhere) - apart) > small:
        return None
    while terms and not terms[-1]:
        terms.pop()
    comparison.budget.spend(_UNITS_PER_PAIR * len(terms) ** 2)
    try:
        roots = mpmath.polyroots(terms[::-1], maxsteps=100, extraprec=60) if len(terms) > 1 else []
    except (mpmath.libmp.NoConvergence, ZeroDivisionError, ValueError):
        return None
    return [root for root in roots if _vanishes(tree, {**values, unknown: root}, comparison)]


def _vanishes(tree: Node, values: dict[str, Any], comparison: Comparison) -> bool:
    """Return whether a residual is zero at a root of its numerator, which a vanishing denominator prevents."""
    try:
        return bool(abs(evaluate(tree, values, comparison.budget)) < mpmath.mpf(10) ** -8)
    except UnreadableFormula:
        return False


def numerator(tree: Node) -> tuple[Node, Node]:
    """Return a tree as one fraction: numerator and denominator."""
    if tree.kind == "div":
        (a, b), (c, d) = numerator(tree.parts[0]), numerator(tree.parts[1])
        return _product(a, d), _product(b, c)
    if tree.kind == "mul":
        (a, b), (c, d) = numerator(tree.parts[0]), numerator(tree.parts[1])
        return _product(a, c), _product(b, d)
    if tree.kind == "add":
        (a, b), (c, d) = numerator(tree.parts[0]), numerator(tree.parts[1])
        if b == d:
            return Node("add", (a, c)), b
        return Node("add", (_product(a, d), _product(c, b))), _product(b, d)
    if tree.kind == "neg":
        above, below = numerator(tree.parts[0])
        return Node("neg", (above,)), below
    if tree.kind == "pow" and tree.parts[1].kind == "neg" and tree.parts[1].parts[0].kind == "number":
        above, below = numerator(tree.parts[0])
        power = tree.parts[1].parts[0]
        return Node("pow", (below, power)), Node("pow", (above, power))
    return tree, _ONE


def _product(a: Node, b: Node) -> Node:
    return b if a == _ONE else a if b == _ONE else Node("mul", (a, b))


def _by_search(
    first: Node, second: Node, unknown: str, values: dict[str, Any], comparison: Comparison, positive: bool
) -> bool | None:
    """Compare by the roots that the secant method finds; None where it finds none on one side."""
    found = []
    for tree in (first, second):
        roots = [_root_near(tree, unknown, values, mpmath.mpf(start), comparison) for start in _STARTS]
        found.append([root for root in roots if root is not None and not (positive and root <= 0)])
    if not found[0] or not found[1]:
        return None
    limit = mpmath.mpf(10) ** -15
    for tree, roots in ((second, found[0]), (first, found[1])):
        for root in roots:
            try:
                if abs(evaluate(tree, {**values, unknown: root}, comparison.budget)) > limit:
                    return False
            except UnreadableFormula:
                return False
    return True


def _root_near(tree: Node, unknown: str, values: dict[str, Any], start: Any, comparison: Comparison) -> Any:
    """Return a real root by the secant method from a start, None after thirty steps."""
    before, now = values[unknown] * start, values[unknown] * start * mpmath.mpf("1.1")
    try:
        f_before = evaluate(tree, {**values, unknown: before}, comparison.budget)
        for _ in range(30):
            f_now = evaluate(tree, {**values, unknown: now}, comparison.budget)
            if abs(f_now) < mpmath.mpf(10) ** -22:
                return mpmath.re(now) if abs(mpmath.im(now)) < _NEAR else None
            if f_now == f_before:
                return None
            before, now, f_before = now, now - f_now * (now - before) / (f_now - f_before), f_now
            if abs(now) > 10**6:
                return None
    except UnreadableFormula:
        return None
    return None
