"""Combine several rewarders into one with gates, weights and a cap.

A composite reward is an expression that may stand wherever the name of a rewarder is accepted:

    style >> physics                               the answer is scored only where the form is right
    style >> 0.9 * physics + 0.1 * mine.py:brevity   a weighted sum behind a gate
    math + 0.2 * mine.py:brevity [-1, 1]             a sum whose value is cut to the range

A gate passes where its score is `correct`. Where it does not, the response is worth 0 with the gate's reason, and no
later rewarder is called. `correct`, `reason` and `extracted` are those of the first summand, so that a bonus for form
never makes an answer right. Each summand's share of the value, weight included, is a term under its name, and its own
terms follow as `name.term`. Where any part abstains or fails the whole is unscored: a missing part is not a part of 0.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import Score

_CAP = re.compile(r"^(?P<sum>.*?)\s*\[\s*(?P<low>[^\[\],]+),(?P<high>[^\[\],]+)\]$", re.DOTALL)
_WEIGHTED = re.compile(r"(?:(?P<weight>\S+)\s+\*\s+)?(?P<name>\S+)")


@dataclasses.dataclass(frozen=True)
class CompositeReward:
    """A parsed composite reward.

    Attributes:
        gates: The names of the gates, in order.
        summands: Weight and name of each summand.
        low: The least value.
        high: The greatest value.
    """

    gates: tuple[str, ...]
    summands: tuple[tuple[float, str], ...]
    low: float = float("-inf")
    high: float = float("inf")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all rewarders, gates first."""
        return (*self.gates, *(name for _, name in self.summands))

    def evaluate(self, score_of: Callable[[str], Score]) -> Score:
        """Return the score of one response.

        Args:
            score_of: Returns the score of a rewarder by name; called in the order of the expression.
        """
        for gate in self.gates:
            passed = score_of(gate)
            if not passed.scored:
                return passed
            if not passed.correct:
                return Score(0.0, False, passed.reason, passed.extracted, {label(gate): 0.0})
        scores = []
        for _, name in self.summands:
            scores.append(score_of(name))
            if not scores[-1].scored:
                return scores[-1]
        terms: dict[str, float] = {}
        for (weight, name), score in zip(self.summands, scores, strict=True):
            terms[label(name)] = weight * score.value
            terms.update({f"{label(name)}.{term}": value for term, value in score.terms.items()})
        total = sum(weight * score.value for (weight, _), score in zip(self.summands, scores, strict=True))
        value = min(max(total, self.low), self.high)
        return dataclasses.replace(scores[0], value=value, terms=terms)


def is_composite(text: str) -> bool:
    """Return whether a rewarder's name combines several, or has a weight or a cap."""
    return any(mark in text for mark in (">>", " + ", " * ")) or bool(_CAP.match(text.strip()))


def label(name: str) -> str:
    """Return a summand's short name.

    It is an installed name, or the attribute of `module:attribute`.
    """
    return name.partition("(")[0].rpartition(":")[2]


def parse(text: str) -> CompositeReward:
    """Parse a composite reward.

    Raises:
        UserError: A part cannot be read; the message names it.
    """
    *gates, body = (part.strip() for part in text.split(">>"))
    low, high = float("-inf"), float("inf")
    if cap := _CAP.match(body):
        body = cap["sum"]
        low, high = _number(cap["low"], text), _number(cap["high"], text)
        if not low < high:
            raise UserError(f"composite reward {text!r}: the cap [{low:g}, {high:g}] is empty; write [low, high]")
    summands = []
    for part in re.split(r"\s\+\s", body):
        weighted = _WEIGHTED.fullmatch(part.strip())
        if weighted is None:
            raise UserError(f"composite reward {text!r}: cannot read {part.strip()!r}; write `0.5 * name + name`")
        summands.append((_number(weighted["weight"], text) if weighted["weight"] else 1.0, weighted["name"]))
    for gate in gates:
        if not gate or re.search(r"\s", gate):
            raise UserError(f"composite reward {text!r}: {gate!r} before >> is not the name of one rewarder")
    composite = CompositeReward(tuple(gates), tuple(summands), low, high)
    labels = [label(name) for name in composite.names]
    if len(set(labels)) < len(labels):
        raise UserError(f"composite reward {text!r} names a rewarder twice: {', '.join(sorted(labels))}")
    return composite


def _number(text: str, composite: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise UserError(f"composite reward {composite!r}: {text.strip()!r} is not a number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise UserError(f"composite reward {composite!r}: {text.strip()!r} is not finite")
    return number
