"""Generate tasks with worked solutions that a model of 135 M parameters can learn in minutes.

Each task is one skill with a short, checkable answer, and each problem has a worked solution, so the same task gives
rows for supervised fine-tuning and for reinforcement learning. No constant answer scores well: the golds are spread
over many values. All problems about the same numbers are one group, so validation asks for numbers that were never
trained; `one-line-function` holds out whole functions instead.

| task                | domain      | skill                                              |
|---------------------|-------------|----------------------------------------------------|
| `one-step-law`      | physics     | apply one law, a product or a quotient with a unit |
| `linear-equation`   | math        | solve `ax + b = c` for a whole x                   |
| `product`           | math        | multiply two numbers                               |
| `one-line-function` | code        | write a Python function of one line                |
| `formula-count`     | chemistry   | count the atoms of an element in n molecules       |
| `unit-step`         | stem        | convert a quantity by a factor                     |
| `chain-caption`     | caption2mol | write the SELFIES of a chain with a group at its end |
"""

import random
from collections.abc import Iterator, Mapping
from typing import Any

from innovator_rl.data.problem import Problem
from innovator_rl.errors import UserError

Parameters = Mapping[str, Any]

#: (name, question with two quantities, law in words, unit of the answer, "x" product or "/" quotient)
LAWS = (
    ("distance", "A car drives at {} m/s for {} s. How far does it go, in m?", "s = v t", "m", "x"),
    ("force", "A mass of {} kg is accelerated at {} m/s^2. What force acts on it, in N?", "F = m a", "N", "x"),
    ("voltage", "A current of {} A flows through {} ohm. What is the voltage, in V?", "U = I R", "V", "x"),
    ("work", "A force of {} N acts along {} m. How much work is done, in J?", "W = F s", "J", "x"),
    ("charge", "A current of {} A flows for {} s. What charge passes, in C?", "Q = I t", "C", "x"),
    ("momentum", "A mass of {} kg moves at {} m/s. What is its momentum, in kg*m/s?", "p = m v", "kg*m/s", "x"),
    ("speed", "A runner covers {} m in {} s. What is the speed, in m/s?", "v = s / t", "m/s", "/"),
    ("power", "{} J of work are done in {} s. What is the power, in W?", "P = W / t", "W", "/"),
    ("current", "A voltage of {} V lies across {} ohm. What is the current, in A?", "I = U / R", "A", "/"),
    ("pressure", "A force of {} N presses on {} m^2. What is the pressure, in Pa?", "p = F / A", "Pa", "/"),
)

#: (description with {n}, expression with {n}) of a function of x, where x is a whole number
NUMBER_FUNCTIONS = (
    ("x plus {n}", "x + {n}"),
    ("x minus {n}", "x - {n}"),
    ("x times {n}", "x * {n}"),
    ("the remainder of x divided by {n}", "x % {n}"),
    ("the whole part of x divided by {n}", "x // {n}"),
    ("the square of x plus {n}", "x * x + {n}"),
    ("True if x is greater than {n}, else False", "x > {n}"),
    ("True if x is less than {n}, else False", "x < {n}"),
    ("True if x is divisible by {n}, else False", "x % {n} == 0"),
    ("the larger of x and {n}", "max(x, {n})"),
    ("the smaller of x and {n}", "min(x, {n})"),
    ("the distance between x and {n}", "abs(x - {n})"),
    ("a list that holds x {n} times", "[x] * {n}"),
    ("twice x plus {n}", "2 * x + {n}"),
    ("{n} minus x", "{n} - x"),
    ("x to the power of {n}", "x ** {n}"),
    ("the text of x followed by {n}", "str(x) + '{n}'"),
    ("the list of whole numbers from x to x + {n}, both included", "list(range(x, x + {n} + 1))"),
    ("half of x plus {n}", "x / 2 + {n}"),
    ("True if x equals {n}, else False", "x == {n}"),
    ("three times x minus {n}", "3 * x - {n}"),
    ("{n} times the square of x", "{n} * x * x"),
    ("the square of the sum of x and {n}", "(x + {n}) * (x + {n})"),
    ("the square of x minus {n}", "x * x - {n}"),
    ("the sum of all whole numbers from x to x + {n}, both included", "sum(range(x, x + {n} + 1))"),
    ("a list of x and x + {n}", "[x, x + {n}]"),
    ("{n} divided by the sum of x and 1", "{n} / (x + 1)"),
    ("x divided by {n}", "x / {n}"),
    ("True if x is at least {n}, else False", "x >= {n}"),
    ("True if x is at most {n}, else False", "x <= {n}"),
    ("True if x differs from {n}, else False", "x != {n}"),
    ("True if the sum of x and {n} is even, else False", "(x + {n}) % 2 == 0"),
    ("the text of x repeated {n} times", "str(x) * {n}"),
    ("the number of digits in the sum of x and {n}", "len(str(x + {n}))"),
    ("x if x is less than {n}, else 0", "x if x < {n} else 0"),
    ("1 if x is greater than {n}, else -1", "1 if x > {n} else -1"),
    ("the last digit of the product of x and {n}", "x * {n} % 10"),
    ("the list of the first {n} multiples of x, x itself first", "[x * i for i in range(1, {n} + 1)]"),
    ("ten times x plus {n}", "10 * x + {n}"),
    ("x minus {n}, or 0 if that is negative", "max(x - {n}, 0)"),
)

#: formula -> atoms per molecule
FORMULAS: dict[str, dict[str, int]] = {
    "H2O": {"H": 2, "O": 1}, "CO2": {"C": 1, "O": 2}, "CH4": {"C": 1, "H": 4}, "NH3": {"N": 1, "H": 3},
    "C2H6": {"C": 2, "H": 6}, "C3H8": {"C": 3, "H": 8}, "C2H4": {"C": 2, "H": 4}, "C6H6": {"C": 6, "H": 6},
    "H2SO4": {"H": 2, "S": 1, "O": 4}, "HNO3": {"H": 1, "N": 1, "O": 3}, "H3PO4": {"H": 3, "P": 1, "O": 4},
    "SO3": {"S": 1, "O": 3}, "N2O4": {"N": 2, "O": 4}, "N2O5": {"N": 2, "O": 5}, "P4O6": {"P": 4, "O": 6},
    "C2H6O": {"C": 2, "H": 6, "O": 1}, "C3H6O": {"C": 3, "H": 6, "O": 1}, "C4H8O2": {"C": 4, "H": 8, "O": 2},
    "C5H8O4": {"C": 5, "H": 8, "O": 4}, "CCl4": {"C": 1, "Cl": 4}, "SF6": {"S": 1, "F": 6}, "PCl5": {"P": 1, "Cl": 5},
    "Al2O3": {"Al": 2, "O": 3}, "Fe2O3": {"Fe": 2, "O": 3}, "Na2SO4": {"Na": 2, "S": 1, "O": 4},
}  # fmt: skip
ELEMENT_NAMES = {
    "H": "hydrogen", "C": "carbon", "N": "nitrogen", "O": "oxygen", "S": "sulfur", "P": "phosphorus", "F": "fluorine",
    "Cl": "chlorine", "Al": "aluminum", "Fe": "iron", "Na": "sodium",
}  # fmt: skip

#: (from, to, how many `to` are one `from`)
STEPS = (
    ("km", "m", 1000), ("m", "cm", 100), ("cm", "mm", 10), ("kg", "g", 1000), ("g", "mg", 1000), ("h", "min", 60),
    ("min", "s", 60), ("L", "mL", 1000), ("kJ", "J", 1000), ("kN", "N", 1000), ("kW", "W", 1000), ("dm", "cm", 10),
)  # fmt: skip

#: name of the group at the end -> its SELFIES
END_GROUPS = {
    "a hydroxy group": "[O]", "an amino group": "[N]", "a chlorine atom": "[Cl]", "a bromine atom": "[Br]",
    "a fluorine atom": "[F]", "a thiol group": "[S]", "a nitrile group": "[C][#N]", "an aldehyde group": "[C][=O]",
}  # fmt: skip


def one_step_law(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield applications of one law; parameter `largest` is the greatest of its numbers (default 12)."""
    numbers = range(2, whole_number("one-step-law", parameters, "largest", 12, 3) + 1)
    cases = [(law, first, second) for law in LAWS for first in numbers for second in numbers]
    draw.shuffle(cases)
    for (name, text, law, unit, operation), first, second in cases:
        # A quotient is made from its result, so that every answer is whole.
        left, value = (first, first * second) if operation == "x" else (first * second, first)
        yield Problem(
            f"{name}/{left}-{second}",
            f"{text.format(left, second)} Answer with a number and its unit.",
            f"{value} {unit}",
            group=f"{min(first, second)} {max(first, second)}",
            kind=name,
            solution=f"{law} = {left} {operation} {second} = {value}. Answer: {value} {unit}",
        )


def linear_equation(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield equations such as `3x + 4 = 19`; parameter `largest` bounds a, b and x (default 12)."""
    largest = whole_number("linear-equation", parameters, "largest", 12, 3)
    cases = [(a, b, x) for a in range(2, largest + 1) for b in range(1, largest + 1) for x in range(2, largest + 1)]
    draw.shuffle(cases)
    for a, b, x in cases:
        left, sign, back = (f"{a}x + {b}", 1, "-") if draw.random() < 0.5 else (f"{a}x - {b}", -1, "+")
        right, product = a * x + sign * b, a * x
        solution = f"{a}x = {right} {back} {b} = {product}. x = {product} / {a} = {x}. Answer: {x}"
        yield Problem(
            f"{left} = {right}",
            f"Solve for x: {left} = {right}. Answer with a number.",
            str(x),
            group=f"{a} {x}",
            solution=solution,
        )


def product(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield products of two numbers; parameter `largest` is the greater of them (default 20)."""
    largest = whole_number("product", parameters, "largest", 20, 3)
    cases = [(a, b) for a in range(2, largest + 1) for b in range(2, largest + 1)]
    draw.shuffle(cases)
    for a, b in cases:
        solution = f"{a} x {b} = {a * b}. Answer: {a * b}"
        yield Problem(
            f"{a}x{b}",
            f"What is {a} x {b}? Answer with a number.",
            str(a * b),
            group=f"{min(a, b)} {max(a, b)}",
            solution=solution,
        )


def one_line_function(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield functions of one argument; parameter `largest` bounds the number in each (default 12).

    Every case is checked against the function's own expression, and all numbers of a function are one group.
    """
    largest = whole_number("one-line-function", parameters, "largest", 12, 3)
    cases = [(pair, n) for pair in NUMBER_FUNCTIONS for n in range(2, largest + 1)]
    draw.shuffle(cases)
    for (description, expression), n in cases:
        body = expression.format(n=n)
        # Arguments on both sides of n: a function with another number fails at one of them.
        probes = [0, 1, 2, 3] if "**" in expression else sorted({*range(8), *range(n - 2, n + 3), 2 * n, 3 * n + 1})
        tests = [{"args": [x], "expected": eval(body, {"x": x})} for x in probes]
        answer = f"def f(x):\n    return {body}\n"
        yield Problem(
            f"{description}/{n}",
            f"Write a Python function f(x) that returns {description.format(n=n)}.",
            answer,
            info={"type": "call", "entry_point": "f", "cases": tests},
            group=description,
            kind=description,
            solution=f"```python\n{answer}```",
        )


def formula_count(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield counts of atoms; parameter `largest` is the greatest number of molecules (default 12)."""
    largest = whole_number("formula-count", parameters, "largest", 12, 3)
    cases = [(f, e, n) for f, atoms in FORMULAS.items() for e in atoms for n in range(2, largest + 1)]
    draw.shuffle(cases)
    for formula, element, n in cases:
        each = FORMULAS[formula][element]
        name = ELEMENT_NAMES[element]
        question = f"How many {name} atoms are in {n} molecules of {formula}? Answer with a number."
        solution = f"{formula} has {each} {element}. {n} x {each} = {n * each}. Answer: {n * each}"
        place = f"{formula}/{element}-{n}"
        yield Problem(place, question, str(n * each), group=f"{formula} {n}", kind=formula, solution=solution)


def unit_step(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield conversions by one factor; parameter `largest` is the greatest quantity (default 40)."""
    largest = whole_number("unit-step", parameters, "largest", 40, 3)
    cases = [(n, step) for n in range(2, largest + 1) for step in STEPS]
    draw.shuffle(cases)
    for n, (source, target, factor) in cases:
        solution = f"1 {source} = {factor} {target}. {n} x {factor} = {n * factor}. Answer: {n * factor} {target}"
        question = f"Convert {n} {source} to {target}. Answer with a number and its unit."
        answer, kind = f"{n * factor} {target}", f"{source} to {target}"
        yield Problem(f"{n}-{source}", question, answer, group=f"{n}", kind=kind, solution=solution)


def chain_caption(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield captions of chains with a group at one or both ends; parameter `largest` bounds the chain (default 12)."""
    largest = whole_number("chain-caption", parameters, "largest", 12, 3)
    ends = [*((name, "") for name in END_GROUPS), *((a, b) for a in END_GROUPS for b in END_GROUPS if a != b)]
    cases = [(length, pair) for length in range(2, largest + 1) for pair in ends]
    draw.shuffle(cases)
    for length, (first, second) in cases:
        other = f" and {second} at the other" if second else ""
        question = f"A straight chain of {length} carbon atoms with {first} at one end{other}."
        # A SELFIES starts with the second group, turned round so that it still attaches by its carbon.
        start = {"[C][#N]": "[N][#C]", "[C][=O]": "[O][=C]"}.get(END_GROUPS.get(second, ""), END_GROUPS.get(second, ""))
        molecule = start + "[C]" * length + END_GROUPS[first]
        yield Problem(
            f"{length}/{first}/{second}",
            question,
            molecule,
            group=f"{length} {' '.join(sorted((first, second)))}",
            solution=f"<answer>{molecule}</answer>",
        )


def whole_number(task: str, parameters: Parameters, key: str, default: int, least: int) -> int:
    """Return a task's only parameter.

    Raises:
        UserError: Another parameter is given, or it is not a whole number of at least `least`.
    """
    unknown = [name for name in parameters if name != key]
    if unknown:
        raise UserError(f"task {task!r} has no parameter {unknown[0]!r}; it takes {key}")
    value = parameters.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"task {task!r}: {key} must be a whole number of at least {least}, got {value!r}")
    return value


SMALL_TASKS = {
    "one-step-law": one_step_law,
    "linear-equation": linear_equation,
    "product": product,
    "one-line-function": one_line_function,
    "formula-count": formula_count,
    "unit-step": unit_step,
    "chain-caption": chain_caption,
}
