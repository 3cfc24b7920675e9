"""Evaluate formulas of physical constants in SI: `4 m_e c^2` is 2.044 MeV.

The dimension comes from the same evaluation: with every base unit rescaled by a number of its own, a quantity changes by
the product of their powers.
"""

from __future__ import annotations

from typing import Any

import mpmath

from rewards.equivalence.evaluation import Budget, evaluate, symbols
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.quantities import Quantity, close
from rewards.equivalence.tokens import UnreadableFormula
from rewards.equivalence.unit_table import Dimension
from rewards.equivalence.units import ONE, Unit

CONSTANTS: dict[str, tuple[float, Dimension]] = {
    "c": (299792458.0, (1, 0, -1, 0, 0, 0, 0)),
    "h": (6.62607015e-34, (2, 1, -1, 0, 0, 0, 0)),
    "hbar": (1.054571817e-34, (2, 1, -1, 0, 0, 0, 0)),
    "k_B": (1.380649e-23, (2, 1, -2, 0, -1, 0, 0)),
    "epsilon_0": (8.8541878188e-12, (-3, -1, 4, 2, 0, 0, 0)),
    "mu_0": (1.25663706127e-6, (1, 1, -2, -2, 0, 0, 0)),
    "m_e": (9.1093837139e-31, (0, 1, 0, 0, 0, 0, 0)),
    "m_p": (1.67262192595e-27, (0, 1, 0, 0, 0, 0, 0)),
    "m_n": (1.67492750056e-27, (0, 1, 0, 0, 0, 0, 0)),
    "N_A": (6.02214076e23, (0, 0, 0, 0, 0, -1, 0)),
    "G": (6.6743e-11, (3, -1, -2, 0, 0, 0, 0)),
    "a_0": (5.29177210544e-11, (1, 0, 0, 0, 0, 0, 0)),
    "mu_B": (9.2740100657e-24, (2, 0, 0, 1, 0, 0, 0)),
    "R_H": (10967758.3, (-1, 0, 0, 0, 0, 0, 0)),
    "sigma_SB": (5.670374419e-8, (0, 1, -3, 0, -4, 0, 0)),
}
"""CODATA 2022 values; the elementary charge is missing since a lone e is Euler's number."""

_SCALES = tuple(mpmath.mpf(scale) for scale in ("1.3", "1.7", "0.6", "2.3", "0.7", "3.1", "1.9"))


def is_constant(tree: Node) -> bool:
    """Return whether a formula has symbols, and all of them are constants."""
    names = symbols(tree)
    return bool(names) and names <= CONSTANTS.keys()


def same_constant(tree: Node, number: Quantity, budget: Budget, measured: bool) -> bool:
    """Return whether a formula of constants has a number's value and dimension."""
    plain = {name: mpmath.mpf(value) for name, (value, _) in CONSTANTS.items()}
    scaled = {name: value * _scale(CONSTANTS[name][1]) for name, value in plain.items()}
    try:
        value, rescaled = evaluate(tree, plain, budget), evaluate(tree, scaled, budget)
    except UnreadableFormula:
        return False
    unit = number.unit or ONE
    if value == 0 or unit.offset or mpmath.im(value) != 0:
        return False
    if number.unit is not None and abs(rescaled / value - _scale(unit.dimension)) > mpmath.mpf("1e-9"):
        return False
    return close(
        number, Quantity(value / mpmath.mpf(unit.factor), Unit(unit.factor, unit.dimension), 4, False), 1, measured
    )


def _scale(dimension: Dimension) -> Any:
    product = mpmath.mpf(1)
    for scale, power in zip(_SCALES, dimension, strict=True):
        product *= scale**power
    return product
