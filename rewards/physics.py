"""Score physics answers.

They are quantities with units, numbers to their significant figures, formulas by their values, lists and vectors by
parts. What decides whether two answers agree is `rewards.equivalence`, under a physics config: symbols are positive
unless the problem states otherwise, a measured number may differ by half a percent or by its last figure, a unit left
out is taken to be the reference's. `info` may carry `final_answers` (several that must all be right, each a box or a
part of the last box, in order) and `require_unit: true` (a number without its unit is wrong).
"""

from __future__ import annotations

import re
from typing import Any

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.answer_grading import MAX_ANSWER_CHARS, compare
from rewards.equivalence.numeric_equivalence import EquivalenceConfig
from rewards.extraction import find_answer
from rewards.physics_parts import met, statements_of

_NAME = r"\$?\s*(\\?[A-Za-z]+(?:_\{?\w+\}?)?)\s*\$?"
_NEGATIVE = re.compile(_NAME + r"\s*(?:<\s*0(?![.\d])|is\s+(?:a\s+)?negative)")
_INTEGER = re.compile(r"integers?\s+" + _NAME + r"|" + _NAME + r"\s+is\s+an?\s+(?:positive\s+|odd\s+|even\s+)?integer")


def config_for(prompt: str, info: dict[str, Any]) -> EquivalenceConfig:
    """Return the physics config with the problem's negative and whole symbols."""
    negative = {match.group(1) for match in _NEGATIVE.finditer(prompt[-20_000:])}
    integers = {match.group(1) or match.group(2) for match in _INTEGER.finditer(prompt[-20_000:])}
    return EquivalenceConfig(
        unit_required=info.get("require_unit") is True,
        negative=frozenset(name.lstrip("\\") for name in negative),
        integers=frozenset(name.lstrip("\\") for name in integers),
    )


class Physics:
    """Reward an answer that agrees with the reference.

    With several references `terms["share"]` is the part of them that the response meets; the value is 1 only for all
    of them.
    """

    def __call__(self, response: str, answer: str, info: dict[str, Any], prompt: str = "") -> Score:
        """Score one response."""
        golds = [str(part) for part in info.get("final_answers") or []] or [answer]
        if not all(gold.strip() for gold in golds) or any(len(gold) > MAX_ANSWER_CHARS for gold in golds):
            return abstain("bad_reference")
        config = config_for(prompt, info)
        if len(golds) == 1:
            found = find_answer(response)
            return compare(golds[0], found, config, prompt) if found else wrong("no_answer")
        return self.several(response, golds, config, prompt)

    def several(self, response: str, golds: list[str], config: EquivalenceConfig, prompt: str = "") -> Score:
        """Score a response to a problem in several parts."""
        stated = statements_of(response, len(golds))
        if not stated:
            return wrong("no_answer")
        extracted = "; ".join(statement.text for statement in stated)[:200]
        if len(stated) < len(golds):
            return wrong("malformed_answer", extracted, share=0.0)
        count = met(golds, stated, config, prompt)
        if count == len(golds):
            return right(extracted, share=1.0)
        return wrong(extracted=extracted, share=count / len(golds))

    def __repr__(self) -> str:
        return "Physics()"
