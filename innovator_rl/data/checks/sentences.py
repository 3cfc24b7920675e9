"""Tell where sentences begin and end between the words of a text, to find a short question as a whole.

A short question that begins a longer one is another question: "a chain of 5 atoms with a group at one end" is not the one
that goes on "and an atom at the other". Its words count only where a sentence begins before them and ends behind them.
What may stand around a copy (a number, a heading, an instruction, a bracket, a line break) is such a place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Span = tuple[int, int]

_STOP = re.compile(r"[.!?:;,](?=[\s\"'”’)\]*_$}]|$)|[。！？：；，…]|\n|\s\|\s|[\"“”«»<>()\[\]]|\*\*|__|#")
_END = re.compile(r"[.!?:;](?=[\s\"'”’)\]*_$}(\[]|$)|[。！？：；…]|\n|\s\|\s|[\"”»<>(\[]|\*\*|__|\\\]|\$\$")
_NUMBER = re.compile(r"(?:q|problem|question|exercise|task|ex)?\d{1,4}|[-*+>]", re.IGNORECASE)
_INSTRUCTION = frozenset(
    [
        "solve",
        "answer",
        "question",
        "problem",
        "task",
        "following",
        "exercise",
        "prompt",
        "query",
        "user",
        "q",
        "please",
    ]
)


def bounds(text: str, spans: Sequence[Span]) -> tuple[list[bool], list[bool]]:
    """Return, for each word, whether a sentence may begin with it, and whether one may end with it.

    Args:
        text: The text.
        spans: Start and end of its words, in order.

    Returns:
        Two lists as long as `spans`.
    """
    begins, ends = [], []
    for place, (start, end) in enumerate(spans):
        before = text[spans[place - 1][1] : start] if place else ""
        after = text[end : spans[place + 1][0]] if place + 1 < len(spans) else ""
        begins.append(place == 0 or bool(_STOP.search(before)) or _introduces(text, spans[:place]))
        ends.append(place + 1 == len(spans) or bool(_END.search(after)))
    return begins, ends


def _introduces(text: str, spans: Sequence[Span]) -> bool:
    """Return whether the last of some words is an instruction, or a number or bullet at the start of its line."""
    start, end = spans[-1]
    word = text[start:end]
    if word.lower() in _INSTRUCTION:
        return True
    return bool(_NUMBER.fullmatch(word)) and not text[text.rfind("\n", 0, start) + 1 : start].strip(" \t*_#>-")
