"""Read numbers with units and significant figures, and compare them.

Two numbers agree if the one with more digits rounds (or is cut) to the other at three or more significant figures, or,
under a physics config, if a measured one is within half a percent. Two bare integers must be equal; an integer and a
decimal may differ by 1e-6. Units are compared by dimension and converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import mpmath

from rewards.equivalence.descriptions import is_remark, is_statement, same_description
from rewards.equivalence.evaluation import DIGITS, Budget, evaluate, symbols
from rewards.equivalence.formulas import read
from rewards.equivalence.notation import FUNCTIONS, GREEK, listed
from rewards.equivalence.numbers import scale_word
from rewards.equivalence.tokens import UnreadableFormula, spelled_out
from rewards.equivalence.units import ONE, Unit, parse_unit, unjoined

RELATIVE = mpmath.mpf("5e-3")
EXACT, CONVERTED = mpmath.mpf(10) ** -25, mpmath.mpf(10) ** -12
MAX_QUANTITY_CHARS, MAX_DENOMINATOR = 300, 10**6
_SPACE = r"(?:\s|~|\\[,;:! ]|\\q?quad(?![A-Za-z])|\\thinspace|\{\}|\\cdot\s*(?=\\(?:text|mathrm)))*"
_DECIMAL = r"[-+]?\s*(?:\d{1,3}(?:(?:,|\{,\}|\\,|,\\!|\s)\s*\d{3})+(?![\d])(?:\.\d+)?|\d+\.?\d*|\.\d+)"
_POWER = (
    r"(?:[eE][-+]?\d+(?!\w)|\s*(?:\\times|\\cdot|\\ast|\*|x(?=\s*10\s*\^)|\.(?=\s*10\s*\^))?\s*10\s*\^\s*"
    r"(?:\{\s*[-+]?\s*\d+\s*\}|\(\s*[-+]?\d+\s*\)|[-+]?\d+))"
)
_LITERAL = re.compile(rf"({_DECIMAL}){_SPACE}({_POWER})?{_SPACE}")
_TEN_POWER = re.compile(rf"([-+]?)\s*10\s*\^\s*(?:\{{\s*([-+]?\s*\d+)\s*\}}|([-+]?\d+)){_SPACE}")
_UNCERTAINTY = re.compile(
    r"(?<=[\d}])\s*(?:\\pm)\s*(\d+\.?\d*|\.\d+)(?:\s*(?=\\times|\\cdot)|)|(?<=\d)\((\d{1,2})\)(?=\s|\\|[eE]|$)"
)
_PARENTHESES = re.compile(r"^\(([^()]*\\pm[^()]*)\)")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_COMPOUND = re.compile(r"\d+(?:\.\d+)?\s*[A-Za-z]+(?:(?:\s*,)?\s*(?:\band\b\s*)?\d+(?:\.\d+)?\s*[A-Za-z]+){1,3}")
_JOINED_FACTORS = {1.0, 60.0, 3600.0, 86400.0, 604800.0, 0.0254, 0.3048, 0.9144, 0.45359237, 0.028349523125}
"""Factors of the units of time, feet and pounds, whose amounts a comma or `and` may join: `2 hours and 30 minutes`."""
_HEAD = re.compile(
    r"[-+]?\s*(?:[\d.(]|\\(?:[dt]?frac|sqrt|pi|ln|log|left|exp|Gamma|zeta|sin|cos|tan|arc))|e(?![A-Za-z])"
)
_UNIT_START = re.compile(
    r"(?:\\(?:mathrm|text|textrm|mathit|operatorname|rm|AA|mu|Omega|degree|%|unit|mbox|mathring)|\^|[A-Za-z%])"
)
_LABEL = re.compile(
    r"(?:\\(?:text|mathrm|mbox|textbf|textrm|textnormal)\s*\{([^{}]*)\}|((?=[A-Za-z' -]*[aeiouy])[A-Za-z]{4,}[A-Za-z' -]*))\.?"
)
_LETTERS, _PRODUCT = re.compile(r"[A-Za-z]+"), re.compile(r"[A-Za-z](?:\s+[A-Za-z])+")
_FORMULA_WORDS = re.compile(r"\b(?:" + "|".join([*FUNCTIONS, *GREEK, "pi"]) + r")\b|[\^_=]")
_WRAPPED = re.compile(r"\\(?:text|mathrm|mbox|textbf|textrm|textnormal|mathbf)\s*\{([^{}]*)\}")
_GAP = re.compile(r"[\s,]+")
_SPACING = re.compile(r"\\[,;:! ]|\\q?quad(?![A-Za-z])|~")
_NOT_UNITS = set(listed("in as am pm us al at a"))
"""Words that read as units, but seldom are one in front of other words."""
_INCHES = re.compile(r"(?:long|tall|wide|high|thick|deep|apart|away|of|per|from|above|below)\b")
_BARE_REMARK = re.compile(r"(?:to|of|in|on|at|by|up|out|due|per|from|into|down|(?=[a-z'-]*[aeiouy])[a-z'-]{4,})\b")
MAX_LITERAL_EXPONENT, MAX_GAPS = 3_000, 10
FULL_PLACES, FULL_FIGURES = 6, 8
"""Decimal places, or figures of a large number, that state an irrational number in full; math-verify rounds to as many."""


@dataclass(frozen=True)
class Quantity:
    """A number with its unit.

    Attributes:
        value: The number.
        unit: Its unit, None where none is written.
        figures: Its stated significant figures, None for an exact number.
        label: What is counted ("apples"), or what stands behind the unit ("of gold").
        ambiguous: Whether the unit may as well be a product of symbols (`2m`, `2 m g`).
        other: The unit under the reading that a slash divides by all behind it (`J/mol K`), where that differs.
    """

    value: Any
    unit: Unit | None
    figures: int | None
    integer: bool
    label: str = ""
    ambiguous: bool = False
    other: Unit | None = None

    @property
    def exact(self) -> bool:
        r"""Return whether this is a number without unit or decimals, such as 5 or \sqrt{2}."""
        return self.unit is None and not self.label and (self.integer or self.figures is None)


@dataclass(frozen=True)
class Rounding:
    r"""When a decimal stands for an irrational number, in mathematics.

    An exact reference such as `2\sqrt{3}` asks for an exact form: 3.46 does not show that the number is known.

    Attributes:
        allowed: Whether decimals are expected: the reference is one, or the question asks for one. Three figures do then.
        places: The decimal places that the question asks for, if any; fewer are not enough.
    """

    allowed: bool = True
    places: int | None = None

    def agrees(self, decimal: Quantity, value: Any, gap: Any) -> bool | None:
        """Return whether a decimal stands for a number; None leaves it to the figures.

        Args:
            decimal: The decimal as written.
            value: Its value in the unit of the number.
            gap: How far apart the two are.
        """
        if self.allowed and self.places is None:
            return None
        count = decimal.figures if decimal.figures is not None else 99
        last = _last_place(value, count)
        asked = mpmath.mpf(10) ** -(FULL_PLACES if self.places is None else self.places)
        enough = last <= asked * (1 + EXACT) and (self.places is not None or count >= FULL_PLACES)
        if not enough and (self.places is not None or count < FULL_FIGURES):
            return False
        is_cut = gap < last and self.places is None and abs(value) > abs(decimal.value)
        return bool(is_cut or gap <= mpmath.mpf("0.500001") * (asked if self.places is not None else last))


ROUNDED = Rounding()


def figures(digits: str) -> int:
    """Significant figures of a decimal literal.

    Trailing zeros of an integer do not count.
    """
    digits = re.sub(r"[^\d.]", "", digits)
    if "." in digits:
        return len(digits.replace(".", "").lstrip("0")) or 1
    return len(digits.strip("0")) or 1


@lru_cache(maxsize=2048)
def quantity(text: str) -> Quantity | None:
    """Return a number with its unit or what it counts, if any; None for others."""
    text = spelled_out(text).strip()
    if (whole := _WRAPPED.fullmatch(text)) and whole[1].strip()[:1].isdigit():
        text = whole[1].strip()
    if len(text) > MAX_QUANTITY_CHARS or not _HEAD.match(text):
        return None
    if "\\pm" in text:
        text = _PARENTHESES.sub(r"\1", text)
    if (doubt := _UNCERTAINTY.search(text)) and _is_small(doubt, text):
        text = text[: doubt.start()] + text[doubt.end() :]
    with mpmath.workdps(DIGITS):
        return _compound(text) or _literal(text) or _computed(text)


def _compound(text: str) -> Quantity | None:
    """Return a sum of quantities in ever smaller units without plus signs, such as `1 h 30 min` or `5 ft 11 in`."""
    text = _plain(text)
    if not _COMPOUND.fullmatch(text):
        return None
    joined = "," in text or " and " in text
    total: Quantity | None = None
    for digits, name in _PIECE.findall(text):
        unit = parse_unit(name)
        if unit is None or unit.offset or (joined and unit.factor not in _JOINED_FACTORS):
            return None
        if total is None:
            total = Quantity(mpmath.mpf(digits), unit, None, False)
            largest = smallest = unit.factor
            continue
        if total.unit is None or unit.dimension != total.unit.dimension or unit.factor >= smallest:
            return None
        smallest = unit.factor
        total = replace(
            total, value=total.value + mpmath.mpf(digits) * mpmath.mpf(repr(unit.factor)) / mpmath.mpf(repr(largest))
        )
    return replace(total, figures=15) if total else None


def is_compound(text: str) -> bool:
    """Return whether an answer is a sum of quantities in ever smaller units, such as `2 hours and 30 minutes`."""
    return "," not in text and len(text) <= MAX_QUANTITY_CHARS and _compound(text.strip()) is not None


def _is_small(doubt: re.Match[str], text: str) -> bool:
    """Return whether an uncertainty is at most a quarter of the number before it.

    More, and it says nothing.
    """
    stated = re.search(r"(\d+\.?\d*|\.\d+)\s*$", text[: doubt.start()])
    if doubt.group(1) is None:
        return stated_digits(text[: doubt.start()])
    return stated is not None and float(doubt.group(1)) <= 0.25 * float(stated.group(1))


def stated_digits(text: str) -> bool:
    """Return whether a number ends in decimals, so that digits in parentheses are their uncertainty: `1.38(1)`."""
    return re.search(r"\.\d+$", text) is not None


def _literal(text: str) -> Quantity | None:
    ten = _TEN_POWER.match(text)
    match = _LITERAL.match(text)
    if match is None:
        return None
    if ten:
        sign, digits, rest = ten.group(1), "1", text[ten.end() :]
        power = int((ten.group(2) or ten.group(3)).replace(" ", "")[:9])
    else:
        digits, rest = match.group(1), text[match.end() :]
        sign = "-" if digits.strip().startswith("-") else ""
        written = re.sub(r"[^-\d]", "", re.sub(r"^\D*10\s*\^", "", match.group(2) or "0"))
        power = int(written[:9] or "0")
        digits = re.sub(r"[^\d.]", "", digits)
    if abs(power) > MAX_LITERAL_EXPONENT or len(digits) > 200:
        return None
    whole = bool(not ten and match.group(2) is None and "." not in digits)
    value = mpmath.mpf(f"{sign}{digits}e{power}")
    stated = None if ten else figures(digits)
    plain = Quantity(value, None, stated, whole)
    rest = rest.strip()
    if not rest:
        return plain
    if scaled := scale_word(rest):
        plain, rest = replace(plain, value=value * scaled[0]), scaled[1].strip("{} ") and scaled[1]
        if not rest:
            return plain
    tail = _tail(rest)
    if tail is None:
        return None
    joined = text.removesuffix(rest)[-1:].isalnum() and _LETTERS.fullmatch(rest)
    return replace(
        plain,
        unit=tail.unit,
        label=tail.label,
        ambiguous=tail.unit is not None and bool(joined or _PRODUCT.fullmatch(rest)),
        other=tail.other,
    )


@dataclass(frozen=True)
class _Tail:
    """What follows a number: a unit, the unit under its other reading, and a description."""

    unit: Unit | None
    other: Unit | None = None
    label: str = ""


@lru_cache(maxsize=2048)
def _tail(rest: str) -> _Tail | None:
    """Read what follows a number: a unit, a unit with a description behind it, or what is counted."""
    if rest[:1] == "[" and rest[-1:] == "]":  # a unit in brackets
        rest = rest[1:-1].strip()
    unit, other = _unit(rest)
    if unit is not None:
        return _Tail(unit, other)
    for head, words in _cuts(rest):
        unit, other = _unit(head)
        if unit is not None:
            return _Tail(unit, other, words.lower()) if is_remark(words.lower()) else None
    label = _LABEL.fullmatch(rest)
    if label is None or _FORMULA_WORDS.search(rest):
        return None
    name = (label.group(1) or label.group(2)).strip().lower()
    return None if is_statement(name) else _Tail(None, None, name)


def _unit(rest: str) -> tuple[Unit | None, Unit | None]:
    """Return the unit that a text denotes, and the one under its other reading where that differs."""
    unit, apart = parse_unit(rest), unjoined(rest)
    if unit is None:
        unit = parse_unit(apart)
    elif "-" not in rest and "/" not in rest:
        apart = rest  # `ms` is a millisecond, `ms^{-2}` and `W/mK` may be products
    if unit is None:
        return None, None
    other = parse_unit(apart, "/" in rest or "per" in rest)
    return unit, other if other is not None and other.dimension != unit.dimension else None


def _plain(text: str) -> str:
    """Return a text without the commands around its words."""
    return _SPACING.sub(" ", _WRAPPED.sub(r" \1 ", text)).strip()


def _cuts(rest: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to part a text into what may be a unit and words behind it, the longest unit first."""
    plain = _plain(rest)
    bare = "\\" not in rest.replace("\\circ", "")
    for gap in reversed(list(_GAP.finditer(plain))[:MAX_GAPS]):
        head, words = plain[: gap.start()], plain[gap.end() :].strip()
        last = head.split()[-1] if head.split() else ""
        if last in _NOT_UNITS and not (head == "in" and _INCHES.match(words)):
            continue
        if not words or _FORMULA_WORDS.search(words) or (bare and not _BARE_REMARK.match(words)):
            continue
        yield head, words


def _computed(text: str) -> Quantity | None:
    r"""Read a number that needs arithmetic, such as `\frac{600}{7}` or `5\sqrt{2}`."""
    whole = _value(text)
    if whole is not None:
        return Quantity(whole, None, _stated(text), False)
    for start in list(_UNIT_START.finditer(text))[:40]:
        cut = start.start()
        if cut == 0 or text[cut - 1] in "\\^_{":
            continue
        tail = _tail(text[cut:])
        if tail is None or (tail.unit is None and "\\" not in text[cut:]):
            continue
        value = _value(re.sub(rf"{_SPACE}$", "", text[:cut]))
        if value is not None:
            joined = (
                tail.unit is not None and text[cut - 1] in ")}" and _LETTERS.fullmatch(text[cut:])
            )  # `\frac{3}{2}kT`
            return Quantity(value, tail.unit, _stated(text[:cut]), False, tail.label, ambiguous=bool(joined))
    return None


def _value(text: str) -> Any:
    text = text.strip()
    if not text or text[-1] in "{(\\^_":
        return None
    try:
        tree = read(text)
        if symbols(tree):
            return None
        value = evaluate(tree, {}, Budget(20_000))
    except UnreadableFormula:
        return None
    return mpmath.re(value) if abs(mpmath.im(value)) <= EXACT * abs(value) else None


def _stated(text: str) -> int | None:
    """Return the figures of a computed number's least precise decimal, if any."""
    decimals = re.findall(r"\d*\.\d+", text)
    return min((figures(item) for item in decimals), default=None)


def is_irrational(value: Any) -> bool:
    """Return whether a number of `DIGITS` digits is no fraction with a denominator below a million."""
    if not mpmath.isfinite(value):
        return False
    with mpmath.workdps(DIGITS):
        rest, below, above = mpmath.mpf(value), 0, 1
        while above < MAX_DENOMINATOR:
            whole = mpmath.floor(rest + EXACT)
            if abs(rest - whole) <= EXACT * max(1, abs(value)) * above**2:
                return False
            rest = 1 / (rest - whole)
            below, above = above, int(mpmath.floor(rest)) * above + below
        return True


def close(
    first: Quantity, second: Quantity, factor: Any = 1, measured: bool = True, rounding: Rounding = ROUNDED
) -> bool:
    """Return whether two numbers agree to their significant figures, in either order.

    Args:
        first: A quantity.
        second: Another one.
        factor: Converts the second into the first one's unit.
        measured: Allow half a percent.
        rounding: When a decimal stands for an irrational number.
    """
    a, b = first.value, second.value * factor
    if not (mpmath.isfinite(a) and mpmath.isfinite(b)):
        return False
    size, gap = max(abs(a), abs(b)), abs(a - b)
    same_unit = factor == 1
    if gap <= (EXACT if same_unit else CONVERTED) * size:
        return True
    # Two exact numbers agree only if they are equal. A whole number of fewer than three figures is a count, one of more
    # may be measured (`299 m`). For all others the last stated figure decides or, between measured values, half a percent.
    exact = [_is_exact(q, same_unit) for q in (first, second)]
    if all(exact):
        return False
    if not measured and any(exact):
        value, decimal = (a, second) if exact[0] else (b, first)
        decided = rounding.agrees(decimal, value, gap) if is_irrational(value) else None
        if decided is not None:
            return decided
    whole = next((q for q, is_exact in zip((first, second), exact, strict=True) if is_exact and q.integer), None)
    if whole is not None and same_unit and not (measured and (whole.figures or 0) >= 3):
        return bool(gap <= mpmath.mpf(10) ** -6 * min(size, 1))
    if whole is not None and measured and gap <= RELATIVE * size:
        return True
    if measured and any(exact) and gap <= RELATIVE * size:
        coarse, stated = (a, first.figures) if exact[1] else (b, second.figures)
        return stated is not None and stated >= 2 and gap <= _last_place(coarse, stated)
    if measured and not any(exact) and gap <= RELATIVE * size:
        return not (first.integer and second.integer and same_unit) or _rounded(first, second, a, b, gap)
    return _rounded(first, second, a, b, gap)


def _is_exact(number: Quantity, same_unit: bool) -> bool:
    return number.figures is None or (number.integer and number.unit is None and same_unit)


def _rounded(first: Quantity, second: Quantity, a: Any, b: Any, gap: Any) -> bool:
    """Return whether the longer number rounds, or is cut, to the shorter one."""
    counts = [q.figures if q.figures is not None else 99 for q in (first, second)]
    fewest = min(counts)
    if counts[0] == counts[1] or fewest < 3:
        return False
    coarse, fine = (a, b) if counts[0] == fewest else (b, a)
    last = _last_place(coarse, fewest)
    cut = abs(fine) > abs(coarse) and gap < last and coarse * fine > 0
    return bool(gap <= mpmath.mpf("0.500001") * last or cut)


def _last_place(value: Any, count: int) -> Any:
    """Return one unit of the last of `count` significant figures."""
    return mpmath.mpf(10) ** (int(mpmath.floor(mpmath.log10(abs(value)))) - count + 1) if value else mpmath.mpf(0)


def same_quantity(
    gold: Quantity,
    predicted: Quantity,
    measured: bool = True,
    unit_required: bool = False,
    rounding: Rounding = ROUNDED,
) -> bool:
    """Compare two quantities; see `_same`."""
    with mpmath.workdps(DIGITS):
        return _same(gold, predicted, unit_required, partial(close, measured=measured, rounding=rounding))


def _same(gold: Quantity, predicted: Quantity, unit_required: bool, close: Callable[..., bool]) -> bool:
    """Compare in one unit.

    A unit missing on one side is taken to be the other's, unless required. A different dimension is wrong, and so are
    two different things counted.
    """
    if not same_description(gold.label, predicted.label):
        return False
    if gold.unit is None or predicted.unit is None:
        named = gold.unit or predicted.unit
        if unit_required and named is not None and named.dimension != ONE.dimension:
            return False
        if named is not None and any(q.unit is None and q.label for q in (gold, predicted)):
            return False
        if close(gold, predicted):
            return True
        if named is None or named.dimension != ONE.dimension:
            return False
        gold, predicted = (replace(q, unit=q.unit or ONE) for q in (gold, predicted))
    assert gold.unit is not None
    assert predicted.unit is not None
    if gold.unit.dimension != predicted.unit.dimension and (gold.other or predicted.other):
        gold, predicted = _reread(gold, predicted)
    assert gold.unit is not None
    assert predicted.unit is not None
    if gold.unit.dimension != predicted.unit.dimension:
        return False
    if gold.unit.offset or predicted.unit.offset:
        if gold.unit == predicted.unit:
            return close(gold, predicted)
        kelvin = [
            replace(q, value=q.value * q.unit.factor + q.unit.offset, integer=False)
            for q in (gold, predicted)
            if q.unit
        ]
        return close(kelvin[0], kelvin[1], mpmath.mpf(1)) or close(kelvin[0], kelvin[1], 1 + CONVERTED / 100)
    if gold.unit.factor == predicted.unit.factor:
        return close(gold, predicted)
    return close(gold, predicted, mpmath.mpf(predicted.unit.factor) / mpmath.mpf(gold.unit.factor))


def _reread(gold: Quantity, predicted: Quantity) -> tuple[Quantity, Quantity]:
    """Return the two quantities with their units read alike: `J/mol K` next to `J/(mol K)`."""
    for a in filter(None, (gold.unit, gold.other)):
        for b in filter(None, (predicted.unit, predicted.other)):
            if a.dimension == b.dimension:
                return replace(gold, unit=a), replace(predicted, unit=b)
    return gold, predicted
