"""Evaluate integrals, sums, products, limits and derivatives numerically.

What has no definite bounds, or does not converge within the budget, becomes its fingerprint: a fixed linear (for
products: multiplicative) functional of its body. Two integrals of equal bodies have equal fingerprints, whatever
their variable is called, and so has twice an integral and the integral of twice the body.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

import mpmath

from rewards.equivalence.latex_parser import Node
from rewards.equivalence.tokens import UnreadableFormula

BINDING = ("integral", "sum", "product", "limit")
"""Operations whose variable is not free; a derivative's still is."""

OPERATIONS = (*BINDING, "derivative")
WORK_DIGITS, DERIVATIVE_DIGITS = 20, 16
MAX_TERMS, SERIES_TERMS, UNITS_PER_POINT = 400, 512, 4
_POINTS = ("0.37", "0.81", "1.43", "2.17")
_SIZE_LIMIT = 10**15


class Valuer(Protocol):
    """What evaluates a body, as `rewards.equivalence.evaluation` does."""

    budget: Any

    def value(self, tree: Node) -> Any:
        """Return the value of a tree."""

    def with_value(self, name: str, value: Any) -> Valuer:
        """Return a copy in which a symbol has a value."""


def value(valuer: Valuer, tree: Node) -> Any:
    """Return the value of an integral, sum, product, limit or derivative.

    Raises:
        UnreadableFormula: Where there is none.
    """
    body = tree.parts[0]

    def at(x: Any) -> Any:
        valuer.budget.spend(UNITS_PER_POINT)
        return valuer.with_value(tree.text, x).value(body)

    if tree.kind == "derivative":
        return _derivative(valuer, at, tree.text)
    lower, upper = tree.parts[1:]
    bounds = [None if part.kind == "none" else valuer.value(part) for part in (lower, upper)]
    before = valuer.budget.left
    try:
        found = _definite(valuer, tree.kind, at, bounds)
        if found is not None:
            return found
    except (ValueError, ZeroDivisionError, OverflowError, ArithmeticError, mpmath.libmp.NoConvergence):
        pass
    if before - valuer.budget.left > before // 2:
        raise UnreadableFormula("does not converge")
    return _fingerprint(tree.kind, at, bounds)


def _definite(valuer: Valuer, kind: str, at: Callable[[Any], Any], bounds: list[Any]) -> Any:
    lower, upper = bounds
    if kind == "limit":
        return _limit(valuer, at, lower) if lower is not None else None
    if lower is None or upper is None:
        return None
    if kind == "integral":
        return _integral(valuer, at, lower, upper)
    if not mpmath.isinf(lower) and lower == mpmath.floor(lower) and upper == mpmath.floor(upper):
        return _series(valuer, at, int(lower), upper, kind == "product")
    return None


def _integral(valuer: Valuer, at: Callable[[Any], Any], lower: Any, upper: Any) -> Any:
    if mpmath.im(lower) or mpmath.im(upper):
        return None
    valuer.budget.approximate = True
    with mpmath.workdps(WORK_DIGITS):
        points = [lower, upper] if mpmath.isinf(lower) or mpmath.isinf(upper) else mpmath.linspace(lower, upper, 3)
        if mpmath.isinf(lower) and mpmath.isinf(upper):
            points = [lower, 0, upper]
        if any(mpmath.isinf(end) and not _decays(at, mpmath.sign(end)) for end in (lower, upper)):
            return None
        found, error = mpmath.quad(at, points, maxdegree=6, error=True)
        return found if abs(error) <= mpmath.mpf(10) ** -9 * max(1, abs(found)) else None


def _decays(at: Callable[[Any], Any], sign: Any) -> bool:
    """Return whether a function falls faster than 1/x towards an infinite bound."""
    near, far = (abs(at(sign * mpmath.mpf(10) ** power)) * mpmath.mpf(10) ** power for power in (4, 6))
    return bool(far <= near / 2)


def _series(valuer: Valuer, at: Callable[[Any], Any], lower: int, upper: Any, product: bool) -> Any:
    if not mpmath.isinf(upper):
        if upper - lower > MAX_TERMS:
            return None
        total = mpmath.mpf(1 if product else 0)
        for index in range(lower, int(upper) + 1):
            term = at(mpmath.mpf(index))
            total = total * term if product else total + term
            if abs(total) > mpmath.mpf(10) ** 1000:
                raise UnreadableFormula("too large")
        return total
    valuer.budget.approximate = True
    with mpmath.workdps(WORK_DIGITS):
        return _accelerated(at, lower, product)


def _accelerated(at: Callable[[Any], Any], lower: int, product: bool) -> Any:
    """Return an infinite sum or product, extrapolated from its partial results.

    Levin's and Richardson's methods are tried; two orders must agree.
    """
    total = mpmath.mpf(1 if product else 0)
    partial: list[Any] = []
    for index in range(lower, lower + SERIES_TERMS):
        term = at(mpmath.mpf(index))
        total = total * term if product else total + term
        partial.append(total)
        change = abs(term - 1) if product else abs(term)
        if change < mpmath.mpf(10) ** -(WORK_DIGITS - 2) * max(1, abs(total)) and len(partial) > 5:
            return total
    estimates = [_richardson(partial, 8), _richardson(partial, 9)]
    if abs(estimates[0] - estimates[1]) <= mpmath.mpf(10) ** -9 * max(1, abs(estimates[1])):
        return estimates[1]
    if any((a - b) * (b - c) > 0 for a, b, c in zip(partial[-9:-2], partial[-8:-1], partial[-7:], strict=True)):
        return None
    partial = partial[-60:]
    for _ in range(50):  # alternating: repeated averages
        partial = [(a + b) / 2 for a, b in itertools.pairwise(partial)]
    return partial[-1] if abs(partial[-1] - partial[-2]) <= mpmath.mpf(10) ** -9 * max(1, abs(partial[-1])) else None


def _richardson(partial: list[Any], steps: int) -> Any:
    """Extrapolation in powers of one over the number of terms, at 512, 256, 128, ...

    Of them.
    """
    row = [partial[len(partial) // 2**k - 1] for k in range(steps)][::-1]
    for order in range(1, steps):
        row = [b + (b - a) / (2**order - 1) for a, b in itertools.pairwise(row)]
    return row[-1]


def _limit(valuer: Valuer, at: Callable[[Any], Any], point: Any) -> Any:
    valuer.budget.approximate = True
    with mpmath.workdps(40):
        values = [at(mpmath.mpf(2) ** k if mpmath.isinf(point) else point + mpmath.mpf(2) ** -k) for k in range(10, 20)]
        for order in range(1, 8):
            values = [b + (b - a) / (2**order - 1) for a, b in itertools.pairwise(values)]
        return values[-1] if abs(values[-1] - values[-2]) <= mpmath.mpf(10) ** -9 * max(1, abs(values[-1])) else None


def _derivative(valuer: Valuer, at: Callable[[Any], Any], name: str) -> Any:
    """Return a five-point central difference; its error is about 10^-32.

    A step of 10^-8 costs eight digits, so every derivative of a derivative has some more to lose.
    """
    with mpmath.extradps(DERIVATIVE_DIGITS):
        step = mpmath.mpf(10) ** -8
        center = valuer.value(Node("symbol", (), name))
        near, far = at(center + step) - at(center - step), at(center + 2 * step) - at(center - 2 * step)
        return (8 * near - far) / (12 * step)


def _fingerprint(kind: str, at: Callable[[Any], Any], bounds: list[Any]) -> Any:
    total = mpmath.mpf(1 if kind == "product" else 0)
    shift = sum((mpmath.mpf(k + 1) / 7 * b for k, b in enumerate(bounds) if b is not None and mpmath.isfinite(b)), 0)
    for index, point in enumerate(_POINTS):
        term = at(mpmath.mpf(point) + shift)
        if abs(term) > _SIZE_LIMIT:
            raise UnreadableFormula("too large")
        total = total * term if kind == "product" else total + (index + 2) * term
    return total if kind == "limit" else total * (3 if kind == "integral" else 1)
