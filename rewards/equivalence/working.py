r"""Follow the working in front of a result: `10 m/s^2 * 6 kg = 60 N`, `28 * 1000 = 28000 mg`.

    agrees_with_its_working(["4 m/s * 3 s", "12 m"], "12 m", equal)

A step counts as right where its product has the value and dimension of the result, or, written without units, the number
of the result. One wrong step makes the chain wrong, as `8 = 7` is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rewards.equivalence.left_sides import is_closed
from rewards.equivalence.quantities import Quantity, quantity
from rewards.equivalence.units import ONE, Unit, times

TOLERANCE = 5e-3
MAX_FACTORS = 8
_SIGN = re.compile(
    r"\s*(?:\\(?:times|cdot|ast)(?![a-z])|[*×·⋅]|(?<=\s)[xX](?=\s)|(?<=\))(?=\s*\())\s*(?=[\d(.\\])|\s+(/)\s+(?=[\d.])"
)
_NUMBER = re.compile(r"[-+]?[\d.,]*\d")


def agrees_with_its_working(chain: list[str], value: str, equal: Callable[[str, str], bool]) -> bool | None:
    """Return whether a chain ends with a quantity that equals a value, and every step before it leads there.

    Args:
        chain: The members of an equation, two or more.
        value: What its result must equal.
        equal: Compares two answers.

    Returns:
        None where a member is neither a number nor a product of quantities, or where no product has a unit.
    """
    result = quantity(chain[-1])
    steps = [(member, quantity(member), product(member)) for member in chain[:-1]]
    if result is None or not any(made or (result.unit and read and read.unit is None) for _, read, made in steps):
        return None
    if any(read is None and made is None and not is_closed(member) for member, read, made in steps):
        return None
    if not equal(chain[-1], value):
        return False
    number = _NUMBER.match(chain[-1].strip())
    whole = quantity(value) or result
    return all(
        _is(made, whole) if made else equal(member, value) or bool(number and equal(member, number.group()))
        for member, _, made in steps
    )


def product(text: str) -> Quantity | None:
    """Return a product or quotient of numbers, at least one of them with a unit; None for anything else."""
    pieces = _SIGN.split(text.strip())
    factors, signs = pieces[::2], pieces[1::2]
    if not 1 < len(factors) <= MAX_FACTORS:
        return None
    read = [quantity(factor.strip().removeprefix("(").removesuffix(")")) for factor in factors]
    if not all(read) or not any(one and one.unit for one in read):
        return None
    value, unit = 1.0, ONE
    for one, sign in zip(read, [None, *signs], strict=True):
        if one is None or one.label or (one.unit and one.unit.offset) or (sign and not one.value):
            return None
        inverse = -1 if sign else 1
        value *= float(one.value) ** inverse
        unit = times(unit, one.unit or ONE, inverse)
    return Quantity(value, unit, None, False)


def _is(made: Quantity, whole: Quantity) -> bool:
    """Return whether a product has the dimension and the value of a result; a result without a unit has that of its steps."""
    unit: Unit = made.unit or ONE
    if whole.unit and whole.unit.dimension != unit.dimension:
        return False
    wanted = float(whole.value) * (whole.unit.factor if whole.unit else unit.factor)
    return abs(made.value * unit.factor - wanted) <= TOLERANCE * abs(wanted)
