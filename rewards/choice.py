"""Multiple choice, true or false, and numeric answers: the `stem` domain (WebInstruct-verified).

The form of the reference decides: a letter is compared with the one letter the response commits to, a truth value
with the one it states, anything else as a quantity. "A or B" commits to nothing and is `ambiguous_answer`: hedging
would otherwise be worth half the marks.
"""

from __future__ import annotations

import re
from typing import Any

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.equivalence.formula_values import Policy
from rewards.extraction import Found, find_answer, unmarked
from rewards.judging import MAX_ANSWER_CHARS, compare

_TRUE, _FALSE = {"true", "yes", "correct", "t"}, {"false", "no", "incorrect", "f"}
_TRUTH = re.compile(r"\b(not\s+)?(true|false|yes|no|correct|incorrect)\b", re.IGNORECASE)
_LETTER_GOLD = re.compile(r"\(?([A-Z])\)?(?:[.):]\s.*)?", re.DOTALL)
_LETTER_ONLY = re.compile(r"\W*(?:option|choice|answer)?\W*([A-Za-z])\W*", re.IGNORECASE)
_LETTER_LEAD = re.compile(r"\W*(?:(?i:option|choice)\s*)?[(\[*]*([A-Z])[)\].:*]+(?:\s|$|[*])")
_LETTER_NAMED = re.compile(r"\b(?i:option|choice|answer)\s*(?i:is\s*)?[(\[*]*([A-Z])\b")
_LETTER_LOOSE = re.compile(r"(?<![A-Za-z\\])([A-Z])(?![A-Za-z'’])")
_OPTION = re.compile(r"(?:^|\n|\s)[(\[]?([A-Z])[)\].:]\s*(.+?)(?=\s+[(\[]?[A-Z][)\].:]\s|\n|$)", re.DOTALL)
NUMERIC = Policy()


def truth_value(text: str) -> bool | None:
    """True or False where the text states exactly one of them; None where it states neither or both."""
    plain = unmarked(re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*", "", text)).strip("{}() ").lower()
    if plain in _TRUE or plain in _FALSE:
        return plain in _TRUE
    values = {(word.lower() in _TRUE) != bool(negation) for negation, word in _TRUTH.findall(text)}
    return values.pop() if len(values) == 1 else None


def options(prompt: str) -> dict[str, str]:
    """The labelled options that a prompt lists, label to text."""
    found = {label: text.strip().rstrip(".").lower() for label, text in _OPTION.findall(prompt[-20_000:])}
    return found if len(found) >= 2 else {}


def letters(found: Found, listed: dict[str, str]) -> set[str]:
    """The labels that an answer commits to."""
    text = unmarked(re.sub(r"\\(?:text|mathrm|mathbf|textbf|mathsf)\s*\{([^{}]*)\}", r"\1", found.text))
    known = set(listed) or set("ABCDEFGHIJ")
    plain = text.strip().rstrip(".").lower()
    if only := _LETTER_ONLY.fullmatch(text):
        return {only.group(1).upper()}
    by_text = {label for label, option in listed.items() if option == plain}
    if len(by_text) == 1:
        return by_text
    loose = {label for label in _LETTER_LOOSE.findall(text) if label in known}
    if re.search(r"\b(?:or|and|and/or)\b|[/,;&]|\bnot\b", text) and len(loose) > 1:
        return loose
    for pattern in (_LETTER_LEAD.match(text), _LETTER_NAMED.search(text)):
        if pattern and pattern.group(1) in known:
            return {pattern.group(1)}
    return loose - {"A", "I"} if found.kind == "tail" and len(loose) > 1 else loose


class Choice:
    """Rewards the option, truth value or number of the reference. No `info` is used; options are read from `prompt`
    if listed there.
    """

    def __call__(self, response: str, answer: str, prompt: str) -> Score:
        gold = unmarked(answer)
        if not gold:
            return abstain("bad_reference")
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        if len(found.text) > MAX_ANSWER_CHARS:
            return wrong("too_long", found.text[:100])
        if label := _LETTER_GOLD.fullmatch(gold):
            return _judge(letters(found, options(prompt)), label.group(1), found.text)
        if gold.lower() in _TRUE | _FALSE:
            return judge_truth(found, gold.lower() in _TRUE)
        return compare(answer, found, NUMERIC)

    def __repr__(self) -> str:
        return "Choice()"


def judge_truth(found: Found, gold: bool) -> Score:
    """Compare the truth value that an answer states with the reference."""
    value = truth_value(found.text)
    if value is None:
        both = len(_TRUTH.findall(found.text)) > 1
        return wrong("ambiguous_answer" if both else "malformed_answer", found.text[:200])
    return right(str(value)) if value == gold else wrong(extracted=str(value))


def _judge(chosen: set[Any], gold: str, text: str) -> Score:
    if not chosen:
        return wrong("malformed_answer", text[:200])
    if len(chosen) > 1:
        return wrong("ambiguous_answer", text[:200])
    (label,) = chosen
    return right(label) if label == gold else wrong(extracted=label)
