"""Cut a text into sliding windows that never cut a formula, a table or code.

    for window in split(text, size=4000, overlap=400):
        answers.append(model(window.context, window.body))
    text = merge(answers)

A window has a body and, before it, a context: text that the former window ended with, for a model to read and not to
rewrite. Bodies follow each other without a gap, so that `merge` of the bodies is the text, byte by byte, and a rewritten
body takes exactly its own place. Windows are made one at a time: memory beyond the text is one window and the longest
single formula, table or code block.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from innovator_rl.data.documents.spans import Span, protected_spans

_SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*\s+|[。！？；][”’」』）]*")


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text.

    Attributes:
        start: Offset of the body in the text.
        context: The text directly before the body, at most `overlap` characters.
        body: The part itself.
    """

    start: int
    context: str
    body: str


def split(text: str, size: int = 4_000, overlap: int = 0) -> Iterator[Window]:
    """Yield the windows of a text in order.

    Args:
        text: Any text.
        size: Characters of a body, at most; a longer formula, table or code block is a body of its own length.
        overlap: Characters of the context, at most.

    Raises:
        ValueError: when the size is not positive or the overlap is negative.
    """
    if size < 1 or overlap < 0:
        raise ValueError(f"size must be positive and overlap not negative, found {size} and {overlap}")
    spans = _Nearby(text)
    start = 0
    while start < len(text):
        end = _cut(text, start, min(start + size, len(text)), spans)
        context = spans.leave(max(0, start - overlap), start) if overlap else start
        yield Window(start, text[context:start], text[start:end])
        start = end
        spans.forget(start - overlap)


def merge(bodies: Iterable[Window | str]) -> str:
    """Return the text of windows, or of their rewritten bodies, in order."""
    return "".join(part.body if isinstance(part, Window) else part for part in bodies)


def _cut(text: str, start: int, target: int, spans: _Nearby) -> int:
    """Return the best end of a body that starts at `start`: a paragraph, else a line, a sentence, a word."""
    if target == len(text):
        return target
    earliest = start + max(1, (target - start) // 2)
    for mark in ("\n\n", "\n", None, " "):
        end = _last(text, mark, earliest, target)
        while end > start:
            inside = spans.around(end)
            if inside is None:
                return end
            end = _last(text, mark, earliest, inside.start)
    inside = spans.around(target)
    if inside is None:
        return target
    return inside.start if inside.start > start else inside.end


def _last(text: str, mark: str | None, earliest: int, latest: int) -> int:
    """Return the offset behind the last mark that ends in (earliest, latest], or -1."""
    if latest <= earliest:
        return -1
    if mark is None:
        return max((m.end() for m in _SENTENCE_END.finditer(text, earliest, latest)), default=-1)
    found = text.rfind(mark, earliest, latest)
    return found + len(mark) if found >= 0 else -1


class _Nearby:
    """The protected spans around the place where the text is being cut."""

    def __init__(self, text: str) -> None:
        self._coming = protected_spans(text)
        self._spans: deque[Span] = deque()
        self._done = False

    def around(self, place: int) -> Span | None:
        """Return the span that a cut at `place` would cut."""
        while not self._done and (not self._spans or self._spans[-1].start < place):
            span = next(self._coming, None)
            self._done = span is None
            if span is not None:
                self._spans.append(span)
        for span in reversed(self._spans):
            if span.start < place:
                return span if place < span.end else None
        return None

    def leave(self, place: int, latest: int) -> int:
        """Return the first offset from `place` to `latest` that is not inside a span."""
        inside = self.around(place)
        return place if inside is None else min(inside.end, latest)

    def forget(self, place: int) -> None:
        """Drop the spans that end before `place`."""
        while self._spans and self._spans[0].end < place:
            self._spans.popleft()
