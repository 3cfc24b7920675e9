"""Show the progress of a build: the stage, its share, the rate and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

_EVERY = 10.0
"""Seconds between two lines where the output is not a terminal."""


class Progress:
    """Write one line per stage that is rewritten on a terminal, and a line every ten seconds elsewhere.

    Args:
        stream: Where to write; None writes nothing.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._terminal = stream is not None and stream.isatty()
        self._name = ""

    def start(self, name: str, tasks: int, size: int, cached: int) -> None:
        """Begin a stage of `tasks` tasks over `size` bytes, of which `cached` tasks are complete already."""
        self._name, self._tasks, self._size, self._cached = name, tasks, size, cached
        self._done = self._bytes = 0
        self._started = self._shown = self._clock()

    def advance(self, size: int) -> None:
        """Count one finished task over `size` bytes."""
        self._done += 1
        self._bytes += size
        now = self._clock()
        if self._terminal or now - self._shown >= _EVERY:
            self._shown = now
            self._write(self.line(), "\r" if self._terminal else "\n")

    def line(self) -> str:
        """Return the current state in one line."""
        seconds = max(self._clock() - self._started, 1e-6)
        rate = self._bytes / seconds
        left = (self._size - self._bytes) / rate if rate else 0.0
        return (
            f"{self._name}: {self._done}/{self._tasks} tasks, {self._bytes / 1e6:.1f} of {self._size / 1e6:.1f} MB, "
            f"{rate / 1e6:.2f} MB/s, {int(left // 60)}:{int(left % 60):02d} left"
        )

    def finish(self, summary: str) -> None:
        """End the stage with its result."""
        seconds = self._clock() - self._started
        reused = f", {self._cached} of {self._tasks} tasks reused" if self._cached else ""
        self._write(f"{self._name}: {summary} ({seconds:.1f} s{reused})", "\n")

    def _write(self, line: str, end: str) -> None:
        if self._stream is not None:
            clear = "\r\x1b[K" if self._terminal else ""
            self._stream.write(clear + line + end)
            self._stream.flush()
