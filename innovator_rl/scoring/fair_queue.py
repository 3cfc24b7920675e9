"""Queue score requests per rewarder, so that no rewarder starves another.

A slow domain (programs that run for seconds) must not hold up a fast one (integers), yet workers must not idle because
a domain has none of its own. So the pool's shared workers take whatever waits, from the rewarder with the fewest
requests in flight. Each rewarder also has one worker in reserve, which takes a request when the shared workers are all
busy and none of them serves that rewarder. Every queue therefore moves, at the cost of at most one process per
rewarder.

A rewarder with an async worker of its own (`async_worker.py`) is served by it alone, but for the requests that failed there.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

from innovator_rl.errors import WorkerError
from innovator_rl.scoring.api import ScoreRequest


class PoolClosed(WorkerError):
    """A request was submitted to a scoring pool that is closed."""


@dataclass(eq=False)
class QueuedRequest:
    """A request with the future of its result.

    `request=None` asks for a description of the rewarder.

    `failed_worker` is the worker that failed at it, which gets it again only where there is no other worker;
    `spent_seconds` is how long the failed call took, `failure` its reason.
    """

    rewarder: str
    request: ScoreRequest | None
    future: Future[Any] = field(default_factory=Future)
    failed_worker: object | None = None
    spent_seconds: float = 0.0
    failure: str = ""


class FairRequestQueue:
    """Thread-safe, bounded queues of requests, one per rewarder."""

    def __init__(self, limit: int, shared_workers: int) -> None:
        """Open the queues.

        Args:
            limit: The number of requests that may wait, all rewarders together.
            shared_workers: The number of workers that take requests of any rewarder.
        """
        self.limit = limit
        self.shared_workers = shared_workers
        self._queues: dict[str, deque[QueuedRequest]] = {}
        self._waiting = 0
        self._in_flight: Counter[str] = Counter()
        self._idle = shared_workers
        self._closed = False
        self._async: set[str] = set()
        self._changed = threading.Condition()

    def put(self, item: QueuedRequest, seconds: float | None = None) -> bool:
        """Add a request, waiting at most `seconds` while the queues are full.

        Returns:
            False when the queues stayed full.

        Raises:
            PoolClosed: The queues have been closed.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._waiting < self.limit, seconds):
                return False
            if self._closed:
                raise PoolClosed("the scoring pool is closed")
            self._queues.setdefault(item.rewarder, deque()).append(item)
            self._waiting += 1
            self._changed.notify_all()
        return True

    def take(self, worker: object, reserved_for: str | None = None) -> QueuedRequest | None:
        """Wait for the next request for a worker; return None once the queues are closed."""
        with self._changed:
            while not self._closed:
                queue = self._next_queue(worker) if reserved_for is None else self._starved(reserved_for)
                if queue:
                    return self._remove(queue, self._position(queue, worker) or 0, reserved_for)
                self._changed.wait()
        return None

    def open_async(self, rewarder: str) -> None:
        """Keep the first try of a rewarder's requests for its async worker."""
        with self._changed:
            self._async.add(rewarder)
            self._changed.notify_all()

    def take_for_async(self, async_worker: object, rewarder: str) -> QueuedRequest | None:
        """Wait for the next request for the async worker of a rewarder; return None once the queues are closed."""
        with self._changed:
            while not self._closed:
                queue = self._queues.get(rewarder, deque())
                position = next((i for i, item in enumerate(queue) if not _alone(item)), None)
                if position is not None:
                    return self._remove(queue, position, rewarder)
                self._changed.wait()
        return None

    def finish(self, item: QueuedRequest, reserved_for: str | None = None, *, failed_on: object | None = None) -> None:
        """Mark a worker as free.

        With `failed_on` the request returns to the head of its queue for another worker.
        """
        with self._changed:
            self._in_flight[item.rewarder] -= 1
            self._idle += reserved_for is None
            if failed_on is not None:
                item.failed_worker = failed_on
                if self._closed:
                    _cancel_pending(item)
                else:
                    self._queues.setdefault(item.rewarder, deque()).appendleft(item)
                    self._waiting += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse new requests and cancel those that wait."""
        with self._changed:
            self._closed = True
            for queue in self._queues.values():
                for item in queue:
                    _cancel_pending(item)
            self._queues.clear()
            self._changed.notify_all()

    def _next_queue(self, worker: object) -> deque[QueuedRequest] | None:
        """Return the queue whose rewarder has the fewest requests in flight.

        `min` keeps the first of equals, and `_remove` moves a served queue to the end of the dictionary: among equals
        the queue that was served longest ago comes first.
        """
        eligible = [name for name, queue in self._queues.items() if self._position(queue, worker) is not None]
        return self._queues[min(eligible, key=lambda name: self._in_flight[name])] if eligible else None

    def _starved(self, name: str) -> deque[QueuedRequest] | None:
        """Return a rewarder's queue that no idle shared worker and no worker serves."""
        if self._idle > 0 or self._in_flight[name] or name in self._async:
            return None
        return self._queues.get(name)

    def _position(self, queue: deque[QueuedRequest], worker: object) -> int | None:
        """Return the position of the first request at which this worker has not failed."""
        alone = self.shared_workers == 1
        return next(
            (
                i
                for i, item in enumerate(queue)
                if (alone or item.failed_worker is not worker) and (_alone(item) or item.rewarder not in self._async)
            ),
            None,
        )

    def _remove(self, queue: deque[QueuedRequest], position: int, reserved_for: str | None) -> QueuedRequest:
        item = queue[position]
        del queue[position]
        rest = self._queues.pop(item.rewarder)
        if rest:
            self._queues[item.rewarder] = rest  # served last, so last among equals
        self._waiting -= 1
        self._in_flight[item.rewarder] += 1
        self._idle -= reserved_for is None
        self._changed.notify_all()
        return item


def _alone(item: QueuedRequest) -> bool:
    """Return whether a request needs a worker for itself: a description, or a second try."""
    return item.request is None or item.failed_worker is not None


def _cancel_pending(item: QueuedRequest) -> None:
    """End a wait for good.

    A future that was tried once is running and cannot be canceled.
    """
    if not item.future.cancel():
        item.future.set_exception(CancelledError())
