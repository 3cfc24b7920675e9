"""Where requests wait: one line per rewarder, bounded together, served so that no rewarder starves another.

A slow domain (programs that run for seconds) must not hold up a fast one (integers), yet lanes must not idle because
a domain has none of its own. So the pool's shared lanes take whatever waits, the rewarder with the fewest requests in
flight first; and each rewarder has a lane in reserve, which opens when the shared ones are all busy and none of them
serves it. A line therefore always moves, and at most one process a rewarder is added to the shared ones.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

from innovator_rl.scoring.api import ScoreRequest


@dataclass(eq=False)
class Task:
    """A request, or with `request=None` the wish to have the rewarder described.

    `failed_worker` is the lane that failed at it, which gets the task again only where there is no other; `spent` the
    seconds that the failed call took, `failure` its reason.
    """

    rewarder: str
    request: ScoreRequest | None
    future: Future[Any] = field(default_factory=Future)
    failed_worker: object | None = None
    spent: float = 0.0
    failure: str = ""


class FairRequestQueue:
    """Thread-safe, bounded lines. `limit`: tasks that may wait; `lanes`: how many shared lanes take from them."""

    def __init__(self, limit: int, lanes: int) -> None:
        self.limit = limit
        self.lanes = lanes
        self._lines: dict[str, deque[Task]] = {}
        self._waiting = 0
        self._in_flight: Counter[str] = Counter()
        self._idle = lanes
        self._closed = False
        self._changed = threading.Condition()

    def put(self, task: Task, seconds: float | None = None) -> bool:
        """Let a task in, waiting while the room is full, at most `seconds`; False when it stayed full.

        Raises `RuntimeError` when the room is closed.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._waiting < self.limit, seconds):
                return False
            if self._closed:
                raise RuntimeError("the scoring pool is closed")
            self._lines.setdefault(task.rewarder, deque()).append(task)
            self._waiting += 1
            self._changed.notify_all()
        return True

    def take(self, lane: object, reserved_for: str | None = None) -> Task | None:
        """The next task for a lane, waited for; None once the room is closed."""
        with self._changed:
            while not self._closed:
                line = self._line(lane) if reserved_for is None else self._starved(reserved_for)
                if line:
                    return self._leave(line, lane, reserved_for)
                self._changed.wait()
        return None

    def finish(self, task: Task, reserved_for: str | None = None, *, failed_on: object | None = None) -> None:
        """A lane is free again. With `failed_on` its task goes back to the head of its line, for another lane."""
        with self._changed:
            self._in_flight[task.rewarder] -= 1
            self._idle += reserved_for is None
            if failed_on is not None:
                task.failed_worker = failed_on
                if self._closed:
                    _cancel_pending(task)
                else:
                    self._lines.setdefault(task.rewarder, deque()).appendleft(task)
                    self._waiting += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in, send everybody who waits away."""
        with self._changed:
            self._closed = True
            for line in self._lines.values():
                for task in line:
                    _cancel_pending(task)
            self._lines.clear()
            self._changed.notify_all()

    def _line(self, lane: object) -> deque[Task] | None:
        """The line whose rewarder has the fewest requests in flight; among equals the one served longest ago."""
        open_to = [name for name, line in self._lines.items() if self._eligible(line, lane) is not None]
        return self._lines[min(open_to, key=lambda name: self._in_flight[name])] if open_to else None

    def _starved(self, name: str) -> deque[Task] | None:
        return self._lines.get(name) if self._idle <= 0 and not self._in_flight[name] else None

    def _eligible(self, line: deque[Task], lane: object) -> int | None:
        """The place of the first task that this lane has not failed at."""
        return next((i for i, task in enumerate(line) if task.failed_worker is not lane or self.lanes == 1), None)

    def _leave(self, line: deque[Task], lane: object, reserved_for: str | None) -> Task:
        place = self._eligible(line, lane) or 0
        task = line[place]
        del line[place]
        rest = self._lines.pop(task.rewarder)
        if rest:
            self._lines[task.rewarder] = rest  # served last, so last among equals
        self._waiting -= 1
        self._in_flight[task.rewarder] += 1
        self._idle -= reserved_for is None
        self._changed.notify_all()
        return task


def _cancel_pending(task: Task) -> None:
    """End a wait for good: a future that already runs, because its task was tried once, cannot be cancelled."""
    if not task.future.cancel():
        task.future.set_exception(CancelledError())
