"""Know which words are English words, and how a word goes on behind a hyphen at the end of a line."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from types import ModuleType

from innovator_rl.data.corpus.optional import require

HYPHENS = "-\u00ad\u2010\ufffe"
"""Marks of a word that goes on in the next line; PDFium writes U+FFFE for one."""

RARE = 1.5
COMMON = 3.5
"""Occurrences per billion words, as decimal logarithms: below the first a word counts as unknown."""


@cache
def _frequencies() -> dict[str, float]:
    wordfreq: ModuleType = require("wordfreq", "wordfreq", "repairing text")
    return dict(wordfreq.get_frequency_dict("en", wordlist="large"))


def frequency(word: str) -> float:
    """Return the decimal logarithm of a word's occurrences per billion English words; 0 for an unknown word.

    Raises:
        UserError: when the package wordfreq is not installed.
    """
    found = _frequencies().get(word.lower(), 0.0)
    return max(0.0, math.log10(found) + 9) if found else 0.0


@lru_cache(maxsize=2**17)
def is_word(word: str) -> bool:
    """Return whether a word is in use."""
    return frequency(word) >= RARE


def join_word(first: str, hyphen: str, second: str) -> str:
    """Return the word whose first part ends a line with a hyphen.

    The hyphen stays where the second part begins with a capital letter or a digit, and where both parts are words and the whole
    is none or hardly one (`well-` + `known`, `wave-` + `packet`).
    """
    if hyphen == "\u00ad":
        return first + second
    if not second[:1].islower():
        return f"{first}-{second}"
    whole = frequency(first + second)
    if hyphen != "\ufffe" and len(second) > 2:
        parts = min(frequency(first), frequency(second))
        if (whole < RARE <= parts) or (whole < 3 and parts >= 4):
            return f"{first}-{second}"
    return first + second
