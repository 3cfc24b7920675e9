"""Serve an async rewarder in one process with many requests in flight.

A rewarder that asks a service waits most of its time, so a worker with one request in flight would idle. The pool opens
an async worker for it: a worker process of its own with one event loop, up to `in_flight` requests on it, and replies in the
order in which they finish.

A call that waits too long is canceled inside the worker at its deadline and costs nobody else anything. Where the
worker does not even answer (a call blocks the event loop) it is killed. Nobody knows then which call was to blame:
everything that was in flight goes back to the queue for a second try in a worker for itself, with its whole deadline.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import Callable
from typing import Any

from innovator_rl.errors import WorkerError
from innovator_rl.scoring import wire
from innovator_rl.scoring.api import Score, abstain, too_long, wrong
from innovator_rl.scoring.fair_queue import FairRequestQueue, QueuedRequest
from innovator_rl.scoring.worker_process import WorkerHandle

logger = logging.getLogger(__name__)

GRACE_SECONDS = 1.0  # between a call's deadline, when the worker cancels it, and the end of the worker's patience
Settle = Callable[[QueuedRequest, list[Score], str], tuple[Any, bool]]


@dataclasses.dataclass(eq=False)
class _Session:
    """One worker process: its connection, the replies that are awaited, and the requests that it got."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    call_seconds: float
    waiting: dict[int, asyncio.Future[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    sent: int = 0
    full: bool = False
    lost: bool = False
    listener: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Hand each reply to its caller until the worker is gone; then nobody waits any longer."""
        try:
            while True:
                message = await wire.areceive(self.reader)
                reply = self.waiting.get(message["number"])
                if reply is not None and not reply.done():
                    reply.set_result(message)
        except (wire.ConnectionLost, KeyError):
            self.drop()

    def drop(self) -> None:
        """Hang up, and fail everything that is in flight."""
        self.lost = True
        self.writer.close()
        for reply in self.waiting.values():
            if not reply.done():
                reply.set_exception(wire.ConnectionLost())


class AsyncWorker:
    """The async worker of one async rewarder; `serve` is the body of its thread."""

    def __init__(
        self, rewarder: str, in_flight: int, queue: FairRequestQueue, handle: WorkerHandle, settle: Settle
    ) -> None:
        """Prepare an async worker.

        Args:
            rewarder: The name of the rewarder.
            in_flight: Requests at the same time.
            queue: The queue that gives requests, and takes back those that failed.
            handle: Starts and kills the worker.
            settle: Turns scores into the result of a request and whether to try again.
        """
        self.rewarder = rewarder
        self.in_flight = in_flight
        self.queue = queue
        self.handle = handle
        self.settle = settle
        self._numbers = itertools.count()
        self._session: _Session | None = None

    def serve(self) -> None:
        """Serve requests until the queue is closed and the last one is answered."""
        try:
            asyncio.run(self._serve())
        finally:
            self.handle.close()

    async def _serve(self) -> None:
        self._opening = asyncio.Lock()
        slots = asyncio.Semaphore(self.in_flight)
        running: set[asyncio.Task[None]] = set()
        while True:
            await slots.acquire()
            item = await asyncio.to_thread(self.queue.take_for_async, self, self.rewarder)
            if item is None:
                break
            if not item.future.set_running_or_notify_cancel():
                self.queue.finish(item, self.rewarder)
                slots.release()
                continue
            task = asyncio.create_task(self._score(item))
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(lambda _: slots.release())
        if running:
            await asyncio.wait(running)
        if self._session is not None:
            self._session.drop()

    async def _score(self, item: QueuedRequest) -> None:
        """Score one request; every path ends with its future resolved or with the request back in the queue."""
        try:
            result, retry = await self._result(item)
        except (WorkerError, OSError):
            result, retry = None, True  # why it failed shows in the second try, which has a worker for itself
        except Exception:  # a defect of the engine must not cost the async worker
            logger.exception("async worker")
            result, retry = None, True
        self.queue.finish(item, self.rewarder, failed_on=self if retry else None)
        if not retry:
            item.future.set_result(result)

    async def _result(self, item: QueuedRequest) -> tuple[Any, bool]:
        request = item.request
        assert request is not None
        if too_long(request):
            return self.settle(item, [wrong("too_long")] * request.size, "")
        number = next(self._numbers)
        session = await self._current()
        seconds = max(self.handle.settings["timeout_seconds"], session.call_seconds)
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        session.waiting[number] = reply
        try:
            session.writer.write(wire.pack({"number": number, "seconds": seconds, "request": request.to_dict()}))
            message = await asyncio.wait_for(reply, seconds + GRACE_SECONDS)
        except (TypeError, ValueError) as error:
            return self.settle(item, [abstain("bad_info")] * request.size, f"info is not JSON data: {error}"[:200])
        except TimeoutError as error:
            if not session.lost:  # else the handle may have a new worker by now
                session.drop()
                self.handle.kill_worker()
            raise wire.ConnectionLost("the event loop is blocked") from error
        finally:
            session.waiting.pop(number, None)
        scores = [Score.from_dict(fields) for fields in message["scores"]]
        session.full |= scores[0].reason == "memory"
        return self.settle(item, scores, str(message.get("detail", "")))

    async def _current(self) -> _Session:
        """Return the session for the next request; a worn-out worker is replaced once it has answered everything."""
        async with self._opening:
            session = self._session
            if session is not None and not session.lost and (session.full or session.sent >= self._max_tasks):
                await asyncio.gather(*session.waiting.values(), return_exceptions=True)
                session.drop()
                self.handle.drop_worker()
            if session is None or session.lost:
                connection, call_seconds = await asyncio.to_thread(self.handle.open_async, self.rewarder)
                reader, writer = await asyncio.open_connection(sock=connection)
                session = self._session = _Session(reader, writer, call_seconds)
                session.listener = asyncio.create_task(session.listen())
            session.sent += 1
            return session

    @property
    def _max_tasks(self) -> int:
        return int(self.handle.settings["max_tasks"])
