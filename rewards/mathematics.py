"""Mathematics with a closed-form answer: numbers exactly, everything else by math-verify.

math-verify's own time limits are SIGALRM handlers, which do nothing off the main thread and nothing inside C; they
are switched off because the pool kills the process. Its objects are never printed and never leave this module: their
`repr` may not end. Before it is asked, hedged answers and equations between two numbers are turned away, since it
reads the last right-hand side of `8 = 7`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from innovator_rl.scoring import Score, right, wrong
from rewards.extraction import Found, find_answer, unmarked
from rewards.physics import costly, hedged

MAX_ANSWER_CHARS = 2_000
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?|[-+]?\.\d+")
_DRESSING = re.compile(
    r"\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\\[$%!,;: ]|[$%]|\\(?:left|right)(?=[()\[\]])|\^\\?\{?\\circ\}?"
)
_LATEX_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?\d+)\}\{(-?\d+)\}")
MAX_DIGITS = 400


def number(text: str) -> Fraction | None:
    """The exact value of a plain number, with currency and percent signs and thousands separators; None for anything
    else.
    """
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


@lru_cache(maxsize=512)
def _parsed_gold(text: str) -> Any:
    from math_verify import parse

    return parse(f"${text}$", parsing_timeout=None) or parse(text, parsing_timeout=None)


def equivalent(gold: str, prediction: str) -> bool:
    """math-verify's verdict on two LaTeX answers."""
    from math_verify import parse, verify

    parsed = parse(f"${prediction}$", parsing_timeout=None) or parse(prediction, parsing_timeout=None)
    return bool(verify(_parsed_gold(gold), parsed, timeout_seconds=None))


class Mathematics:
    """Rewards an answer equal to the reference. Reads the last box, an answer phrase, a bare answer, else the last
    number.
    """

    def __call__(self, response: str, answer: str) -> Score:
        gold = unmarked(answer.rsplit("####", 1)[-1])
        if not gold:
            return wrong("bad_reference")
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        text = unmarked(found.text)
        if len(text) > MAX_ANSWER_CHARS:
            return wrong("too_long", text[:100])
        target = number(gold)
        said = number(text)
        if target is not None and said is None:
            said, text = _number_within(found, text)
        if target is not None and said is not None:
            return right(text) if said == target else wrong(extracted=text[:200])
        if costly(text) and not costly(gold):
            return wrong("too_long", text[:200])
        if hedged(text) and not hedged(gold):
            return wrong("ambiguous_answer", text[:200])
        if "=" not in gold and _numeric_equation(text):
            return wrong("malformed_answer", text[:200])
        return right(text) if text == gold or equivalent(gold, text) else wrong(extracted=text[:200])


def _number_within(found: Found, text: str) -> tuple[Fraction | None, str]:
    """The number of a sentence: the only one of a marked answer (after `=` if there is one), the last one of free
    text.
    """
    if found.kind == "boxed" and "=" not in text:
        return None, text
    side = text.rsplit("=", 1)[-1] if "=" in text and not _numeric_equation(text) else text
    plain = _DRESSING.sub(" ", side)
    if re.search(r"\\|\^|\*|[A-Za-z]\(|√|π", plain):
        return None, text
    numbers = _NUMBER.findall(plain)
    values = {number(item) for item in numbers}
    if len(values) == 1 or (values and found.kind in ("bare", "tail") and len(plain.split()) > 3 and not hedged(plain)):
        return number(numbers[-1]), numbers[-1]
    return None, text


def _numeric_equation(text: str) -> bool:
    left = text.split("=", 1)[0].strip() if "=" in text else ""
    return bool(left) and number(left) is not None
