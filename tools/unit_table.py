"""Write rewards/equivalence/unit_table.py: `python -m tools.unit_table > rewards/equivalence/unit_table.py`.

pint knows the size and the dimension of every unit, and costs a few hundred microseconds for each conversion. The
rewards read a table of numbers instead, which this script takes from pint's registry. A test compares the two.
"""

import sys
from typing import Any

import pint

BASES = ("meter", "kilogram", "second", "ampere", "kelvin", "mole", "candela")

PREFIXED = {
    **{"m": "meter", "g": "gram", "s": "second", "A": "ampere", "K": "kelvin", "mol": "mole", "cd": "candela"},
    **{"N": "newton", "J": "joule", "W": "watt", "Pa": "pascal", "Hz": "hertz", "C": "coulomb", "V": "volt"},
    **{"F": "farad", "ohm": "ohm", "S": "siemens", "Wb": "weber", "T": "tesla", "H": "henry", "eV": "electron_volt"},
    **{"L": "liter", "l": "liter", "bar": "bar", "cal": "calorie", "M": "molar", "Bq": "becquerel", "Ci": "curie"},
    **{"Gy": "gray", "Sv": "sievert", "G": "1e-4 tesla", "pc": "parsec", "rad": "radian", "sr": "steradian"},
    **{"barn": "barn", "b": "barn", "Torr": "torr", "yr": "year", "Wh": "watt_hour", "Whr": "watt_hour"},
    **{"Ah": "ampere_hour", "rem": "rem", "Ry": "rydberg", "lm": "lumen", "lx": "lux", "P": "poise", "St": "stokes"},
    **{"Da": "dalton", "kat": "katal", "dyn": "dyne"},
}
"""Symbols that take SI prefixes, with pint's expression."""

PLAIN = {
    **{"min": "minute", "h": "hour", "hr": "hour", "day": "day", "d": "day", "y": "year", "week": "week"},
    **{"month": "month", "century": "century", "fortnight": "fortnight", "deg": "degree", "arcmin": "arcminute"},
    **{"arcsec": "arcsecond", "atm": "atmosphere", "torr": "torr", "mmHg": "mmHg", "inHg": "inHg", "psi": "psi"},
    **{"angstrom": "angstrom", "u": "unified_atomic_mass_unit", "amu": "unified_atomic_mass_unit"},
    **{"c": "speed_of_light", "dyne": "dyne", "erg": "erg", "ly": "light_year", "AU": "astronomical_unit"},
    **{"au": "astronomical_unit", "ft": "foot", "in": "inch", "inch": "inch", "mi": "mile", "mile": "mile"},
    **{"mph": "mile/hour", "kph": "kilometer/hour", "kmh": "kilometer/hour", "lb": "pound", "oz": "ounce"},
    **{"ton": "metric_ton", "tonne": "metric_ton", "slug": "slug", "hp": "horsepower"},
    **{"gauss": "1e-4 tesla", "percent": "percent", "percentage": "percent", "pct": "percent", "ppm": "ppm"},
    **{"ppb": "1e-9", "permille": "1e-3", "rev": "turn", "revolution": "turn", "rpm": "revolutions_per_minute"},
    **{"Hartree": "hartree", "hartree": "hartree", "debye": "debye", "Debye": "debye", "fermi": "fermi"},
    **{"micron": "micron", "cc": "centimeter**3", "yd": "yard", "yard": "yard", "knot": "knot", "nmi": "nautical_mile"},
    **{"lbf": "pound_force", "kgf": "kilogram_force", "BTU": "british_thermal_unit", "Btu": "british_thermal_unit"},
    **{"gal": "gallon", "qt": "quart", "floz": "fluid_ounce", "acre": "acre", "ha": "hectare", "hectare": "hectare"},
    **{"Oe": "oersted_SI", "statC": "statcoulomb_SI", "esu": "statcoulomb_SI", "bohr": "bohr", "Bohr": "bohr"},
    **{"roentgen": "roentgen", "grain": "grain", "fathom": "fathom", "furlong": "furlong", "bbl": "oil_barrel"},
    **{"Msun": "1.98841e30 kilogram", "Lsun": "3.828e26 watt", "Rsun": "6.957e8 meter", "rutherford": "1e6 becquerel"},
    **{"dB": "1", "Mx": "1e-8 weber", "phot": "1e4 lux", "stilb": "1e4 candela/meter**2"},
}
"""Symbols without prefixes."""

NAMED = (
    "meter gram second ampere kelvin mole candela newton joule watt pascal hertz coulomb volt farad ohm siemens weber "
    "tesla henry liter calorie molar becquerel curie gray sievert parsec radian steradian barn year lumen lux poise "
    "stokes dalton katal minute hour day week month century fortnight degree arcminute arcsecond atmosphere torr psi "
    "angstrom dyne erg light_year astronomical_unit foot inch mile pound ounce slug horsepower percent hartree debye "
    "fermi micron yard knot nautical_mile pound_force kilogram_force british_thermal_unit gallon quart fluid_ounce "
    "acre hectare electron_volt watt_hour ampere_hour unified_atomic_mass_unit rydberg bohr furlong roentgen metric_ton"
)
"""Units that are known by their names and by pint's aliases of them, too."""


def units(registry: Any, symbols: dict[str, str]) -> dict[str, tuple[float, tuple[float, ...]]]:
    """Return the factor to SI and the exponents of the base units of each symbol."""
    found = {}
    for symbol, expression in symbols.items():
        base = registry.Quantity(registry.parse_expression(expression)).to_base_units()
        powers = {str(name): float(power) for name, power in base.unit_items()}
        extra = powers.keys() - {*BASES, "radian", "steradian", "count"}
        if extra:
            raise ValueError(f"{symbol}: pint's base units {sorted(extra)} are not among {BASES}")
        factor = float(f"{float(base.magnitude):.15g}")
        found[symbol] = (factor, tuple(powers.get(name, 0.0) for name in BASES))
    return found


def names(registry: Any, symbols: dict[str, str]) -> dict[str, str]:
    """Return the symbol for each unit's name and for pint's lower-case aliases of it."""
    symbol_of = {expression: symbol for symbol, expression in reversed(symbols.items())}
    found = {}
    for name in NAMED.split():
        definition = registry._units[name]
        for alias in (name, *definition.aliases):
            if len(alias) > 2 and alias.isascii() and alias.islower() and "_" not in alias:
                found[alias] = symbol_of[name]
    return found


def page() -> str:
    """Return the whole module."""
    registry: Any = pint.UnitRegistry()
    registry.define("oersted_SI = 1000 / (4 * pi) * ampere / meter")
    registry.define("statcoulomb_SI = 1 / 2997924580 * coulomb")
    lines = [
        '"""List units with their factors to SI and exponents of (m, kg, s, A, K, mol, cd).',
        "",
        "Written by `python -m tools.unit_table` from pint's registry; do not edit it by hand.",
        '"""',
        "",
        "Dimension = tuple[float, float, float, float, float, float, float]",
        "",
    ]
    for title, symbols in (("PREFIXED", PREFIXED), ("PLAIN", PLAIN)):
        lines.append(f"{title}: dict[str, tuple[float, Dimension]] = {{")
        for symbol, (factor, dimension) in units(registry, symbols).items():
            number = repr(factor).replace("e+", "e")
            powers = ", ".join(f"{power:g}" for power in dimension)
            lines.append(f'    "{symbol}": ({number}, ({powers})),')
        lines += ["}", ""]
    lines.append("NAMES: dict[str, str] = {")
    lines += [f'    "{name}": "{symbol}",' for name, symbol in names(registry, PREFIXED | PLAIN).items()]
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    sys.stdout.write(page())
