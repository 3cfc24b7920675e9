"""Compare intervals, unions and inequalities: as pieces of the real line, or member by member.

Relations(is_equivalent, comparison).same("(0, 1)", "0 < x < 1")
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rewards.equivalence.evaluation import symbols
from rewards.equivalence.intervals import has_relation, region, same_region, signed
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.normalize import stripped
from rewards.equivalence.numeric_equivalence import Comparison, points, readings


@dataclass(frozen=True)
class Relations:
    """How conditions are compared.

    Attributes:
        is_equivalent: Decides about two ends or members.
        comparison: What counts as equal, and the budget.
    """

    is_equivalent: Callable[[str, str], bool]
    comparison: Comparison

    def same(self, gold: str, predicted: str) -> bool | None:
        """Compare as intervals and inequalities where either is one; None where neither is."""
        found = region(gold), region(predicted)
        if found[0] is None and found[1] is None:
            return self._relations(gold, predicted) if has_relation(gold) and has_relation(predicted) else None
        first = found[0] or region(gold, interval=True)
        second = found[1] or region(predicted, interval=True)
        if first is None or second is None:
            return self._relations(gold, predicted) if has_relation(gold) and has_relation(predicted) else False
        return same_region(first, second, self._end)

    def _end(self, gold: str, predicted: str) -> bool:
        return self.is_equivalent(stripped(gold), stripped(predicted))

    def _relations(self, gold: str, predicted: str) -> bool:
        """Compare chains of inequalities member by member, read in one direction."""
        chains = [re.split(r"([<>≤≥≠∈])", signed(text)) for text in (gold, predicted)]
        for index, chain in enumerate(chains):
            if all(sign in ">≥" for sign in chain[1::2]):
                flipped = [{">": "<", "≥": "≤"}.get(part, part) for part in chain[::-1]]
                chains[index] = flipped
        if chains[0][1::2] != chains[1][1::2]:
            return False
        pairs = list(zip(chains[0][::2], chains[1][::2], strict=True))
        if all(self.is_equivalent(stripped(a), stripped(b)) for a, b in pairs):
            return True
        return len(pairs) == 2 and self._same_half_plane(
            *[stripped(part) for part in (*chains[0][::2], *chains[1][::2])]
        )

    def _same_half_plane(self, a: str, b: str, c: str, d: str) -> bool:
        """Return whether `a < b` and `c < d` are the same condition.

        They are where `b - a` and `d - c` have one positive ratio at all points.
        """
        for trees in readings(a, b, c, d):
            first, second = (Node("add", (x, Node("neg", (y,)))) for x, y in (trees[:2], trees[2:]))
            pairs = points(first, second, self.comparison)
            if symbols(first) == symbols(second) and symbols(first) and all(x and y for x, y in pairs):
                ratios = [x / y for x, y in pairs]
                if ratios[0] > 0 and all(abs(ratio - ratios[0]) < 1e-15 * abs(ratio) for ratio in ratios):
                    return True
        return False
