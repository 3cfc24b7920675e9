"""Show how far a step over rows is: the count, the rate and the time left, on one line of standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")
FIRST_SECONDS = 2.0
"""A step that is done sooner is not shown at all."""


class RowProgress:
    """Report steps over rows.

    Args:
        stream: Where to write; None writes nothing.
        clock: The time in seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._terminal = stream is not None and stream.isatty()
        self._every = 0.5 if self._terminal else 10.0

    def over(self, items: Iterable[T], total: int, name: str) -> Iterator[T]:
        """Yield the items, and write a line from time to time."""
        started = shown = self._clock()
        written = False
        for done, item in enumerate(items, start=1):
            yield item
            now = self._clock()
            if now - started >= FIRST_SECONDS and now - shown >= self._every:
                shown, written = now, True
                self._write(self.line(name, done, total, now - started), "\r" if self._terminal else "\n")
        if written and self._terminal:
            self._write("", "")

    @staticmethod
    def line(name: str, done: int, total: int, seconds: float) -> str:
        """Return the state of a step in one line."""
        rate = done / max(seconds, 1e-6)
        left = max(total - done, 0) / rate
        return f"{name}: {done:,} of {total:,} rows, {rate:,.0f} rows/s, {int(left // 60)}:{int(left % 60):02d} left"

    def _write(self, line: str, end: str) -> None:
        if self._stream is not None:
            self._stream.write(("\r\x1b[K" if self._terminal else "") + line + end)
            self._stream.flush()
