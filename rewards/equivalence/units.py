r"""Read physical units: an expression becomes a factor to SI and dimensions.

A table and a small parser of our own, because a unit in a model's answer is untrusted text, and because what physics
answers use (`\mathrm{kg\,m/s^2}`, `km s^{-1}`, `\text{Å}`, `eV/c^2`, `M`) is a small closed language. Angles are
numbers: a degree is pi/180.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

Dimension = tuple[float, float, float, float, float, float]  # m, kg, s, A, K, mol


@dataclass(frozen=True)
class Unit:
    """A physical unit.

    Attributes:
        factor: The factor to SI.
        dimension: The exponents of (m, kg, s, A, K, mol).
        offset: The zero point that a temperature scale adds, in kelvin.
    """

    factor: float
    dimension: Dimension
    offset: float = 0.0


_NONE: Dimension = (0, 0, 0, 0, 0, 0)
ONE = Unit(1.0, _NONE)
_E = 1.602176634e-19
_YEAR = 365.25 * 86400

_PREFIXED: dict[str, tuple[float, Dimension]] = {
    "m": (1, (1, 0, 0, 0, 0, 0)),
    "g": (1e-3, (0, 1, 0, 0, 0, 0)),
    "s": (1, (0, 0, 1, 0, 0, 0)),
    "A": (1, (0, 0, 0, 1, 0, 0)),
    "K": (1, (0, 0, 0, 0, 1, 0)),
    "mol": (1, (0, 0, 0, 0, 0, 1)),
    "N": (1, (1, 1, -2, 0, 0, 0)),
    "J": (1, (2, 1, -2, 0, 0, 0)),
    "W": (1, (2, 1, -3, 0, 0, 0)),
    "Pa": (1, (-1, 1, -2, 0, 0, 0)),
    "Hz": (1, (0, 0, -1, 0, 0, 0)),
    "C": (1, (0, 0, 1, 1, 0, 0)),
    "V": (1, (2, 1, -3, -1, 0, 0)),
    "F": (1, (-2, -1, 4, 2, 0, 0)),
    "ohm": (1, (2, 1, -3, -2, 0, 0)),
    "S": (1, (-2, -1, 3, 2, 0, 0)),
    "Wb": (1, (2, 1, -2, -1, 0, 0)),
    "T": (1, (0, 1, -2, -1, 0, 0)),
    "H": (1, (2, 1, -2, -2, 0, 0)),
    "eV": (_E, (2, 1, -2, 0, 0, 0)),
    "L": (1e-3, (3, 0, 0, 0, 0, 0)),
    "l": (1e-3, (3, 0, 0, 0, 0, 0)),
    "bar": (1e5, (-1, 1, -2, 0, 0, 0)),
    "cal": (4.184, (2, 1, -2, 0, 0, 0)),
    "M": (1e3, (-3, 0, 0, 0, 0, 1)),
    "Bq": (1, (0, 0, -1, 0, 0, 0)),
    "Ci": (3.7e10, (0, 0, -1, 0, 0, 0)),
    "Gy": (1, (2, 0, -2, 0, 0, 0)),
    "Sv": (1, (2, 0, -2, 0, 0, 0)),
    "G": (1e-4, (0, 1, -2, -1, 0, 0)),
    "pc": (3.0856775814913673e16, (1, 0, 0, 0, 0, 0)),
    "rad": (1, _NONE),
    "sr": (1, _NONE),
    "barn": (1e-28, (2, 0, 0, 0, 0, 0)),
    "Torr": (133.32236842105263, (-1, 1, -2, 0, 0, 0)),
    "yr": (_YEAR, (0, 0, 1, 0, 0, 0)),
    "Whr": (3600, (2, 1, -2, 0, 0, 0)),
    "Wh": (3600, (2, 1, -2, 0, 0, 0)),
    "Ah": (3600, (0, 0, 1, 1, 0, 0)),
    "b": (1e-28, (2, 0, 0, 0, 0, 0)),
    "rem": (1e-2, (2, 0, -2, 0, 0, 0)),
    "Ry": (2.1798723611030e-18, (2, 1, -2, 0, 0, 0)),
}
_PLAIN: dict[str, tuple[float, Dimension]] = {
    "min": (60, (0, 0, 1, 0, 0, 0)),
    "h": (3600, (0, 0, 1, 0, 0, 0)),
    "hr": (3600, (0, 0, 1, 0, 0, 0)),
    "day": (86400, (0, 0, 1, 0, 0, 0)),
    "d": (86400, (0, 0, 1, 0, 0, 0)),
    "y": (_YEAR, (0, 0, 1, 0, 0, 0)),
    "deg": (math.pi / 180, _NONE),
    "arcmin": (math.pi / 10800, _NONE),
    "arcsec": (math.pi / 648000, _NONE),
    "atm": (101325, (-1, 1, -2, 0, 0, 0)),
    "torr": (133.32236842105263, (-1, 1, -2, 0, 0, 0)),
    "mmHg": (133.322387415, (-1, 1, -2, 0, 0, 0)),
    "psi": (6894.757293168, (-1, 1, -2, 0, 0, 0)),
    "angstrom": (1e-10, (1, 0, 0, 0, 0, 0)),
    "u": (1.66053906660e-27, (0, 1, 0, 0, 0, 0)),
    "amu": (1.66053906660e-27, (0, 1, 0, 0, 0, 0)),
    "Da": (1.66053906660e-27, (0, 1, 0, 0, 0, 0)),
    "c": (299792458.0, (1, 0, -1, 0, 0, 0)),
    "dyn": (1e-5, (1, 1, -2, 0, 0, 0)),
    "dyne": (1e-5, (1, 1, -2, 0, 0, 0)),
    "erg": (1e-7, (2, 1, -2, 0, 0, 0)),
    "ly": (9.4607304725808e15, (1, 0, 0, 0, 0, 0)),
    "AU": (1.495978707e11, (1, 0, 0, 0, 0, 0)),
    "ft": (0.3048, (1, 0, 0, 0, 0, 0)),
    "in": (0.0254, (1, 0, 0, 0, 0, 0)),
    "inch": (0.0254, (1, 0, 0, 0, 0, 0)),
    "mi": (1609.344, (1, 0, 0, 0, 0, 0)),
    "mile": (1609.344, (1, 0, 0, 0, 0, 0)),
    "mph": (0.44704, (1, 0, -1, 0, 0, 0)),
    "lb": (0.45359237, (0, 1, 0, 0, 0, 0)),
    "ton": (1e3, (0, 1, 0, 0, 0, 0)),
    "tonne": (1e3, (0, 1, 0, 0, 0, 0)),
    "hp": (745.69987158227, (2, 1, -3, 0, 0, 0)),
    "gauss": (1e-4, (0, 1, -2, -1, 0, 0)),
    "percent": (0.01, _NONE),
    "percentage": (0.01, _NONE),
    "pct": (0.01, _NONE),
    "ppm": (1e-6, _NONE),
    "rev": (2 * math.pi, _NONE),
    "revolution": (2 * math.pi, _NONE),
    "rpm": (math.pi / 30, (0, 0, -1, 0, 0, 0)),
    "Hartree": (4.3597447222071e-18, (2, 1, -2, 0, 0, 0)),
    "hartree": (4.3597447222071e-18, (2, 1, -2, 0, 0, 0)),
    "debye": (3.33564e-30, (1, 0, 1, 1, 0, 0)),
    "Debye": (3.33564e-30, (1, 0, 1, 1, 0, 0)),
    "fermi": (1e-15, (1, 0, 0, 0, 0, 0)),
    "micron": (1e-6, (1, 0, 0, 0, 0, 0)),
    "cc": (1e-6, (3, 0, 0, 0, 0, 0)),
    "yd": (0.9144, (1, 0, 0, 0, 0, 0)),
    "yard": (0.9144, (1, 0, 0, 0, 0, 0)),
    "knot": (1852 / 3600, (1, 0, -1, 0, 0, 0)),
    "lbf": (4.4482216152605, (1, 1, -2, 0, 0, 0)),
    "kgf": (9.80665, (1, 1, -2, 0, 0, 0)),
    "week": (604800, (0, 0, 1, 0, 0, 0)),
    "century": (100 * _YEAR, (0, 0, 1, 0, 0, 0)),
    "Msun": (1.98841e30, (0, 1, 0, 0, 0, 0)),
    "Lsun": (3.828e26, (2, 1, -3, 0, 0, 0)),
    "Rsun": (6.957e8, (1, 0, 0, 0, 0, 0)),
    "Oe": (1e3 / (4 * math.pi), (-1, 0, 0, 1, 0, 0)),
    "kat": (1, (0, 0, -1, 0, 0, 1)),
}
_PREFIXES = {
    **{"Y": 1e24, "Z": 1e21, "E": 1e18, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "h": 1e2, "da": 1e1},
    **{"d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18},
}
_NAMES = {
    **{"meter": "m", "metre": "m", "gram": "g", "second": "s", "sec": "s", "ampere": "A", "amp": "A", "kelvin": "K"},
    **{"mole": "mol", "newton": "N", "joule": "J", "watt": "W", "pascal": "Pa", "hertz": "Hz", "coulomb": "C"},
    **{"volt": "V", "farad": "F", "siemens": "S", "weber": "Wb", "tesla": "T", "henry": "H", "electronvolt": "eV"},
    **{"liter": "L", "litre": "L", "calorie": "cal", "radian": "rad", "year": "yr", "minute": "min", "hour": "h"},
    **{"degree": "deg", "parsec": "pc", "foot": "ft", "feet": "ft", "inches": "in", "pound": "lb", "steradian": "sr"},
    **{"becquerel": "Bq", "gray": "Gy", "sievert": "Sv", "curie": "Ci", "molar": "M", "dalton": "Da", "lbs": "lb"},
    **{"hours": "h", "hrs": "h", "mins": "min", "secs": "s", "yrs": "yr", "henries": "H", "atmosphere": "atm"},
    **{"degrees": "deg", "centuries": "century", "electron-volt": "eV", "Fahrenheit": "degF", "liters": "L"},
}
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
    (re.compile(r"([MLR])_\s*\{?\s*(?:\\odot|\\rm sun|sun)\s*\}?"), r"\1sun"),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree|°|º"), "deg"),
    (re.compile(r"\\(?:AA|r A|mathring\s*\{?A\}?)|[ÅÅ]"), "angstrom"),
    (re.compile(r"\\%|%"), "percent"),
    (re.compile(r"\bper\b"), "/"),
    (re.compile(r"⁻"), "^-"),
    (re.compile(r"²"), "^2"),
    (re.compile(r"³"), "^3"),
    (re.compile(r"[−–]"), "-"),
)
_WRAPPED = re.compile(
    r"\\(?:mathrm|text|textrm|mathit|operatorname|unit|si|mbox|textnormal|textbf|mathsf)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{((?:[^{}]|\{[^{}]*\})*)\}\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TOKEN = re.compile(r"\s*(?:([A-Za-z]+)|\^\s*(\{\s*)?([-+]?\d+(?:\.\d+)?(?:/\d+)?)(?(2)\s*\})|(-?\d)|([/(){}]))")
MAX_UNIT_CHARS = 120


def single(name: str) -> Unit | None:
    """Return one unit symbol or name, with or without a prefix."""
    if name in _OFFSETS:
        factor, offset = _OFFSETS[name]
        return Unit(factor, (0, 0, 0, 0, 1, 0), offset)
    for table in (_PREFIXED, _PLAIN):
        if name in table:
            return Unit(*table[name])
    for cut in (1, 2):
        if name[:cut] in _PREFIXES and name[cut:] in _PREFIXED:
            factor, dimension = _PREFIXED[name[cut:]]
            return Unit(_PREFIXES[name[:cut]] * factor, dimension)
    word = name.lower()
    for prefix, scale in (("", 1.0), *_WORD_PREFIXES.items()):
        stem = word[len(prefix) :] if word.startswith(prefix) else ""
        for form in (stem, stem.removesuffix("s")):
            if form in _NAMES or (len(form) > 2 and form in _PLAIN):
                base = single(_NAMES.get(form, form))
                assert base is not None, form
                return Unit(scale * base.factor, base.dimension, base.offset)
    return None


def parse_unit(text: str) -> Unit | None:
    """Return the unit that a text denotes; None when it is no unit."""
    if not text.strip() or len(text) > MAX_UNIT_CHARS:
        return None
    while (shorter := _WRAPPED.sub(r" \1 ", text)) != text:
        text = shorter
    for pattern, replacement in _REPLACED:
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
    reader = _Reader(tokens)
    unit = reader.product()
    return unit if unit is not None and reader.position == len(tokens) and reader.names else None


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens, self.position, self.names = tokens, 0, 0

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
            total = _times(total or ONE, _power(factor, sign)) if total or sign < 0 else factor
            sign = 1.0
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
    a, b, c, d, e, f = (round(part * exponent, 6) for part in unit.dimension)
    return Unit(unit.factor**exponent, (a, b, c, d, e, f))


def _times(left: Unit, right: Unit) -> Unit:
    a, b, c, d, e, f = (x + y for x, y in zip(left.dimension, right.dimension, strict=True))
    return Unit(left.factor * right.factor, (a, b, c, d, e, f))
