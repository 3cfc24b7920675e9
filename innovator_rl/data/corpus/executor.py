"""Run the tasks of a stage: in this process, in local processes, or on a Ray cluster.

Executors decide where a task runs and nothing else. What is complete is decided by the store of finished tasks, so
executors can be mixed and changed between two runs of one build.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from innovator_rl.data.corpus.manifest import TaskReport
from innovator_rl.data.corpus.optional import require
from innovator_rl.data.corpus.tasks import Task, run_task
from innovator_rl.errors import WorkerError


class Executor(Protocol):
    """Run independent tasks."""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskReport]]:
        """Yield (index, report) of each task as it finishes, in any order."""
        ...

    def close(self) -> None:
        """End what the executor started."""
        ...


class LocalExecutor:
    """Run tasks in this process (`workers` 1) or in local processes."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskReport]]:
        """Yield (index, report) of each task as it finishes."""
        if min(self.workers, len(tasks)) <= 1:
            for index, task in enumerate(tasks):
                yield index, run_task(task)
            return
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, context, _end_with_parent, (os.getpid(),))
        futures = {self._pool.submit(run_task, task): index for index, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            self._pool = None
            raise WorkerError(
                "a worker process of the build died (out of memory?): run the same command again, "
                "finished tasks are kept; fewer --workers need less memory"
            ) from None
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the worker processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _end_with_parent(parent: int) -> None:
    """End this worker when the build's process is gone, so that a killed build leaves no process behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class RayExecutor:
    """Run tasks on the Ray cluster of `address`; the store must be on storage that every node mounts."""

    def __init__(self, address: str | None = None, cpus_per_task: float = 1.0) -> None:
        self.address = address
        self.cpus_per_task = cpus_per_task

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, TaskReport]]:
        """Yield (index, report) of each task as it finishes."""
        ray = require("ray", "ray", "the executor `ray`")
        if not ray.is_initialized():
            ray.init(address=self.address, log_to_driver=False)
        remote = ray.remote(num_cpus=self.cpus_per_task)(run_task)
        waiting = {remote.remote(task): index for index, task in enumerate(tasks)}
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            for reference in done:
                yield waiting.pop(reference), ray.get(reference)

    def close(self) -> None:
        """Leave the connection to Ray open: it may be the caller's."""
