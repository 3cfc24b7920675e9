r"""Score closed-form answers: numbers exactly, others by `rewards.equivalence`.

The config is a mathematician's: symbols may be negative, and 2.999 is not 3. A decimal agrees with a fraction that rounds
to it at three figures or more. With an irrational reference such as `2\sqrt{3}` it agrees only in full (six decimal
places), unless the reference is a decimal or the question asks for one, and then to the places asked for. Hedged
answers ("2 or 3") are turned away, and so is `8 = 7`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.answer_grading import MAX_ANSWER_CHARS, compare, usable
from rewards.equivalence.evaluation import one_budget
from rewards.equivalence.normalize import tidy
from rewards.equivalence.numeric_equivalence import EquivalenceConfig
from rewards.equivalence.quantities import Rounding, quantity
from rewards.extraction import Found, find_answer, hedged, last_boxes, unmarked

POLICY = EquivalenceConfig(measured=False, positive=False, rounding=Rounding(allowed=False))
_DECIMAL = re.compile(r"\d*\.\d")
_ASKED = re.compile(
    r"\brounded\b|\bround(?:ing)?\s+(?:off|up|down|to|your|the|all|each|it|answers?)\b|\bto\s+the\s+nearest\b|"
    r"\b(?:to|as|in|of)\s+(?:an?\s+|the\s+|\w+\s+)?(?:\w+\s+)?decimals?\b|\bdecimal\s+(?:places?|form|approximation|answer)\b|"
    r"\bsignificant\s+(?:figures?|digits?)|\bapprox\w*|\bestimate\w*|\bcalculator\b|"
    r"\bnumerically\s+(?!equal)|\b(?:correct|accurate)\s+to\b|\\approx|≈|保留|四舍五入|精确到|小数|近似",
    re.IGNORECASE,
)
_EXACT = re.compile(
    r"\bexact(?:ly)?\s+(?:\w+\s+)?(?:answer|value|form|result|expression)|\b(?:answer|value|form|result)s?\s+exact|"
    r"(?:\bnot|n[’']t|\bno|\bwithout|\bavoid|\binstead\s+of|rather\s+than)\s+(?:\w+\s+){0,3}"
    r"(?:round\w*|decimals?|approx\w*|calculator)\b",
    re.IGNORECASE,
)
_PLACES = re.compile(
    r"\bnearest\s+(tenth|hundredth|thousandth|ten[- ]thousandth)\b|\b(\d|one|two|three|four|five|six)\s+"
    r"(?:decimal\s+(?:place|digit|point)s?|decimals|"
    r"(?:places|digits)\s+(?:after|behind)\s+the\s+decimal)|保留\s*([一两二三四五六\d])\s*位小数",
    re.IGNORECASE,
)
_COUNTS = {"tenth": 1, "hundredth": 2, "thousandth": 3, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_COUNTS |= {"一": 1, "两": 2, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6}
_INTEGER = re.compile(r"-?\d{1,30}")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?|[-+]?\.\d+")
_DRESSING = re.compile(r"\\[$!,;: ]|[$]|\\(?:left|right)(?=[()\[\]])")
_LATEX_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?\d+)\}\{(-?\d+)\}")
MAX_DIGITS, MAX_PROMPT_CHARS, MAX_MEMBERS = 400, 4_000, 6
_CHAINED = re.compile(r"=|≈|\\approx(?![a-z])")


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


def rounding_asked(gold: str, prompt: str) -> Rounding:
    """Return how far a decimal may be rounded, by the reference and by what the question asks for."""
    question = prompt[-MAX_PROMPT_CHARS:]
    if _EXACT.search(question) or not (_ASKED.search(question) or _DECIMAL.search(gold)):
        return Rounding(allowed=False)
    if _DECIMAL.search(gold) or not (asked := _PLACES.search(question)):
        return Rounding()
    name = (asked[1] or asked[2] or asked[3]).lower()
    places = int(name) if name.isdigit() else _COUNTS.get(name, 4)
    return Rounding(places=places)


def _rounds(exact: str, rounded: str) -> bool:
    r"""Return whether a decimal is a number rounded to its places, however few: `1/3 \approx 0.33`."""
    whole, short = quantity(tidy(exact)), number(unmarked(rounded))
    if whole is None or short is None or "." not in rounded:
        return False
    places = len(rounded.strip(" $.").partition(".")[2])
    return bool(abs(whole.value - short.numerator / short.denominator) <= 0.500001 * 10**-places)


def _graded(gold: str, found: Found, config: EquivalenceConfig, prompt: str) -> Score:
    r"""Grade an answer; in a chain such as `2\sqrt{3} \approx 3.46` one member must be the reference in full."""
    score = compare(gold, found, config, prompt)
    members = _CHAINED.split(found.text)
    if not score.correct and len(members) == 2 and _rounds(members[0], members[1]):
        return compare(gold, Found(members[0], found.kind), config, prompt)
    if score.correct or config.rounding.allowed or not 1 < len(members) <= MAX_MEMBERS:
        return score
    rounded = compare(gold, found, replace(config, rounding=Rounding()), prompt)
    full = any(compare(gold, Found(member, found.kind), config, prompt).correct for member in members if member.strip())
    return rounded if rounded.correct and full else score


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
        if found.taken_back:
            return wrong("ambiguous_answer", found.text[:200])
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
        config = replace(POLICY, rounding=rounding_asked(gold, prompt))
        with one_budget():
            return _graded(gold, found, config, prompt) if usable(gold, config) else abstain("bad_reference")

    def __repr__(self) -> str:
        return "Mathematics()"
