"""Score closed-form answers: numbers exactly, others by `rewards.equivalence`.

The config is a mathematician's: symbols may be negative, 2.999 is not 3, and a decimal agrees with an exact value only
if that rounds to it at three figures or more. Hedged answers ("2 or 3") are turned away, and so is `8 = 7`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.answer_grading import MAX_ANSWER_CHARS, boxed_pair, compare, usable
from rewards.equivalence.numeric_equivalence import EquivalenceConfig
from rewards.extraction import find_answer, hedged, last_boxes, unmarked

POLICY = EquivalenceConfig(measured=False, positive=False)
_INTEGER = re.compile(r"-?\d{1,30}")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?|[-+]?\.\d+")
_DRESSING = re.compile(r"\\[$!,;: ]|[$]|\\(?:left|right)(?=[()\[\]])")
_LATEX_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?\d+)\}\{(-?\d+)\}")
MAX_DIGITS = 400


def number(text: str) -> Fraction | None:
    """Return the exact value of a plain number; None for others."""
    plain = _DRESSING.sub("", text).replace("{,}", ",").replace("−", "-").strip()
    if fraction := _LATEX_FRACTION.fullmatch(plain):
        sign, above, below = fraction.groups()
        plain = f"{sign}{above}/{below}" if not (sign and above.startswith("-")) else above[1:] + "/" + below
    if len(plain) > MAX_DIGITS or not _NUMBER.fullmatch(plain):
        return None
    try:
        return Fraction(plain.replace(",", ""))
    except (ValueError, ZeroDivisionError):
        return None


class Mathematics:
    """Reward an answer equal to the reference.

    It is read from the last box (or boxes joined by "and"), an answer phrase, a bare answer, else the last line.
    """

    def __call__(self, response: str, answer: str, prompt: str = "") -> Score:
        """Score one response."""
        gold = unmarked(answer.rsplit("####", 1)[-1])
        if "\\boxed" in gold and (boxes := last_boxes(gold)):
            gold = boxes[0]
        if not gold or len(gold) > MAX_ANSWER_CHARS:
            return abstain("bad_reference")
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(found.text):
            return right(found.text) if int(gold) == int(found.text) else wrong(extracted=found.text)
        if len(found.text) > MAX_ANSWER_CHARS:
            return wrong("too_long", found.text[:100])
        text = unmarked(found.text)
        target, predicted = number(gold), None if hedged(text) else number(text)
        if target is not None and predicted is not None:
            if predicted == target:
                return right(text)
            if predicted.denominator == target.denominator == 1:
                return wrong(extracted=text[:200])
        return compare(gold, found, POLICY, prompt) if usable(gold, POLICY) else abstain("bad_reference")

    def reference_responses(self, answer: str, info: dict[str, Any]) -> tuple[str, str]:
        """Return a response that repeats the reference, and one that changes it."""
        gold = unmarked(answer.rsplit("####", 1)[-1])
        boxes = last_boxes(gold) if "\\boxed" in gold else None
        return boxed_pair([boxes[0] if boxes else gold])

    def __repr__(self) -> str:
        return "Mathematics()"
