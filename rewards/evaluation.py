"""The value of a formula's tree: 50-digit arithmetic at given values of its symbols, with every cost capped.

Nothing here simplifies, so nothing here can run away: exponents, factorials and arguments of slow functions have
limits, and what has no finite value raises `Unreadable`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import mpmath

from rewards import notation
from rewards.latex import Node, Unreadable

MAX_LOG10 = 3_000
DIGITS = 50


def symbols(tree: Node) -> set[str]:
    """The free symbols of a tree."""
    found = {tree.text} if tree.kind == "symbol" else set()
    return found.union(*(symbols(part) for part in tree.parts)) if tree.parts else found


def has_decimals(tree: Node) -> bool:
    """Whether a measured (decimal) number occurs in a tree."""
    return (tree.kind == "number" and ("." in tree.text or "e" in tree.text.lower())) or any(
        map(has_decimals, tree.parts)
    )


def sample(names: set[str], trial: int) -> dict[str, Any]:
    """A positive value for each symbol, the same for the same name and trial in every process."""
    values = {}
    for name in names:
        digest = hashlib.sha256(f"{trial}|{name}".encode()).digest()
        values[name] = mpmath.mpf(int.from_bytes(digest[:16], "big")) / mpmath.mpf(2) ** 128 * 2 + mpmath.mpf("0.3")
    return values


def evaluate(tree: Node, values: Mapping[str, Any]) -> Any:
    """The value of a tree at the given symbol values, a finite mpmath number. Raises `Unreadable` where there is
    none.
    """
    with mpmath.workdps(DIGITS):
        try:
            value = mpmath.mpmathify(_value(tree, values))
        except (ValueError, ZeroDivisionError, OverflowError, TypeError, ArithmeticError, NotImplementedError) as error:
            raise Unreadable("no value") from error
        except mpmath.libmp.NoConvergence as error:
            raise Unreadable("no value") from error
    if not mpmath.isfinite(value):
        raise Unreadable("not finite")
    return value


def _value(tree: Node, values: Mapping[str, Any]) -> Any:
    kind = tree.kind
    if kind == "number":
        return _number(tree.text)
    if kind == "symbol":
        return values[tree.text]
    if kind in ("pi", "e"):
        return +getattr(mpmath, kind)
    if kind == "i":
        return mpmath.mpc(0, 1)
    parts = [_value(part, values) for part in tree.parts]
    if kind in notation.FUNCTIONS:
        if kind == "exp":
            return _bounded_power(mpmath.e, parts[0])
        if abs(parts[0]) > 10**12 and kind not in notation.UNBOUNDED:
            raise Unreadable("argument too large")
        return notation.FUNCTIONS[kind](*parts)
    if kind == "special":
        if any(abs(part) > 1_000 for part in parts):
            raise Unreadable("argument too large")
        return notation.SPECIAL[tree.text](*parts)
    return _OPERATIONS[kind](*parts)


def _number(text: str) -> Any:
    exponent = re.search(r"[eE]([-+]?\d+)$", text)
    if exponent and abs(int(exponent.group(1)[:9])) > MAX_LOG10:
        raise Unreadable("exponent too large")
    return mpmath.mpf(text)


def _bounded_power(base: Any, exponent: Any) -> Any:
    if base == 0:
        return mpmath.mpf(0) if mpmath.re(exponent) > 0 else mpmath.mpf(1) / 0
    if abs(exponent) * max(1, abs(mpmath.log10(abs(base)))) > MAX_LOG10:
        raise Unreadable("power too large")
    return mpmath.power(base, exponent)


def _factorial(value: Any) -> Any:
    if abs(value) > 500:
        raise Unreadable("factorial too large")
    return mpmath.gamma(value + 1)


def _binomial(above: Any, below: Any) -> Any:
    if max(abs(above), abs(below)) > 500:
        raise Unreadable("binomial too large")
    return mpmath.binomial(above, below)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "neg": lambda a: -a,
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": _bounded_power,
    "root": lambda a, n: _bounded_power(a, 1 / n),
    "factorial": _factorial,
    "binomial": _binomial,
}
