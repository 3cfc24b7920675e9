"""Evaluate arithmetic without running code: numbers, operators and a few functions, all bounded in size."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

MAX_CHARS = 500
MAX_DIGITS = 300
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in ("sqrt", "exp", "log10", "log2", "sin", "cos", "tan", "atan", "floor")},
    **{"ln": math.log, "log": math.log, "abs": abs, "round": round, "min": min, "max": max, "ceil": math.ceil},
}
_CONSTANTS = {"pi": math.pi, "e": math.e}


def calculator(expression: str) -> str:
    """Compute the value of an arithmetic expression.

    Args:
        expression: For example "12 * (3 + 4) / 2", "2 ** 10" or "sqrt(2) * 1.5e3".

    Returns:
        The value; 12 significant digits unless it is a whole number.
    """
    text = expression.replace("^", "**").replace("\u00d7", "*").replace("\u00f7", "/").replace("\u2212", "-").strip()
    if len(text) > MAX_CHARS:
        raise ValueError(f"the expression has {len(text)} characters; at most {MAX_CHARS} are read")
    try:
        value = _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, RecursionError):
        raise ValueError("this is not an arithmetic expression; write for example 12 * (3 + 4)") from None
    if isinstance(value, complex) or not math.isfinite(value):
        raise ValueError("the value is not a finite real number")
    return str(value) if isinstance(value, int) else f"{value:.12g}"


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=sign, operand=inner) if type(sign) in _UNARY:
            return _UNARY[type(sign)](_value(inner))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _BINARY:
            return _bounded(_BINARY[type(kind)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*map(_value, arguments)))
    raise ValueError(
        f"{ast.unparse(node)[:40]!r} is not known; known: + - * / // % **, {', '.join(sorted(_FUNCTIONS))}"
    )


def _power(base: float, exponent: float) -> float:
    if base and abs(exponent) * abs(math.log10(abs(base))) > MAX_DIGITS:
        raise ValueError(f"the value has more than {MAX_DIGITS} digits")
    return _bounded(base**exponent)


def _bounded(value: float) -> float:
    if isinstance(value, int) and value.bit_length() > 3.33 * MAX_DIGITS:
        raise ValueError(f"the value has more than {MAX_DIGITS} digits")
    return value
