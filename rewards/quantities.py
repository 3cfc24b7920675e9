"""Numbers with units and significant figures: reading one from text, and whether two agree.

The rule for two numbers: they agree if the one with more digits rounds to the other, given at least two significant
figures, or if a decimal or measured one is within half a percent. Two bare integers must be equal. Units are compared
by dimension and converted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import mpmath

from rewards.evaluation import evaluate, symbols
from rewards.latex import Node, Unreadable, read
from rewards.units import ONE, Unit, parse_unit

RELATIVE = 5e-3
EXACT = mpmath.mpf(10) ** -25

_NUMBER_HEAD = re.compile(r"[-+−]?\s*(?:\d|\.\d|\\(?:[dt]?frac|sqrt|pi)|π|√)")


@dataclass(frozen=True)
class Quantity:
    """A number with its unit; `figures` are its stated significant figures, None for an exact one."""

    value: Any
    unit: Unit | None
    figures: int | None
    integer: bool


def figures(text: str) -> int | None:
    """Significant figures of a decimal literal; None for anything that is not one. Trailing zeros of an integer do
    not count.
    """
    head = re.match(r"[-+−]?\s*(\d[\d,]*\.?\d*|\.\d+)", text.strip())
    if head is None:
        return None
    digits = head.group(1).replace(",", "")
    if "." in digits:
        return len(digits.replace(".", "").lstrip("0")) or 1
    return len(digits.strip("0")) + (len(digits) - len(digits.lstrip("0")) and 0) if digits.strip("0") else 1


def quantity(text: str) -> Quantity | None:
    """A number, or a number followed by a unit; None for everything else."""
    text = re.sub(r"\s*(?:\\pm|±)\s*[\d.]+", "", text.strip(), count=1)
    if not _NUMBER_HEAD.match(text) or len(text) > 300:
        return None
    bare = _number(text)
    if bare is not None:
        return Quantity(bare, None, _stated(text), _is_integer(text))
    for cut in range(len(text) - 1, 0, -1):
        if text[cut - 1] in "\\^_" or (text[cut - 1].isalpha() and text[cut].isalpha() and "\\" not in text[:cut]):
            continue
        unit = parse_unit(text[cut:])
        if unit is None or (text[cut].isalnum() and text[cut - 1] == "\\"):
            continue
        value = _number(text[:cut])
        if value is not None and not _shorter_head(text, cut):
            return Quantity(value, unit, _stated(text[:cut]), _is_integer(text[:cut].strip()))
    return None


def _shorter_head(text: str, cut: int) -> bool:
    """Whether the unit begins earlier: `5 m` in front of `/s` is no number, but `3e` in front of `V` would be one."""
    return any(
        text[i:cut].strip() and _number(text[:i]) is not None and parse_unit(text[i:]) is not None
        for i in range(1, cut)
    )


def _number(text: str) -> Any:
    text = text.strip().rstrip("~").strip()
    text = re.sub(r"(?:\\[,;: ]|\\thinspace|\\quad|~)+$", "", text).strip()
    if not text or text[-1] in "{(\\^_":
        return None
    try:
        tree = read(text)
        if symbols(tree) or _uses(tree, "e"):
            return None
        value = evaluate(tree, {})
    except Unreadable:
        return None
    return mpmath.re(value) if mpmath.im(value) == 0 else None


def _uses(tree: Node, kind: str) -> bool:
    return tree.kind == kind or any(_uses(part, kind) for part in tree.parts)


def _is_integer(text: str) -> bool:
    return bool(re.fullmatch(r"[-+−]?\s*\d[\d,]*", text.strip()))


def _stated(text: str) -> int | None:
    literal = re.fullmatch(
        r"[-+−]?\s*(\d[\d,]*\.?\d*|\.\d+)\s*(?:[eE][-+]?\d+|(?:\\times|\\cdot|×|·|\*)\s*10\s*\^?.*)?",
        text.strip().strip("~ \\,"),
    )
    return figures(literal.group(1)) if literal else None


def close(gold: Quantity, said: Quantity, factor: Any = 1) -> bool:
    """Whether two numbers agree to their significant figures; `factor` converts the second into the first one's
    unit.
    """
    a, b = gold.value, said.value * factor
    if not (mpmath.isfinite(a) and mpmath.isfinite(b)):
        return False
    size = max(abs(a), abs(b))
    if abs(a - b) <= EXACT * size:
        return True
    plain = factor == 1 and gold.unit is None
    if (gold.integer and said.integer) and plain:
        return False
    if gold.figures is None and said.figures is None:
        return abs(a - b) <= mpmath.mpf(10) ** -9 * size
    stated = [count for count in (gold.figures, said.figures) if count is not None]
    fewest = min(stated)
    exact_gold = gold.figures is None or (gold.integer and plain)
    if not exact_gold and abs(a - b) <= RELATIVE * size:
        return True
    coarse = b if said.figures == fewest else a
    return fewest >= (3 if exact_gold else 2) and abs(a - b) <= mpmath.mpf("0.500001") * _last_place(coarse, fewest)


def _last_place(value: Any, count: int) -> Any:
    return mpmath.mpf(10) ** (int(mpmath.floor(mpmath.log10(abs(value)))) - count + 1) if value else mpmath.mpf(0)


def same_quantity(gold: Quantity, said: Quantity) -> bool:
    """Compare in the gold's unit. A unit missing on one side is taken to be the other's; a different dimension is
    wrong.
    """
    if gold.unit is None or said.unit is None:
        named = gold.unit or said.unit
        if named is None or named.dimension != ONE.dimension or close(gold, said):
            return close(gold, said)
        gold, said = (Quantity(q.value, q.unit or ONE, q.figures, q.integer) for q in (gold, said))
    assert gold.unit is not None
    assert said.unit is not None
    if gold.unit.dimension != said.unit.dimension:
        return False
    if gold.unit.offset or said.unit.offset:
        shifted = (said.value * said.unit.factor + said.unit.offset - gold.unit.offset) / gold.unit.factor
        return close(gold, Quantity(shifted, gold.unit, said.figures, said.integer))
    if gold.unit.factor == said.unit.factor:
        return close(gold, said)
    return close(gold, said, mpmath.mpf(said.unit.factor) / mpmath.mpf(gold.unit.factor))
