r"""Compare two single values: quantities with units, formulas, formulas of physical constants, families of solutions.

Values(comparison, declared).same("9.8 m/s^2", "980 cm/s^2")
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from rewards.equivalence.constants import is_constant, same_constant
from rewards.equivalence.evaluation import symbols
from rewards.equivalence.free_constants import same_with_constants
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.numeric_equivalence import Comparison, readings, rename, same_formula, same_trees
from rewards.equivalence.quantities import quantity, same_quantity
from rewards.equivalence.tokens import UnreadableFormula

_ODD_PART = r"\(\s*\d*\s*[knml]\s*[-+]\s*\d+\s*\)"
_ANGLES = re.compile(
    rf"{_ODD_PART}\s*\\pi|\\pi\s*{_ODD_PART}|\\pi\s*[knml](?![A-Za-z])|(?<![A-Za-z\\])[knml]\s*\\pi(?![A-Za-z])"
)
_BINOMIAL = "\\binom"
_CHOICES = re.compile(
    r"C_\s*\{?(\w+)\}?\s*\^\s*\{?(\w+)\}?|(?:\{\s*\})?[_^]\s*\{?(\w+)\}?\s*C_?\s*\{?(\w+)\}?|C\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)|"
    r"\{\s*(\w+)\s*\\choose\s*(\w+)\s*\}"
)


_COUNTED = re.compile(r"(?:\{\s*\})?\s*[_^]?\s*\{?\s*(\d{1,3})\s*\}?\s*(C|P)\s*_?\s*\{?\s*(\d{1,3})\s*\}?")
MAX_COUNTED = 200


@dataclass(frozen=True)
class Values:
    """How single values are compared.

    Attributes:
        comparison: What counts as equal, and the budget.
        declared: Letters that the answers state to be integers.
    """

    comparison: Comparison
    declared: frozenset[str]

    def same(self, gold: str, predicted: str) -> bool:
        """Return whether two single values agree."""
        gold, predicted = _counted(gold, predicted), _counted(predicted, gold)
        a, b = numbers = quantity(gold), quantity(predicted)
        if a is not None and b is not None:
            config = self.comparison.config
            if a.exact and b.exact and not (a.integer and b.integer):
                return same_formula(gold, predicted, self.comparison)
            lenient = not ((a.ambiguous or b.ambiguous) and (a.unit is None or b.unit is None))
            if lenient and same_quantity(a, b, config.measured, config.unit_required, config.rounding):
                return True
            if not (a.ambiguous or b.ambiguous):
                return False
        if sum(number is not None for number in numbers) == 1:
            if self._of_constants(gold, predicted):
                return True
            if any(number and number.unit and not number.ambiguous for number in numbers):
                return False
        if _BINOMIAL in gold + predicted:
            gold, predicted = _as_binomial(gold), _as_binomial(predicted)
        return (
            same_formula(gold, predicted, self.comparison)
            or self._same_family(gold, predicted)
            or same_with_constants(gold, predicted, self.comparison)
        )

    def quantities(self, gold: str, predicted: str) -> bool:
        """Return whether both sides are numbers with units, and agree."""
        return quantity(gold) is not None and quantity(predicted) is not None and self.same(gold, predicted)

    def _of_constants(self, gold: str, predicted: str) -> bool:
        """Return whether a formula of physical constants has the other side's value."""
        formula, number = (predicted, quantity(gold)) if quantity(gold) is not None else (gold, quantity(predicted))
        if number is None or not self.comparison.config.measured:
            return False
        try:
            trees = [trees[0] for trees in readings(formula)]
        except UnreadableFormula:
            return False
        return any(
            is_constant(tree) and same_constant(tree, number, self.comparison.budget, measured=True) for tree in trees
        )

    def _same_family(self, gold: str, predicted: str) -> bool:
        r"""Return whether two formulas agree but for one letter: `\pi k`, `\pi n`."""
        if not self.declared and not (_ANGLES.search(gold) and _ANGLES.search(predicted)):
            return False
        for a, b in readings(gold, predicted):
            own = symbols(a) - symbols(b), symbols(b) - symbols(a)
            if len(own[0]) == len(own[1]) == 1 and (
                (own[0] | own[1]) & self.declared or symbols(a) | symbols(b) == own[0] | own[1]
            ):
                table = {name: Node("symbol", (), "n") for names in own for name in names}
                if "n" in (symbols(a) | symbols(b)) - own[0] - own[1]:
                    continue
                if same_trees(rename(a, table), rename(b, table), self.comparison):
                    return True
        return False


def _counted(text: str, other: str) -> str:
    r"""Return `_{10}C_3` or `10C3` as its number next to a bare number, and so `10P3`."""
    match = _COUNTED.fullmatch(text)
    number = quantity(other) if match else None
    if match is None or number is None or number.unit is not None or number.label:
        return text
    above, below = int(match[1]), int(match[3])
    if below > above or above > MAX_COUNTED:
        return text
    return str(math.comb(above, below) if match[2] == "C" else math.perm(above, below))


def _as_binomial(text: str) -> str:
    r"""Write `C_n^k`, `{}_nC_k` and `C(n, k)` as `\binom{n}{k}`; only for use next to one."""
    return _CHOICES.sub(lambda match: "\\binom" + "".join(f"{{{part}}}" for part in match.groups() if part), text)
