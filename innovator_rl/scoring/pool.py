"""Score responses in worker processes that can be killed.

Each of `workers` handles owns one warm fork server and one disposable worker process (see `worker.py`), with one
request in flight and its own socket. A worker that hangs, dies or writes rubbish costs its own response and no other.
Nothing that a response does raises an exception. A failure that says nothing about the response (a crash, an exception,
memory) is tried once more on another worker, within what is left of its deadline; then the score is an `error` with its
reason.

    with ScoringPool(workers=2, timeout_seconds=10, memory_mb=2048) as pool:
        score = pool.score(ScoreRequest(rewarder="math", response="4", answer="4"))

`ascore` is the same for asyncio. Both may be mixed, from any thread, and inside a Ray actor: the pool uses no
multiprocessing, no signal, and never forks the calling process. The queue is bounded: while it is full `submit` blocks
and `ascore` waits.

Why not a process-pool library: one dead worker breaks `concurrent.futures` for good. pebble kills and restarts workers,
but it notices a worker that exits quietly only at the request's deadline, breaks when an idle worker dies, and imports
the science libraries again for each restart (seconds where a fork of a warm server takes milliseconds). It also pickles
results, which a rewarder's SymPy object must never be.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import ERROR_REASONS, FINAL_ERRORS, Score, ScoreRequest, error_score, too_long, wrong
from innovator_rl.scoring.async_worker import AsyncWorker
from innovator_rl.scoring.fair_queue import FairRequestQueue, QueuedRequest
from innovator_rl.scoring.worker_process import WorkerDied, WorkerHandle

logger = logging.getLogger(__name__)

MAX_RESERVES = 16
FULL_QUEUE_POLL_SECONDS = 0.02
MIN_RETRY_SECONDS = 0.05


class ScoringPool:
    """A pool of reward workers; close it, or use it as a context manager."""

    def __init__(
        self,
        workers: int = 2,
        timeout_seconds: float = 10.0,
        memory_mb: int = 2048,
        *,
        code_isolation: str = "standard",
        warm: Iterable[str] = (),
        max_tasks: int = 1000,
        start_seconds: float = 120.0,
        max_waiting: int = 4096,
    ) -> None:
        """Configure the pool; its processes start at the first request.

        Args:
            workers: Requests scored at the same time, not counting a busy pool's reserve of one worker per rewarder.
            timeout_seconds: The deadline of one call of a rewarder; waiting and importing do not count.
            memory_mb: The address space of a worker in MiB; 0 for no cap.
            code_isolation: The level below which a rewarder refuses to run responses as programs.
            warm: Rewarder names to import before the first request.
            max_tasks: Requests after which a worker is replaced.
            start_seconds: How long starting a process or importing a rewarder may take.
            max_waiting: Requests that may wait.

        Raises:
            UserError: A setting cannot work.
        """
        for key, value in (
            ("workers", workers),
            ("timeout_seconds", timeout_seconds),
            ("max_tasks", max_tasks),
            ("max_waiting", max_waiting),
        ):
            if value <= 0:
                raise UserError(f"{key} must be above 0, got {value}")
        if memory_mb and memory_mb < 256:
            raise UserError(f"memory_mb must be 0 (no cap) or at least 256 MiB for Python itself, got {memory_mb}")
        self.workers = workers
        self.settings: dict[str, Any] = {
            "timeout_seconds": float(timeout_seconds),
            "memory_mb": int(memory_mb),
            "code_isolation": str(code_isolation),
            "warm": sorted(set(warm)),
            "max_tasks": int(max_tasks),
        }
        self._start_seconds = start_seconds
        self._queue = FairRequestQueue(max_waiting, workers)
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._handles: list[WorkerHandle] = []
        self._warned: set[tuple[str, str]] = set()

    def submit(self, request: ScoreRequest) -> Future[Score]:
        """Queue one response, waiting while the queue is full.

        Returns:
            A future whose result is always a score: no exception of a rewarder reaches it.
        """
        assert not request.responses, "a group goes to submit_group"
        return self._submit(QueuedRequest(request.rewarder, request))

    def submit_group(self, request: ScoreRequest) -> Future[list[Score]]:
        """Queue all `responses` of a prompt for a group rewarder.

        Returns:
            A future with their scores in the same order.
        """
        assert request.responses, "a group has responses"
        return self._submit(QueuedRequest(request.rewarder, request))

    def score(self, request: ScoreRequest) -> Score:
        """Score one response and wait for the result."""
        return self.submit(request).result()

    async def ascore(self, request: ScoreRequest) -> Score:
        """Score one response without blocking the event loop."""
        return await self._asubmit(QueuedRequest(request.rewarder, request))  # type: ignore[no-any-return]

    async def ascore_group(self, request: ScoreRequest) -> list[Score]:
        """Score a group without blocking the event loop."""
        return await self._asubmit(QueuedRequest(request.rewarder, request))  # type: ignore[no-any-return]

    def map(self, requests: Iterable[ScoreRequest]) -> Iterator[Score]:
        """Score many responses in parallel, with a bounded number in flight.

        A request with `responses` is scored as a group, and gives the score of its `response` among them.

        Yields:
            The scores in the order of the requests.
        """
        waiting: deque[tuple[ScoreRequest, Future[Any]]] = deque()
        for request in requests:
            waiting.append((request, self.submit_group(request) if request.responses else self.submit(request)))
            if len(waiting) >= 64 * self.workers:
                yield _own_score(*waiting.popleft())
        while waiting:
            yield _own_score(*waiting.popleft())

    def describe(self, name: str) -> dict[str, Any]:
        """Load a rewarder in a worker and describe it.

        Returns:
            `problem` (empty when it loads), `version`, `arguments`, `group` (whether it scores groups) and `source`.
        """
        return self._submit(QueuedRequest(name, None)).result()  # type: ignore[no-any-return]

    async def adescribe(self, name: str) -> dict[str, Any]:
        """Describe a rewarder without blocking the event loop."""
        return await self._asubmit(QueuedRequest(name, None))  # type: ignore[no-any-return]

    def worker_pids(self) -> list[int]:
        """Return the process ids of the live workers, for fault injection."""
        return [handle.worker_pid for handle in list(self._handles) if handle.worker_pid is not None]

    def close(self) -> None:
        """Finish what is in flight, drop what is queued, and end every process."""
        self._queue.close()
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()

    def __enter__(self) -> ScoringPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, item: QueuedRequest) -> Future[Any]:
        self._start_threads(item.rewarder)
        self._queue.put(item)
        return item.future

    async def _asubmit(self, item: QueuedRequest) -> Any:
        self._start_threads(item.rewarder)
        while not self._queue.put(item, 0):
            await asyncio.sleep(FULL_QUEUE_POLL_SECONDS)
        return await asyncio.wrap_future(item.future)

    def _start_threads(self, rewarder: str) -> None:
        """Start the threads of the shared workers and of this rewarder's reserve.

        Their processes start at their first request.
        """
        key = f"reserve {rewarder}"
        if key in self._threads:
            return
        with self._lock:
            wanted: dict[str, str | None] = {f"shared {number}": None for number in range(self.workers)}
            if len(self._threads) < self.workers + MAX_RESERVES:
                wanted[key] = rewarder
            for name, reserved_for in wanted.items():
                if name not in self._threads:
                    # Daemons: an interpreter that ends without close() must not wait for them; their processes notice.
                    thread = threading.Thread(
                        target=self._serve, args=(reserved_for,), name=f"scoring {name}", daemon=True
                    )
                    self._threads[name] = thread
                    thread.start()

    def _open_async_worker(self, rewarder: str, in_flight: int) -> None:
        """Serve an async rewarder's requests in one process from now on, `in_flight` at a time."""
        key = f"async {rewarder}"
        with self._lock:
            if key in self._threads or len(self._threads) >= self.workers + MAX_RESERVES:
                return
            handle = WorkerHandle({**self.settings, "warm": [rewarder]}, self._start_seconds)
            async_worker = AsyncWorker(rewarder, in_flight, self._queue, handle, self._settle)
            self._handles.append(handle)
            self._queue.open_async(rewarder)
            self._threads[key] = threading.Thread(target=async_worker.serve, name=f"scoring {key}", daemon=True)
            self._threads[key].start()

    def _settle(self, item: QueuedRequest, scores: list[Score], detail: str) -> tuple[Any, bool]:
        """Return the result for a request's future, and whether to try again, of scores that a worker returned."""
        retry = any(score.outcome == "error" and score.reason not in FINAL_ERRORS for score in scores)
        return self._result(item, scores, detail, retry)

    def _serve(self, reserved_for: str | None) -> None:
        """Serve requests with one worker handle until the queue is closed.

        The body of a thread.
        """
        warm = self.settings["warm"] if reserved_for is None else [reserved_for]
        handle = WorkerHandle({**self.settings, "warm": warm}, self._start_seconds, self._open_async_worker)
        self._handles.append(handle)
        try:
            while (item := self._queue.take(handle, reserved_for)) is not None:
                # A request that failed once is running already; only a new one can have been canceled by its caller.
                if item.failed_worker is None and not item.future.set_running_or_notify_cancel():
                    self._queue.finish(item, reserved_for)
                    continue
                result, retry = self._run(handle, item)
                # The worker is marked as free before the future resolves, so that a caller who then submits another
                # request finds it idle.
                self._queue.finish(item, reserved_for, failed_on=handle if retry else None)
                if not retry:
                    item.future.set_result(result)
        finally:
            handle.close()

    def _run(self, handle: WorkerHandle, item: QueuedRequest) -> tuple[Any, bool]:
        """Return the result for a request's future, and whether to try again.

        The second try is on another worker.
        """
        handle.warm(item.rewarder)
        try:
            if item.request is None:
                return handle.describe(item.rewarder), False
            if too_long(item.request):
                scores, detail = [wrong("too_long")] * item.request.size, ""
            else:
                scores, detail = handle.run(item.request, self._seconds_left(item))
        except WorkerDied as died:
            item.spent_seconds += died.seconds
            reason, detail = "crashed", "its process died"
        except OSError as error:
            reason, detail = "engine_failed", str(error)
        except Exception as error:  # a defect of the engine must not cost the thread
            logger.exception("scoring worker")
            reason, detail = "engine_failed", repr(error)
        else:
            return self._settle(item, scores, detail)
        if item.request is None:
            return {"problem": detail}, item.failed_worker is None
        return self._result(item, [error_score(reason)] * item.request.size, detail, True)

    def _seconds_left(self, item: QueuedRequest) -> float:
        """Return what the first try left of the deadline.

        Both tries together take at most one.
        """
        return max(self.settings["timeout_seconds"] - item.spent_seconds, MIN_RETRY_SECONDS)

    def _result(self, item: QueuedRequest, scores: list[Score], detail: str, retry: bool) -> tuple[Any, bool]:
        assert item.request is not None
        if retry and item.failed_worker is None:
            item.spent_seconds += sum(score.seconds for score in scores)
            item.failure = scores[0].reason
            return None, True
        if item.failure in ERROR_REASONS and scores[0].reason == "timeout" and item.spent_seconds > 0:
            # The second try had too little of the deadline left to show more than the first one did.
            scores = [error_score(item.failure, item.spent_seconds)] * len(scores)
        if detail:
            twice = ", twice on the same response" if retry else ""
            self._warn_once(item.rewarder, scores[0].reason, detail + twice)
        return (scores if item.request.responses else scores[0]), False

    def _warn_once(self, rewarder: str, reason: str, detail: str) -> None:
        """Log a failure the first time a rewarder shows it.

        A broken rewarder is loud, a bad sample is not.
        """
        with self._lock:
            new = (rewarder, reason) not in self._warned
            self._warned.add((rewarder, reason))
        if new:
            logger.warning("rewarder %s: %s (%s); further ones are counted, not logged", rewarder, reason, detail)


def _own_score(request: ScoreRequest, future: Future[Any]) -> Score:
    result = future.result()
    return result[request.responses.index(request.response)] if request.responses else result  # type: ignore[no-any-return]
