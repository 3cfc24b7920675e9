"""Bound the wait for one response by the responses that arrived before it.

A request can be lost (a replica that dropped it, a connection that never closes), and its group, its step and in the end
the run would wait for it. A fixed limit is wrong for long answers, so the limit follows what was seen: three times the
longest wait of a response that arrived, and never less than the run's `stall_seconds`. It grows while a request waits. Where
answers pause during updates (`rollout.max_staleness` above 0), the time of the pause does not count.

    patience = Patience(floor_seconds=600.0)
    output = await patience.attempt(lambda: request())
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from innovator_rl.errors import EngineError

FACTOR = 3.0
"""A response may take this many times as long as the longest one so far."""

TRIES = 2
"""Requests sent for one response before it counts as lost."""

SHORTEST_WAIT = 0.01
"""Seconds between two looks at a request while answers pause."""

T = TypeVar("T")


class RequestLost(EngineError):
    """A response that did not arrive within the limit."""


class Patience:
    """The limit of one process for the responses it waits for."""

    def __init__(self, floor_seconds: float) -> None:
        self.floor_seconds, self.longest = floor_seconds, 0.0
        self._paused_at: float | None = None
        self._paused = 0.0  # seconds of all pauses that are over

    def limit(self) -> float:
        """Return how long to wait for a response (seconds)."""
        return max(self.floor_seconds, FACTOR * self.longest)

    def pause(self, paused: bool) -> None:
        """Stop the clock of all requests, or let it go on."""
        now = time.monotonic()
        if self._paused_at is not None:
            self._paused += now - self._paused_at
        self._paused_at = now if paused else None

    def _now(self) -> float:
        """Return the seconds of a clock that stands still during pauses."""
        return (time.monotonic() if self._paused_at is None else self._paused_at) - self._paused

    async def attempt(self, request: Callable[[], Awaitable[T]], failed: Callable[[str], None] = lambda _: None) -> T:
        """Send a request, once more where it fails or does not return.

        Args:
            request: sends the request and waits for its response.
            failed: receives what happened to each request that brought nothing.

        Raises:
            Exception: what ended the last request; `RequestLost` where it did not return.
        """
        for left in reversed(range(TRIES)):
            try:
                return await self._wait(request())
            except Exception as error:
                failed(f"{type(error).__name__}: {error}")
                if not left:
                    raise
        raise AssertionError("unreachable: the last request returns or raises")

    async def _wait(self, request: Awaitable[T]) -> T:
        task, started = asyncio.ensure_future(request), self._now()
        try:
            while (left := self.limit() - (self._now() - started)) > 0:
                done, _ = await asyncio.wait({task}, timeout=max(left, SHORTEST_WAIT))
                if done:
                    self.longest = max(self.longest, self._now() - started)
                    return task.result()
        finally:
            task.cancel()
        raise RequestLost(f"no response within {self.limit():.0f} s")
