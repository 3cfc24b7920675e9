r"""Read physical units: an expression becomes a factor to SI and dimensions.

The table comes from pint's registry (`tools/unit_table.py`), the small parser is our own: a unit in a model's answer is
untrusted text, and what answers use (`\mathrm{kg\,m/s^2}`, `km s^{-1}`, `\text{Å}`, `eV/c^2`, `M`) is a small closed
language. Angles are numbers: a degree is pi/180.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from rewards.equivalence.unit_table import NAMES, PLAIN, PREFIXED, Dimension


@dataclass(frozen=True)
class Unit:
    """A physical unit.

    Attributes:
        factor: The factor to SI.
        dimension: The exponents of (m, kg, s, A, K, mol, cd).
        offset: The zero point that a temperature scale adds, in kelvin.
    """

    factor: float
    dimension: Dimension
    offset: float = 0.0


_NONE: Dimension = (0, 0, 0, 0, 0, 0, 0)
ONE = Unit(1.0, _NONE)
_PREFIXES = {
    **{"Y": 1e24, "Z": 1e21, "E": 1e18, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "h": 1e2, "da": 1e1},
    **{"d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18},
}
_NAMES = {
    **NAMES,
    **{"sec": "s", "amp": "A", "metre": "m", "feet": "ft", "inches": "in", "lbs": "lb", "hrs": "h", "mins": "min"},
    **{"secs": "s", "yrs": "yr", "henries": "H", "centuries": "century", "electronvolt": "eV", "electron-volt": "eV"},
    **{"kilohm": "kohm", "megohm": "Mohm", "milliohm": "mohm", "lightyear": "ly", "gallon": "gal", "gm": "g"},
    **{
        "gms": "g",
        "kilo": "kg",
        "kilos": "kg",
        "kgs": "kg",
        "kms": "km",
        "litre": "L",
        "tons": "ton",
        "gauss": "gauss",
    },
    **{"decibel": "dB", "permil": "permille"},
    **{"celsius": "degC", "fahrenheit": "degF", "stone": "stone", "radians": "rad", "oersted": "Oe"},
}
_NAMES.pop("stone")
_WORD_PREFIXES = {
    **{"giga": 1e9, "mega": 1e6, "kilo": 1e3, "centi": 1e-2, "milli": 1e-3, "micro": 1e-6, "nano": 1e-9, "pico": 1e-12}
}
_OFFSETS = {
    **{"degC": (1.0, 273.15), "celsius": (1.0, 273.15), "Celsius": (1.0, 273.15)},
    **{"degF": (5 / 9, 459.67 * 5 / 9), "Fahrenheit": (5 / 9, 459.67 * 5 / 9)},
}
_REPLACED = (
    (re.compile(r"\\rm\b\s*"), " "),
    (re.compile(r"\\(?:[,;:!> ]|quad|qquad|thinspace|left|right)|~"), " "),
    (re.compile(r"\\(?:cdot|times)|[·⋅*×]"), " "),
    (re.compile(r"\\(?:mu|micro)(?![A-Za-z])\s*|[µμ]\s*"), "u"),
    (re.compile(r"\\(?:Omega|ohm)(?![A-Za-z])|[ΩΩ]"), "ohm"),
    (
        re.compile(r"(?:\^\s*\{?\s*\\?circ\s*\}?|\\degree|\\circ|°|º|\bdegrees?)\s*(?:C\b|Celsius\b|\{\s*C\s*\})|℃"),
        "degC ",
    ),
    (re.compile(r"(?:\^\s*\{?\s*\\?circ\s*\}?|\\degree|°|º|\bdegrees?)\s*(?:F\b|Fahrenheit\b|\{\s*F\s*\})|℉"), "degF "),
    (
        re.compile(
            r"(?:\^\s*\{?\s*\\?circ\s*\}?|\\degree|°|º|\bdegrees?)\s*(?:K(?![A-Za-z])|\{\s*K\s*\}|[Kk]elvins?\b)"
        ),
        "K ",
    ),
    (re.compile(r"([MLR])_\s*\{?\s*(?:\\odot|\\rm sun|sun)\s*\}?"), r"\1sun"),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree|°|º"), "deg"),
    (re.compile(r"\\(?:AA|r A|mathring\s*\{?A\}?)|[ÅÅ]"), "angstrom"),
    (re.compile(r"\\%|%|\\percent(?![a-z])"), "percent"),
    (re.compile(r"‰"), "permille"),
    (re.compile(r"^\s*(?:''|\^?\s*\{?\s*\\prime\s*\\prime\s*\}?)\s*$"), "arcsec"),
    (re.compile(r"^\s*(?:'|\^\s*\{?\s*\\prime\s*\}?)\s*$"), "arcmin"),
    (re.compile(r"\bper\s*cent\b", re.IGNORECASE), "percent"),
    (re.compile(r"\bper\b"), "/"),
    (re.compile(r"⁻"), "^-"),
    (re.compile(r"²"), "^2"),
    (re.compile(r"³"), "^3"),
    (re.compile(r"[−–]"), "-"),
)
_WORDS = (
    (re.compile(r"\belectron[\s-]+volts?\b", re.IGNORECASE), "eV"),
    (re.compile(r"\bparts\s*(?:/|per)\s*million\b", re.IGNORECASE), "ppm"),
    (re.compile(r"\bparts\s*(?:/|per)\s*billion\b", re.IGNORECASE), "ppb"),
    (re.compile(r"\blight[\s-]+years?\b", re.IGNORECASE), "ly"),
    (re.compile(r"\bnautical\s+miles?\b", re.IGNORECASE), "nmi"),
    (re.compile(r"\b(?:astronomical|AU)\s+units?\b", re.IGNORECASE), "AU"),
    (re.compile(r"\b(?:unified\s+)?atomic\s+mass\s+units?\b", re.IGNORECASE), "u"),
    (re.compile(r"\b(?:fl|fluid)\.?\s+(?:oz|ounces?)\b", re.IGNORECASE), "floz"),
    (re.compile(r"\b(?:mm|millimeters?)\s+(?:of\s+)?(?:Hg|mercury)\b"), "mmHg"),
    (re.compile(r"\b(?:revolutions?|rev)\s*(?:/|per)\s*min(?:ute)?\b"), "rpm"),
    (re.compile(r"\b(?:kilowatt|kw)[\s-]+hours?\b", re.IGNORECASE), "kWh"),
    (re.compile(r"\bBohr\s+radi(?:us|i)\b", re.IGNORECASE), "bohr"),
    (re.compile(r"\b(?:square|sq\.?)\s+([A-Za-z]+)", re.IGNORECASE), r"\1^2"),
    (re.compile(r"\b(?:cubic|cu\.?)\s+([A-Za-z]+)", re.IGNORECASE), r"\1^3"),
    (re.compile(r"\b([A-Za-z]+)\s+squared\b"), r"\1^2"),
    (re.compile(r"\b([A-Za-z]+)\s+cubed\b"), r"\1^3"),
)
_WRAPPED = re.compile(
    r"\\(?:mathrm|text|textrm|mathit|operatorname|unit|si|mbox|textnormal|textbf|mathsf)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{((?:[^{}]|\{[^{}]*\})*)\}\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TOKEN = re.compile(r"\s*(?:([A-Za-z]+)|\^\s*(\{\s*)?([-+]?\d+(?:\.\d+)?(?:/\d+)?)(?(2)\s*\})|(-?\d)|([/(){}]))")
_JOINED = re.compile(
    r"(?<![A-Za-z])(kg|cm|mm|km|kJ|mol|Pa|Wb|[mNJWCVTAKs])(m|s|mol|kg|K|A)(ms?|s|mol|K)?(?=\s*(?:[\^/)}⁻²³\d\s·.]|\\|$))"
)
_SPECIAL = re.compile(r"[^A-Za-z0-9\s/(){}^+.-]|\bper\b|\bpercent|\bpermil|deg", re.IGNORECASE)
_WORDED = re.compile(r"[A-Za-z][.\s-]+[A-Za-z(]|\brev")
_KILO = re.compile(r"(?<![A-Za-z])K(?=(?:g|J|N|W|V|Hz|Pa|eV|Wh|cal|bar)(?![A-Za-z])|m\s*(?:/\s*(?:h|hr|s)\b|$))")
MAX_UNIT_CHARS = 120


def unjoined(text: str) -> str:
    """Return a unit whose symbols are written without a separator with one: `ms^{-2}` as `m s^{-2}`, `Nm` as `N m`."""
    return _JOINED.sub(
        lambda match: " ".join(filter(None, (*match.groups()[:2], (match[3] or "").replace("ms", "m s")))), text
    )


def single(name: str) -> Unit | None:
    """Return one unit symbol or name, with or without a prefix."""
    if name in _OFFSETS:
        factor, offset = _OFFSETS[name]
        return Unit(factor, (0, 0, 0, 0, 1, 0, 0), offset)
    for table in (PREFIXED, PLAIN):
        if name in table:
            return Unit(*table[name])
    for cut in (1, 2):
        if name[:cut] in _PREFIXES and name[cut:] in PREFIXED:
            factor, dimension = PREFIXED[name[cut:]]
            return Unit(_PREFIXES[name[:cut]] * factor, dimension)
    word = name.lower()
    for prefix, scale in (("", 1.0), *_WORD_PREFIXES.items()):
        stem = word[len(prefix) :] if word.startswith(prefix) else ""
        for form in (stem, stem.removesuffix("s")):
            if form in _NAMES or (len(form) > 2 and form in PLAIN):
                base = single(_NAMES.get(form, form))
                assert base is not None, form
                return Unit(scale * base.factor, base.dimension, base.offset)
    return None


@lru_cache(maxsize=4096)
def parse_unit(text: str, tight: bool = False) -> Unit | None:
    """Return the unit that a text denotes; None when it is no unit.

    Args:
        text: A unit in TeX, symbols or words.
        tight: Whether a slash divides by everything behind it, as `J/mol K` means.
    """
    if not text.strip() or len(text) > MAX_UNIT_CHARS:
        return None
    while "\\" in text and (shorter := _WRAPPED.sub(r" \1 ", text)) != text:
        text = shorter
    text = _KILO.sub("k", text) if "K" in text else text
    if text.isascii() and text.isalpha():
        return single(text)
    for pattern, replacement in _REPLACED if _SPECIAL.search(text) else ():
        text = pattern.sub(replacement, text)
    for pattern, replacement in _WORDS if _WORDED.search(text) else ():
        text = pattern.sub(replacement, text)
    while (shorter := _FRACTION.sub(r"(\1)/(\2)", text)) != text:
        text = shorter
    tokens: list[tuple[str, str]] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            return None
        name, _, exponent, digit, mark = match.groups()
        if name:
            tokens.append(("name", name))
        elif exponent or digit:
            tokens.append(("power", exponent or digit))
        else:
            tokens.append(("mark", {"{": "(", "}": ")"}.get(mark, mark)))
        position = match.end()
    reader = _Reader(tokens, tight)
    unit = reader.product()
    return unit if unit is not None and reader.position == len(tokens) and reader.names else None


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]], tight: bool) -> None:
        self.tokens, self.position, self.names, self.tight = tokens, 0, 0, tight

    def product(self) -> Unit | None:
        total: Unit | None = None
        sign = 1.0
        while self.position < len(self.tokens) and self.tokens[self.position] != ("mark", ")"):
            kind, value = self.tokens[self.position]
            if (kind, value) == ("mark", "/"):
                self.position += 1
                sign = -1.0
                continue
            if (kind, value) == ("power", "1") and total is None:
                self.position += 1  # as in 1/s
                total = ONE
                continue
            factor = self.factor()
            if factor is None:
                return None
            total = times(total or ONE, factor, sign) if total or sign < 0 else factor
            sign = sign if self.tight else 1.0
        return total

    def factor(self) -> Unit | None:
        kind, value = self.tokens[self.position]
        self.position += 1
        if (kind, value) == ("mark", "("):
            base = self.product()
            if base is None or self.position >= len(self.tokens):
                return None
            self.position += 1
        elif kind == "name":
            self.names += 1
            base = single(value)
        else:
            return None
        if base is not None and self.position < len(self.tokens) and self.tokens[self.position][0] == "power":
            top, _, bottom = self.tokens[self.position][1].partition("/")
            self.position += 1
            if value.startswith("percent") or not 0 < abs(float(top)) <= 12 or (bottom and float(bottom) == 0):
                return None
            base = _power(base, float(top) / float(bottom or 1))
        return base


def _power(unit: Unit, exponent: float) -> Unit:
    if exponent == 1:
        return unit
    a, b, c, d, e, f, g = (round(part * exponent, 6) for part in unit.dimension)
    return Unit(unit.factor**exponent, (a, b, c, d, e, f, g))


def times(left: Unit, right: Unit, exponent: float = 1) -> Unit:
    """Return the product of a unit and a power of another."""
    right = _power(right, exponent)
    a, b, c, d, e, f, g = (x + y for x, y in zip(left.dimension, right.dimension, strict=True))
    return Unit(left.factor * right.factor, (a, b, c, d, e, f, g))
