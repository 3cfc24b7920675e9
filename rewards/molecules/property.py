"""Molecular property questions answered True or False: toxicity, reactivity, blood-brain barrier, BACE1.

Half the marks are there for a coin, so only a response that commits to one side earns any. Read as a commitment: one
of true, false, yes, no (or 1, 0, T, F standing alone), with its negations undone ("not true", "isn't false"). Not one:
both sides, neither side, "could be true", "I cannot tell". See `stance`.
"""

from __future__ import annotations

import re

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.extraction import Found, all_boxed, final_part, find_answer, unmarked

MAX_ANSWER_CHARS = 2_000
_TRUE, _FALSE = {"true", "yes", "t", "y", "1", "1.0", "correct"}, {"false", "no", "f", "n", "0", "0.0", "incorrect"}
_TEX_TEXT = re.compile(r"\\(?:text|textbf|textit|texttt|mathrm|mathbf)\s*\{([^{}]*)\}")
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_LABEL = re.compile(r"^\W*(?:the\s+)?(?:final\s+)?(?:answer|label|prediction|result)\s*(?:is|:|=)+\s*", re.IGNORECASE)
_WORD = re.compile(r"\b(true|false|untrue|incorrect|correct)\b", re.IGNORECASE)
_LEAD = re.compile(r"\W*(yes|no)\b(?=\s*(?:[,.;:!()*`—–-]|$))", re.IGNORECASE)
_NO_WORD = re.compile(
    r"(?:\banswer\s+(?:is|:)\s*|[,;:.?]\s*)[\"'*`]*(yes|no)[\"'*`]*(?=\s*(?:[,.;:!]|$))", re.IGNORECASE
)
_NEGATION = re.compile(
    r"(?:\bnot|n[’']t|\bcannot|\bnever|\bfar from|\binstead of|\brather than|\bas opposed to|\bneither|\bnor)"
    r"(?:\s+(?:be|being|the\s+case\s+that|it|it[’']s|this|that|is|answer|statement|the|quite|entirely|at\s+all|"
    r"simply|think|believe|say|considered|a|an)){0,6}\s+[\"'*`]*$",
    re.IGNORECASE,
)
_UNDECIDED = re.compile(
    r"\b(?:not\s+necessarily|could\s+(?:also\s+|well\s+)?be|might(?:\s+be)?|may\s+(?:or\s+may\s+not\s+)?be|possibly|perhaps|"
    r"maybe|either|neither|undecided|50\s*[/-]\s*50|coin|depends|uncertain|unclear|unknown|hard\s+to\s+(?:say|tell)|"
    r"(?:can(?:no|’|')?t|can\s+not|unable\s+to|impossible\s+to|do(?:es)?\s*n[o’']t|not\s+possible\s+to)\s+"
    r"(?:be\s+)?(?:tell|say|know|determined?|decide[d]?|predict(?:ed)?|answer(?:ed)?)|no\s+idea|not\s+sure|unsure)\b",
    re.IGNORECASE,
)


class PropertyChoice:
    """Rewards the right truth value. The reference is True or False, 1 or 0, Yes or No.

    Value 1 and `correct`, or 0. Reasons: `correct`, `wrong`, `no_answer`, `malformed_answer` (neither side stated),
    `ambiguous_answer` (both sides, or undecided), `too_long`; `bad_reference` abstains.
    """

    version = "2"

    def __call__(self, response: str, answer: str) -> Score:
        gold = _alone(answer)
        if gold is None:
            return abstain("bad_reference")
        found = find_answer(response)
        if found is None:
            return wrong("no_answer")
        if len(found.text) > MAX_ANSWER_CHARS:
            return wrong("too_long", found.text[:100])
        sides = {stance(text) for text in _statements(found, response)}
        side = sides.pop() if len(sides) == 1 else "both"
        if isinstance(side, str):
            reason = "malformed_answer" if side == "neither" else "ambiguous_answer"
            return wrong(reason, found.text[:200])
        return right(str(side)) if side == gold else wrong(extracted=str(side))


def _statements(found: Found, response: str) -> list[str]:
    """The texts in the place of the answer: every marked one, or the one found. A bare verdict on another line than
    the last is one as well.
    """
    text = final_part(response)
    if found.kind == "boxed":
        return [*all_boxed(text)[-8:], found.text]
    if found.kind == "tag":
        return [*_TAG.findall(text[-2 * MAX_ANSWER_CHARS :]), found.text]
    verdicts = [line for line in text[-2 * MAX_ANSWER_CHARS :].splitlines() if _alone(line) is not None]
    if verdicts and stance(found.text) == "neither":
        return verdicts
    return [*verdicts, found.text]


def stance(text: str) -> bool | str:
    """The side a statement takes; `both` where it takes both or leaves it open, `neither` where it names none."""
    plain = _LABEL.sub("", _TEX_TEXT.sub(r"\1", text).strip()).strip()
    alone = _alone(plain)
    if alone is not None:
        return alone
    if _UNDECIDED.search(plain):
        return "both"
    sides = {_side(word.group(1)) != bool(_NEGATION.search(plain[: word.start()])) for word in _words(plain)}
    if lead := _LEAD.match(plain):
        sides.add(lead.group(1).lower() == "yes")
    sides.update(word.lower() == "yes" for word in _NO_WORD.findall(plain))
    if re.search(
        r"\b(?:yes|true)\b\W{0,3}(?:or|/|and)\W{0,3}\b(?:no|false)\b|\b(?:no|false)\b\W{0,3}(?:or|/|and)\W{0,3}"
        r"\b(?:yes|true)\b",
        plain,
        re.IGNORECASE,
    ):
        return "both"
    return sides.pop() if len(sides) == 1 else "both" if sides else "neither"


def _words(text: str) -> list[re.Match[str]]:
    """Verdict words; `correct` counts as one only where it is what something is said to be."""
    return [
        word
        for word in _WORD.finditer(text)
        if "correct" not in word.group(1).lower()
        or re.search(r"\b(?:is|are|be|not)\s+(?:\w+\s+)?$", text[: word.start()], re.IGNORECASE)
    ]


def _side(word: str) -> bool:
    return word.lower() in _TRUE


def _alone(text: str) -> bool | None:
    """The side of a text that is nothing but a verdict."""
    plain = _LABEL.sub("", unmarked(_TEX_TEXT.sub(r"\1", text))).strip("{}()[]\"'`*.!$ \n").lower()
    return True if plain in _TRUE else False if plain in _FALSE else None
