"""Limit requests: a token bucket for the rate, and a budget that ends the work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class TokenBucket:
    """A rate limit that lets a burst of one second through and then holds the rate.

    Args:
        per_minute: Units per minute; None lets everything through.
        clock: A monotonic clock in seconds.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        per_minute: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = per_minute / 60 if per_minute else None
        self._capacity = max(1.0, self._rate or 0.0)
        self._level = self._capacity
        self._clock, self._sleep = clock, sleep
        self._seen = clock()
        self._not_before = self._seen
        self._turn = asyncio.Lock()  # first come, first served

    def pause(self, seconds: float) -> None:
        """Let nothing through for some seconds, because the endpoint asked for it."""
        self._not_before = max(self._not_before, self._clock() + seconds)

    async def acquire(self, units: float = 1.0) -> None:
        """Wait until `units` may pass. The level may fall below zero, which the next ones wait for."""
        async with self._turn:
            while True:
                wait = self._wait()
                if wait <= 0:
                    break
                await self._sleep(wait)
            if self._rate is not None:
                self._level -= units

    def _wait(self) -> float:
        now = self._clock()
        paused = self._not_before - now
        if self._rate is None:
            return paused
        self._level = min(self._capacity, self._level + (now - self._seen) * self._rate)
        self._seen = now
        needed = min(1.0, self._capacity)
        return max(paused, (needed - self._level) / self._rate if self._level < needed - 1e-9 else 0.0)


class Budget:
    """Requests and tokens that may be used, over all clients that share it.

    A request reserves its largest possible use before it is sent, so that the budget is never exceeded by what is in
    flight, as far as the estimate of prompt tokens holds.

    Args:
        max_requests: Requests, retries included; None has no limit.
        max_tokens: Prompt and response tokens; None has no limit.
    """

    def __init__(self, max_requests: int | None = None, max_tokens: int | None = None) -> None:
        self.max_requests, self.max_tokens = max_requests, max_tokens
        self.requests = 0
        self.tokens = 0
        self.reserved = 0
        self.exhausted = False

    def reserve(self, tokens: int) -> bool:
        """Reserve one request of at most `tokens`; False where the budget does not hold it."""
        over_requests = self.max_requests is not None and self.requests >= self.max_requests
        over_tokens = self.max_tokens is not None and self.tokens + self.reserved + tokens > self.max_tokens
        if over_requests or over_tokens:
            self.exhausted = True
            return False
        self.requests += 1
        self.reserved += tokens
        return True

    def settle(self, reserved: int, used: int) -> None:
        """Replace a reservation by the tokens that were used."""
        self.reserved -= reserved
        self.tokens += used

    def describe(self) -> str:
        """Return the use in words, for messages."""
        requests = f"{self.requests}{f' of {self.max_requests}' if self.max_requests is not None else ''} requests"
        return f"{requests}, {self.tokens}{f' of {self.max_tokens}' if self.max_tokens is not None else ''} tokens"
