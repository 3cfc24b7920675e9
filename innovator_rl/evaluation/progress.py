"""Print the progress of an evaluation: rate and time left while it runs, one line per finished task."""

from __future__ import annotations

import time
from collections.abc import Callable

from innovator_rl.evaluation.results import RowResult
from innovator_rl.runs.files import duration

Say = Callable[[str], None]


class Progress:
    """Lines of progress with rate and time left, at most one in five seconds."""

    SECONDS = 5.0

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = -self.SECONDS
        self._what, self._started, self._first = "", 0.0, 0
        self._place = ""

    def task(self, number: int, total: int) -> None:
        """Begin a task."""
        self._place = f"[{number}/{total}]"

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take how many of how many requests of `what` have a response; print it where it is due."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._started, self._first = what, now, done
        elif (done < total and now - self._last < self.SECONDS) or done >= total:
            return
        self._last = now
        fresh, seconds = done - self._first, now - self._started
        left = ""
        if fresh and seconds > 1:
            left = f", {fresh / seconds:.1f} responses/s, {duration((total - done) * seconds / fresh)} left"
        self._say(f"{self._place} {what}: {done}/{total}{left}")


def finished_line(row: RowResult) -> str:
    """Return the line of a finished task."""
    assert row.outcome is not None
    first = row.outcome.metrics[0]
    interval = first.estimate.interval
    if not first.estimate.n:
        return f"{row.row.name}: no response was scored, {row.seconds:.0f} s"
    scale, unit = (100, "%") if first.share else (1, "")
    shown = f" [{interval[0] * scale:.1f}, {interval[1] * scale:.1f}]" if interval else ""
    return f"{row.row.name}: {first.name} {first.estimate.score * scale:.1f}{unit}{shown}, {first.estimate.n} rows, {row.seconds:.0f} s"
