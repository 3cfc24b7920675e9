"""Evaluate a formula's tree at values of its symbols, with every cost counted.

Nothing here simplifies. Each operation is charged to a budget, so that a comparison ends after a bounded amount of
work however the formula is written; exponents, factorials and arguments of slow functions have limits besides; what
has no finite value, or costs too much, raises `UnreadableFormula`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mpmath

from rewards.equivalence import calculus, notation
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.tokens import UnreadableFormula

MAX_LOG10 = 3_000
MAX_UNITS, _BITS_PER_CHARGE = 60_000, 256
DIGITS, MAX_DIGITS = 50, 700
_WORDS = re.compile(r"[A-Za-z]{2,}")
_ERRORS = (
    ArithmeticError,
    ValueError,
    TypeError,
    KeyError,
    NotImplementedError,
)


@dataclass
class Budget:
    """Units of work left, one about four microseconds at fifty digits.

    Attributes:
        left: The units.
        approximate: Whether anything so far was worked out approximately.
        whole: The budget that all comparisons of one response share, where there is one.
    """

    left: int = MAX_UNITS
    approximate: bool = False
    whole: Budget | None = None

    def spend(self, units: int) -> None:
        """Take steps from the budget, and raise `UnreadableFormula` once it is used up.

        A step costs more at more digits.
        """
        charge = units * (1 + mpmath.mp.prec // _BITS_PER_CHARGE)
        self.left -= charge
        if self.whole is not None:
            self.whole.left -= charge
        if self.left < 0 or (self.whole is not None and self.whole.left < 0):
            raise UnreadableFormula("too costly")


_RESPONSE: ContextVar[Budget | None] = ContextVar("budget of a response", default=None)


def comparison_budget() -> Budget:
    """Return a budget for one comparison, limited by what is left for the response."""
    return Budget(MAX_UNITS, whole=_RESPONSE.get())


@contextmanager
def one_budget(parts: int = 1) -> Iterator[None]:
    """Share one budget among all comparisons inside, unless they share one already.

    Args:
        parts: The number of references that a response is compared with.
    """
    if _RESPONSE.get() is not None:
        yield
        return
    token = _RESPONSE.set(Budget(MAX_UNITS * parts))
    try:
        yield
    finally:
        _RESPONSE.reset(token)


@contextmanager
def own_budget() -> Iterator[None]:
    """Keep the comparisons inside from spending what is left for a response."""
    token = _RESPONSE.set(None)
    try:
        yield
    finally:
        _RESPONSE.reset(token)


def symbols(tree: Node) -> set[str]:
    """Return the free symbols of a tree."""
    if tree.kind == "symbol":
        return {tree.text}
    found = {tree.text} if tree.kind in ("apply", "delta") else set()
    for part in tree.parts:
        found |= symbols(part)
    return found - {tree.text} if tree.kind in calculus.BINDING else found


def has_decimals(tree: Node) -> bool:
    """Return whether a measured (decimal) number occurs in a tree."""
    return (tree.kind == "number" and ("." in tree.text or "e" in tree.text.lower())) or any(
        map(has_decimals, tree.parts)
    )


def digits_for(*trees: Node) -> int:
    """Digits that show the smallest number written in the trees next to 1.

    10^{-40} needs more than fifty.
    """

    def extreme(tree: Node) -> int:
        if tree.kind == "pow" and tree.parts[0].kind == "number":
            power = tree.parts[1].parts[0] if tree.parts[1].kind == "neg" else tree.parts[1]
            if power.kind == "number" and power.text.isdigit() and len(power.text) < 5:
                return int(int(power.text) * len(tree.parts[0].text.split(".")[0]))
        if tree.kind == "number":
            return len(tree.text) + abs(int((re.search(r"e([-+]?\d{1,4})$", tree.text.lower()) or [0, 0])[1]))
        return max(map(extreme, tree.parts), default=0)

    most = max(map(extreme, trees))
    return DIGITS if most <= 15 else min(DIGITS + 2 * most, MAX_DIGITS)


def fraction_of(key: str) -> Any:
    """Return a number in [0, 1) that depends on the key alone."""
    return mpmath.mpf(int.from_bytes(hashlib.sha256(key.encode()).digest()[:20], "big")) / mpmath.mpf(2) ** 160


def sample(name: str, trial: int) -> Any:
    r"""Return a positive value of a symbol.

    A word stands for the product of its letters (`\mathrm{SU}` is SU), hbar for h / 2 pi.
    """
    if name == "hbar":
        return sample("h", trial) / (2 * mpmath.pi)
    if _WORDS.fullmatch(name) and name not in notation.GREEK:
        value = mpmath.mpf(1)
        for letter in name:
            value *= sample(letter, trial)
        return value
    return _sampled(f"{trial}|{name}", mpmath.mp.prec)


@lru_cache(maxsize=4096)
def _sampled(key: str, bits: int) -> Any:
    with mpmath.workprec(bits):
        return fraction_of(key) * 2 + mpmath.mpf("0.3")


def evaluate(tree: Node, values: Mapping[str, Any], budget: Budget) -> Any:
    """Return the value of a tree at the given symbol values, a finite mpmath number.

    Raises:
        UnreadableFormula: Where there is none.
    """
    try:
        value = mpmath.mpmathify(_Evaluator(values, budget).value(tree))
    except (*_ERRORS, mpmath.libmp.NoConvergence) as error:
        raise UnreadableFormula("no value") from error
    except RecursionError as error:
        raise UnreadableFormula("too deep") from error
    if not mpmath.isfinite(value):
        raise UnreadableFormula("not finite")
    return value


class _Evaluator:
    """`within` says that this is the body of an integral or a sum.

    Where a vanishing power is zero.
    """

    def __init__(self, values: Mapping[str, Any], budget: Budget, within: bool = False) -> None:
        self.values, self.budget, self.within = values, budget, within

    def with_value(self, name: str, value: Any) -> _Evaluator:
        return _Evaluator({**self.values, name: value}, self.budget, within=True)

    def value(self, tree: Node) -> Any:
        self.budget.spend(1)
        kind = tree.kind
        if kind == "number":
            return _number(tree.text, mpmath.mp.prec)
        if kind == "symbol":
            return self.values[tree.text]
        if kind in ("pi", "e"):
            return +getattr(mpmath, kind)
        if kind == "i":
            return mpmath.mpc(0, 1)
        if kind == "infinity":
            return mpmath.inf
        if kind in calculus.OPERATIONS:
            return calculus.value(self, tree)
        if kind == "cross":
            first, second = tree.parts
            other = _Evaluator({n: _second(n, v) for n, v in self.values.items()}, self.budget)
            return self.value(first) * other.value(second) - other.value(first) * self.value(second)
        if (
            kind == "add"
            and tree.parts[1].kind == "neg"
            and _is_tower(tree.parts[0])
            and tree.parts[0] == tree.parts[1].parts[0]
        ):
            return mpmath.mpf(0)
        parts = [self.value(part) for part in tree.parts]
        if kind in notation.FUNCTIONS:
            return self.function(kind, parts)
        if kind in ("special", "indexed"):
            return self.special(tree, parts)
        if kind in ("apply", "delta"):
            return _unknown(tree.text, parts)
        if kind == "pow":
            self.budget.spend(10)
            return self.power(*parts)
        if kind in ("root", "factorial", "factorial2", "binomial"):
            self.budget.spend(10)
        operation = _OPERATIONS.get(kind)
        return operation(*parts) if operation else _unknown(kind, parts)

    def power(self, base: Any, exponent: Any) -> Any:
        if self.within and mpmath.im(base) == 0 and base > 1 and mpmath.re(exponent) * mpmath.log10(base) < -MAX_LOG10:
            return mpmath.mpf(0)
        return _power(base, exponent, 10**7 if self.within else MAX_LOG10)

    def function(self, name: str, parts: list[Any]) -> Any:
        self.budget.spend(2 if name in notation.CHEAP else 150 if name in notation.SLOW else 12)
        if name == "exp":
            return self.power(+mpmath.e, parts[0])
        size = abs(parts[0])
        if mpmath.isinf(size):
            return notation.FUNCTIONS[name](*parts)
        if (size > 10**12 and name not in notation.UNBOUNDED) or (size > 500 and name in notation.SLOW):
            raise UnreadableFormula("argument too large")
        return notation.FUNCTIONS[name](*parts)

    def special(self, tree: Node, parts: list[Any]) -> Any:
        self.budget.spend(400)
        if any(abs(part) > 200 for part in parts):
            raise UnreadableFormula("argument too large")
        if tree.kind == "indexed":
            return notation.INDEXED[tree.text](*parts)
        return (notation.SPECIAL.get(tree.text) or notation.LETTERED[tree.text])(*parts)


def _is_tower(tree: Node) -> bool:
    """Return whether a tree is a power of plain numbers, perhaps a huge one."""
    return tree.kind == "number" or (tree.kind == "pow" and all(map(_is_tower, tree.parts)))


def _second(name: str, value: Any) -> Any:
    """Another component for a vector; a scalar keeps its value."""
    return (
        mpmath.cos(value + 9 * fraction_of("second|" + name)) + 2
        if name.startswith(("vec ", "hat ", "nabla"))
        else value
    )


def _unknown(name: str, arguments: list[Any]) -> Any:
    """Evaluate an undefined function: smooth, and different for every name.

    Dirac's delta is even and of degree -1.
    """
    if name == "delta":
        return (fraction_of("delta") + 1) / abs(arguments[0])
    total = fraction_of(name) + 1
    for place, argument in enumerate(arguments):
        total += mpmath.cos((fraction_of(f"{name}|{place}") + mpmath.mpf("0.4")) * argument + place + 1)
    return total


@lru_cache(maxsize=4096)
def _number(text: str, bits: int) -> Any:
    exponent = re.search(r"[eE]([-+]?\d+)$", text)
    if exponent and abs(int(exponent.group(1)[:9])) > MAX_LOG10:
        raise UnreadableFormula("exponent too large")
    with mpmath.workprec(bits):  # a part of the key: a number has the digits of the comparison that reads it
        return mpmath.mpf(text)


def _power(base: Any, exponent: Any, limit: int = MAX_LOG10) -> Any:
    if base == 0:
        return mpmath.mpf(0) if mpmath.re(exponent) > 0 else mpmath.mpf(1) / 0
    if mpmath.isinf(base) or mpmath.isinf(exponent):
        return mpmath.power(base, exponent)
    if abs(exponent) * max(1, abs(mpmath.log10(abs(base)))) > limit:
        raise UnreadableFormula("power too large")
    return mpmath.power(base, exponent)


def _root(base: Any, index: Any) -> Any:
    if mpmath.im(base) == 0 and base < 0 and index == mpmath.floor(index) and int(index) % 2:
        return -_power(-base, 1 / index)
    return _power(base, 1 / index)


def _small(function: Callable[..., Any], limit: int = 500) -> Callable[..., Any]:
    def bounded(*values: Any) -> Any:
        if any(abs(value) > limit for value in values):
            raise UnreadableFormula("argument too large")
        return function(*values)

    return bounded


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "neg": lambda a: -a,
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "dot": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "root": _root,
    "max": max,
    "min": min,
    "degree": lambda a: a * mpmath.pi / 180,
    "factorial": _small(lambda a: mpmath.gamma(a + 1)),
    "factorial2": _small(mpmath.fac2),
    "binomial": _small(mpmath.binomial),
}
