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
from rewards.answer_grading import MAX_ANSWER_CHARS, compare, usable
from rewards.equivalence.evaluation import one_budget
from rewards.equivalence.normalize import tidy
from rewards.equivalence.numeric_equivalence import EquivalenceConfig
from rewards.equivalence.quantities import quantity
from rewards.extraction import Found, find_answer
from rewards.physics_parts import met, statements_of

_NAME = r"\$?\s*(\\?[A-Za-z]+(?:_\{?\w+\}?)?)\s*\$?"
_NEGATIVE = re.compile(_NAME + r"\s*(?:<\s*0(?![.\d])|is\s+(?:a\s+)?negative)")
_INTEGER = re.compile(r"integers?\s+" + _NAME + r"|" + _NAME + r"\s+is\s+an?\s+(?:positive\s+|odd\s+|even\s+)?integer")


_WITH_UNIT = re.compile(r"(.{1,400}?)((?:\\[ ,;:]|~|\s)*\\(?:text|mathrm)\s*\{[^{}]{1,60}\})\s*", re.DOTALL)
_COMPONENTS = re.compile(
    r"\s*(?:\\left)?\s*(?:[(\[]|\\langle)([^,()=]{1,60}),([^,()=]{1,60})(?:,([^,()=]{1,60}))?(?:\\right)?\s*(?:[)\]]|\\rangle)\s*"
)
_JOINT = re.compile(r"(?:\\times|\\cdot|\\ |\\,|\s)+$")
_ASKED = re.compile(
    r"\b(?:(?:give|express|state|report|write|provide|submit)\b[^.\n$]{0,60}|answer\b[^.\n$]{0,20})\bin\s+(?:the\s+)?(?:units?\s+(?:of\s+)?)?"
    r"(?:\$([^$\n]{1,60})\$|([^$.,;\n]{1,40}?)(?=[.,;\n]|\s*$))",
    re.IGNORECASE,
)


def config_for(prompt: str, info: dict[str, Any]) -> EquivalenceConfig:
    """Return the physics config with the problem's negative and whole symbols."""
    negative = {match.group(1) for match in _NEGATIVE.finditer(prompt[-20_000:])}
    integers = {match.group(1) or match.group(2) for match in _INTEGER.finditer(prompt[-20_000:])}
    return EquivalenceConfig(
        unit_required=info.get("require_unit") is True,
        negative=frozenset(name.lstrip("\\") for name in negative),
        integers=frozenset(name.lstrip("\\") for name in integers),
    )


def asked_unit(prompt: str) -> str:
    """Return the unit that a problem asks for (`Give the answer in $10^{-10} N$.`), empty where it names none."""
    asked = [*_ASKED.finditer(prompt[-2_000:])]
    return (asked[-1].group(1) or asked[-1].group(2)).strip() if asked else ""


def vector_in_parentheses(text: str) -> str:
    r"""Return a vector with its unit in the form `(3\hat i+4\hat j)\text{ m/s}`; empty where a text is none."""
    parts = _WITH_UNIT.fullmatch(text.strip(" $"))
    if parts is None or re.search(r"\\(?:text|mathrm)|=", parts[1]):
        return ""
    body = parts[1].strip()
    if listed := _COMPONENTS.fullmatch(body):
        names = zip((one for one in listed.groups() if one), "ijk", strict=False)
        body = "+".join(f"({value.strip()})\\hat {name}" for value, name in names)
    elif "\\hat" not in body:
        return ""
    elif body.startswith("(") and body.endswith(")"):
        return text
    return f"({body}){parts[2]}"


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
        if not all(usable(gold, config) for gold in golds):
            return abstain("bad_reference")
        if len(golds) == 1:
            found = find_answer(response)
            with one_budget():
                return self.single(golds[0], found, config, prompt) if found else wrong("no_answer")
        with one_budget(len(golds)):
            return self.several(response, golds, config, prompt)

    def single(self, gold: str, found: Found, config: EquivalenceConfig, prompt: str) -> Score:
        """Score an answer to one reference; a bare number is in the unit that the problem asks for."""
        score = compare(gold, found, config, prompt)
        if not score.correct and "\\hat" in gold and (vector := vector_in_parentheses(found.text)):
            stated = vector_in_parentheses(gold) or gold
            score = compare(stated, Found(vector, found.kind), config, prompt)
        if score.correct or config.unit_required or not (unit := asked_unit(prompt)):
            return score
        said = tidy(found.text)
        number = quantity(said)
        if number is None or number.unit is not None or number.label:
            return score
        if gold.endswith(unit):
            named = compare(_JOINT.sub("", gold.removesuffix(unit)), Found(said, found.kind), config)
        else:
            joint = "\\times" if unit.startswith("10") else "\\ "
            named = compare(gold, Found(f"{said} {joint} {unit}", found.kind), config)
        return named if named.correct else score

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
