"""Run several sandboxes, one per worker thread, behind a bounded queue.

    with SandboxPool(workers=4) as pool:
        futures = [pool.submit(grade, program, tests, 8.0) for program in programs]

A task is any function that takes a `Sandbox` first. What it raises is in its future.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

from rewards.code.sandbox.executor import Sandbox

P = ParamSpec("P")
T = TypeVar("T")


class Full(Exception):
    """A queue that takes no more tasks."""


class SandboxPool:
    """A bounded queue of tasks, each run by a thread with a sandbox of its own.

    Args:
        workers: Programs that run at the same time; by default one per core.
        waiting: Tasks beyond those that may wait.
        packages: What programs may import, as for `Sandbox`.
    """

    def __init__(self, workers: int | None = None, waiting: int = 1024, packages: tuple[str, ...] = ()) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self.packages = packages
        self._slots = threading.BoundedSemaphore(self.workers + waiting)
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="sandbox")
        self._mine = threading.local()
        self._all: list[Sandbox] = []
        self._lock = threading.Lock()

    def submit(self, task: Callable[Concatenate[Sandbox, P], T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a task; raises `Full` where it cannot even wait."""
        if not self._slots.acquire(blocking=False):
            raise Full(f"{self.workers} programs run and no more may wait")
        return self._queue(task, *args, **kwargs)

    def map(self, task: Callable[[Sandbox, Any], T], items: Iterable[Any]) -> Iterator[T]:
        """Yield results in the order of `items`, taking no more than may run and wait."""
        waiting: deque[Future[T]] = deque()
        for item in items:
            while not self._slots.acquire(blocking=not waiting):
                yield waiting.popleft().result()
            waiting.append(self._queue(task, item))
        while waiting:
            yield waiting.popleft().result()

    def _queue(self, task: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        future = self._threads.submit(lambda: task(self._sandbox(), *args, **kwargs))
        future.add_done_callback(lambda _: self._slots.release())
        return future

    def _sandbox(self) -> Sandbox:
        sandbox: Sandbox | None = getattr(self._mine, "sandbox", None)
        if sandbox is None:
            sandbox = self._mine.sandbox = Sandbox(self.packages)
            with self._lock:
                self._all.append(sandbox)
        return sandbox

    def close(self) -> None:
        """Finish what runs, drop what waits, end every sandbox."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for sandbox in self._all:
            with contextlib.suppress(OSError):
                sandbox.close()

    def __enter__(self) -> SandboxPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
