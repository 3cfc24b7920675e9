"""Score multiple choice, true or false, and numeric answers (the `stem` domain).

The form of the reference decides: a letter is compared with the one letter the response commits to, a truth value
with the one it states, anything else as a quantity. "A or B" commits to nothing and is `ambiguous_answer`: hedging
would otherwise be worth half the marks.
"""

from __future__ import annotations

import re
from typing import Any

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.answer_grading import MAX_ANSWER_CHARS, compare
from rewards.equivalence.numeric_equivalence import EquivalenceConfig
from rewards.extraction import Found, final_part, find_answer, unmarked
from rewards.true_false import parse_true_false, takes_back

_TRUTH_VALUES = {"true": True, "yes": True, "correct": True, "false": False, "no": False, "incorrect": False}
_LETTER_GOLD = re.compile(r"\(?([A-Z])\)?(?:[.):]\s.*)?", re.DOTALL)
_LETTER_ONLY = re.compile(r"\W*(?:option|choice|answer)?\W*([A-Za-z])\W*", re.IGNORECASE)
_LETTER_LEAD = re.compile(r"\W*(?:(?i:option|choice)\s*)?[(\[*]*([A-Z])[)\].:*]+(?:\s|$|[*])")
_LETTER_NAMED = re.compile(r"\b(?i:option|choice|answer)\s*(?i:is\s*)?[(\[*]*([A-Z])\b")
_LETTER_LOOSE = re.compile(r"(?<![A-Za-z\\])([A-Z])(?![A-Za-z'’])")
_ARTICLE = re.compile(r"[AI]\s+(?!is\b|or\b|and\b|but\b)[a-z]")
_REASON = re.compile(r"\b(?:because|since|whereas)\b", re.IGNORECASE)
_CONCLUSION = re.compile(r"\b(?:so|thus|hence|therefore)\b", re.IGNORECASE)
_OPTION = re.compile(r"(?:^|\n|\s)[(\[]?([A-Z])[)\].:]\s*(.+?)(?=\s+[(\[]?[A-Z][)\].:]\s|\n|$)", re.DOTALL)
NUMERIC = EquivalenceConfig()


def options(prompt: str) -> dict[str, str]:
    """Return the labeled options that a prompt lists, label to text."""
    found = {label: text.strip().rstrip(".").lower() for label, text in _OPTION.findall(prompt[-20_000:])}
    return found if len(found) >= 2 else {}


def letters(found: Found, listed: dict[str, str]) -> set[str]:
    """Return the labels that an answer commits to."""
    text = re.sub(r"\\(?:text|mathrm|mathbf|textbf|mathsf)\s*\{([^{}]*)\}", r"\1", found.text)
    text = unmarked(_REASON.split(unmarked(text))[0])
    known = set(listed) or set("ABCDEFGHIJ")
    plain = text.strip().rstrip(".").lower()
    if only := _LETTER_ONLY.fullmatch(text):
        return {only.group(1).upper()}
    by_text = {label for label, option in listed.items() if option == plain}
    if len(by_text) == 1:
        return by_text
    if _LETTER_LOOSE.search(concluded := _CONCLUSION.split(text)[-1]):
        text = concluded
    loose = [match for match in _LETTER_LOOSE.finditer(text) if match.group(1) in known]
    labels = {match.group(1) for match in loose}
    if len(labels) > 1 and re.search(r"\b(?:or|and|and/or)\b|[/,;&]|\bnot\b", text):
        return labels
    if (lead := _LETTER_LEAD.match(text)) and lead.group(1) in known:
        rest = text[lead.end() :].strip().rstrip(".")
        others = {match.group(1) for match in loose if not _ARTICLE.match(text, match.start())} - {lead.group(1)}
        if rest.lower() != listed.get(lead.group(1), "") and (others or takes_back("", rest)):
            return labels if others else set()
        return {lead.group(1)}
    named = _LETTER_NAMED.search(text)
    if named is None or named.group(1) not in known:
        if found.kind == "tail" and len(labels) > 1:
            labels -= {"A", "I"}
        named = next((match for match in loose if {match.group(1)} == labels), None)
    if named is None:
        return labels
    return set() if takes_back(text[: named.start(1)], text[named.end(1) :]) else {named.group(1)}


def offers_all(response: str) -> bool:
    """Return whether a final part ends with a list of labeled options, choosing none."""
    lines = [line for line in final_part(response)[-MAX_ANSWER_CHARS:].splitlines() if line.strip()][-2:]
    leads = {lead.group(1) for line in lines if (lead := _LETTER_LEAD.match(line))}
    return len(leads) > 1


class Choice:
    """Reward the option, truth value or number of the reference.

    No `info` is used; options are read from `prompt` if listed there.
    """

    def __call__(self, response: str, answer: str, prompt: str) -> Score:
        """Score one response."""
        gold = unmarked(answer)
        if not gold:
            return abstain("bad_reference")
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        if len(found.text) > MAX_ANSWER_CHARS:
            return wrong("too_long", found.text[:100])
        if label := _LETTER_GOLD.fullmatch(gold):
            if found.kind in ("bare", "tail") and offers_all(response):
                return wrong("ambiguous_answer", found.text[:200])
            return _grade_labels(letters(found, options(prompt)), label.group(1), found.text)
        if gold.lower() in _TRUTH_VALUES:
            return grade_truth_value(found, _TRUTH_VALUES[gold.lower()])
        return compare(answer, found, NUMERIC, prompt)

    def __repr__(self) -> str:
        return "Choice()"


def grade_truth_value(found: Found, gold: bool) -> Score:
    """Compare the truth value that an answer states with the reference."""
    side = parse_true_false(found.text)
    if isinstance(side, str):
        return wrong("malformed_answer" if side == "neither" else "ambiguous_answer", found.text[:200])
    return right(str(side)) if side == gold else wrong(extracted=str(side))


def _grade_labels(chosen: set[Any], gold: str, text: str) -> Score:
    if not chosen:
        return wrong("malformed_answer", text[:200])
    if len(chosen) > 1:
        return wrong("ambiguous_answer", text[:200])
    (label,) = chosen
    return right(label) if label == gold else wrong(extracted=label)
