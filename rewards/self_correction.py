"""Follow a response that takes its own answer back.

After `The answer is 42. Wait, no, it is 43.` the answer is 43: what a response puts in the place of its first answer
counts. Where it takes an answer back and states no other, nothing does.
"""

from __future__ import annotations

import re

MAX_AFTER = 300
_TAKEN_BACK = re.compile(
    r"[\s.!*`\"')\]$}]*(?:\?|(?:no(?=\s*[,.;:!—–-]|\s+wait)|(?:no\W+)?wait|hmm+|actually|sorry|correction|scratch\s+that|i\s+meant?|oops|"
    r"on\s+second\s+thought|(?:that|this|it)\s+(?:is|was)\s+(?:wrong|incorrect|false|not\s+(?:right|correct|true|the\s+answer))|"
    r"not\s+(?:really|sure|quite)|just\s+kidding)\b)",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    r"\b(?:yes|indeed|confirm(?:s|ed)?|verified|checks?\s+out|(?:it|that|this|which|answer)\s+is\s+(?:right|correct))\b(?![^.]*\bnot\b)",
    re.IGNORECASE,
)
_MISTAKEN = re.compile(
    r"\b(?:wait|actually|correction|mistake|oops|scratch\s+that|on\s+second\s+thought)\b", re.IGNORECASE
)
_VALUE = r"(?P<value>(?:[-+−]?[\d.$\\(]|[A-Ja-j]\b(?!\s+[a-z]))[^\n]*)"
_INSTEAD = re.compile(
    r"(?:\b(?:it|that|this|answer|result|value|one|option)\s*(?:['’]s|\s(?:is|should\s+be|must\s+be|would\s+be))|\bmake\s+(?:it|that)|"
    rf"\bi\s+meant?|\bno\s*,|\bactually\s*,?|\bcorrection\s*:?)\s+(?:actually\s+|really\s+|rather\s+)?(?:the\s+)?[*]*{_VALUE}",
    re.IGNORECASE,
)


def is_taken_back(after: str) -> bool:
    """Return whether the text behind an answer takes it back, by a question mark or in its first words.

    Args:
        after: What follows the answer.
    """
    after = after[:MAX_AFTER]
    return bool(_TAKEN_BACK.match(after)) and not _CONFIRMED.search(after)


def owns_mistake(after: str) -> bool:
    """Return whether a text admits a mistake (`Wait, I made a mistake`)."""
    return bool(_MISTAKEN.search(after[:MAX_AFTER]))


def instead(after: str) -> str | None:
    """Return what a text that takes an answer back states instead, up to the end of the line; None for nothing."""
    found: str | None = None
    place = 0
    while match := _INSTEAD.search(after[:MAX_AFTER], place):
        found, place = match["value"], match.start("value")
    return found
