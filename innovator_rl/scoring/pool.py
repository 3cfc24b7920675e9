"""The scoring pool: responses in, scores out, whatever the rewarders do.

Each of `workers` lanes holds one warm keeper process and one disposable judge (see `judge.py`), with one request in
flight and its own socket, so that a judge which hangs, dies or writes rubbish costs its own response and no other.
Nothing a response does raises. A failure that says nothing about the response (a crash, an exception, memory) is
tried once more on another lane, within what is left of its deadline; then the score is an `error` with its reason.

    with ScoringPool(workers=2, timeout_seconds=10, memory_mb=2048) as pool:
        score = pool.score(ScoreRequest(rewarder="math", response="\\boxed{4}", answer="4"))

`ascore` is the same for asyncio; both may be mixed, from any thread, and inside a Ray actor: no multiprocessing, no
signal, no fork of the calling process. What waits is bounded: `submit` blocks, and `ascore` waits, while the room is
full.

Why not a process-pool library: `concurrent.futures` is broken for good by one dead worker; pebble kills and respawns,
but notices a worker that exits quietly only at the task's deadline, is broken by an idle worker's death, takes a fresh
import of the science libraries for each respawn (seconds where a fork of a warm keeper takes milliseconds), and
pickles results, which a rewarder's SymPy object must never be.
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
from innovator_rl.scoring.api import ERROR_REASONS, FINAL_ERRORS, Score, ScoreRequest, error_score, wrong
from innovator_rl.scoring.fair_queue import FairRequestQueue, Task
from innovator_rl.scoring.worker_process import WorkerDied, WorkerHandle

logger = logging.getLogger(__name__)

MAX_RESPONSE_CHARS = 1_000_000
MAX_ANSWER_CHARS = 1_000_000
MAX_RESERVES = 16
FULL_ROOM_POLL_SECONDS = 0.02
MIN_RETRY_SECONDS = 0.05


class ScoringPool:
    """Judges responses in killable processes. Close it, or use it as a context manager.

    `workers`: requests judged at the same time, not counting a busy pool's reserve of one lane a rewarder.
    `timeout_seconds`: the deadline of one call of a rewarder; waiting and importing do not count. `memory_mb`: address
    space of a judge in MiB, 0 for no cap. `code_isolation`: the level below which a rewarder refuses to run responses as programs. `warm`:
    rewarder names to import before the first request. `max_tasks`: requests after which a judge is replaced.
    `start_seconds`: how long starting a process or importing a rewarder may take. `max_waiting`: requests that may
    wait. Raises `UserError` for settings that cannot work.
    """

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
        self._room = FairRequestQueue(max_waiting, workers)
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._lanes: list[WorkerHandle] = []
        self._complained: set[tuple[str, str]] = set()

    def submit(self, request: ScoreRequest) -> Future[Score]:
        """Queue one response, waiting while the queue is full; the future never holds an exception of the response's
        making.
        """
        assert not request.responses, "a group goes to submit_group"
        return self._submit(Task(request.rewarder, request))

    def submit_group(self, request: ScoreRequest) -> Future[list[Score]]:
        """Queue all `responses` of a prompt for a rewarder that compares them: one score each, in their order."""
        assert request.responses, "a group has responses"
        return self._submit(Task(request.rewarder, request))

    def score(self, request: ScoreRequest) -> Score:
        """Judge one response and wait for it."""
        return self.submit(request).result()

    async def ascore(self, request: ScoreRequest) -> Score:
        """Judge one response without blocking the event loop."""
        return await self._asubmit(Task(request.rewarder, request))  # type: ignore[no-any-return]

    async def ascore_group(self, request: ScoreRequest) -> list[Score]:
        """Judge a group without blocking the event loop."""
        return await self._asubmit(Task(request.rewarder, request))  # type: ignore[no-any-return]

    def map(self, requests: Iterable[ScoreRequest]) -> Iterator[Score]:
        """Judge many, in parallel and with a bounded number in flight; scores come in the order of the requests."""
        waiting: deque[Future[Score]] = deque()
        for request in requests:
            waiting.append(self.submit(request))
            if len(waiting) >= 64 * self.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def describe(self, name: str) -> dict[str, Any]:
        """Load a rewarder in a judge and say what it is: `problem` (empty: none), `version`, `arguments`, `group`,
        `source`.
        """
        return self._submit(Task(name, None)).result()  # type: ignore[no-any-return]

    async def adescribe(self, name: str) -> dict[str, Any]:
        """`describe` without blocking the event loop."""
        return await self._asubmit(Task(name, None))  # type: ignore[no-any-return]

    def judges(self) -> list[int]:
        """The process ids of the judges that are alive, for those who want to see what a killed one costs."""
        return [lane.worker_pid for lane in list(self._lanes) if lane.worker_pid is not None]

    def close(self) -> None:
        """Finish what is in flight, drop what is queued, and end every process."""
        self._room.close()
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

    def _submit(self, task: Task) -> Future[Any]:
        self._open_lanes(task.rewarder)
        self._room.put(task)
        return task.future

    async def _asubmit(self, task: Task) -> Any:
        self._open_lanes(task.rewarder)
        while not self._room.put(task, 0):
            await asyncio.sleep(FULL_ROOM_POLL_SECONDS)
        return await asyncio.wrap_future(task.future)

    def _open_lanes(self, rewarder: str) -> None:
        """Start the threads of the shared lanes and of this rewarder's reserve; their processes start at their first
        request.
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
                    # daemons: an interpreter that ends without close() must not wait for them; their processes see it
                    thread = threading.Thread(
                        target=self._work, args=(reserved_for,), name=f"scoring {name}", daemon=True
                    )
                    self._threads[name] = thread
                    thread.start()

    def _work(self, reserved_for: str | None) -> None:
        """A lane's life: take, judge, answer, until the room is closed."""
        warm = self.settings["warm"] if reserved_for is None else [reserved_for]
        lane = WorkerHandle({**self.settings, "warm": warm}, self._start_seconds)
        self._lanes.append(lane)
        try:
            while (task := self._room.take(lane, reserved_for)) is not None:
                if task.failed_worker is None and not task.future.set_running_or_notify_cancel():
                    self._room.finish(task, reserved_for)
                    continue
                result, again = self._serve(lane, task)
                self._room.finish(task, reserved_for, failed_on=lane if again else None)
                if not again:
                    task.future.set_result(result)
        finally:
            lane.close()

    def _serve(self, lane: WorkerHandle, task: Task) -> tuple[Any, bool]:
        """What the task's future gets, and whether the task should rather be tried again elsewhere."""
        lane.warm(task.rewarder)
        try:
            if task.request is None:
                return lane.describe(task.rewarder), False
            if _too_long(task.request):
                scores, detail = [wrong("too_long")] * task.request.size, ""
            else:
                scores, detail = lane.run(task.request, self._left(task))
        except WorkerDied as died:
            task.spent += died.seconds
            reason, detail = "crashed", "its process died"
        except OSError as error:
            reason, detail = "engine_failed", str(error)
        except Exception as error:  # a defect of the engine must not cost the lane
            logger.exception("scoring lane")
            reason, detail = "engine_failed", repr(error)
        else:
            again = any(score.outcome == "error" and score.reason not in FINAL_ERRORS for score in scores)
            return self._settle(task, scores, detail, again)
        if task.request is None:
            return {"problem": detail}, task.failed_worker is None
        return self._settle(task, [error_score(reason)] * task.request.size, detail, True)

    def _left(self, task: Task) -> float:
        """What the first try has left of the deadline: both together take one, so that faults cost no more than that."""
        return max(self.settings["timeout_seconds"] - task.spent, MIN_RETRY_SECONDS)

    def _settle(self, task: Task, scores: list[Score], detail: str, again: bool) -> tuple[Any, bool]:
        assert task.request is not None
        if again and task.failed_worker is None:
            task.spent += sum(score.seconds for score in scores)
            task.failure = scores[0].reason
            return None, True
        if task.failure in ERROR_REASONS and scores[0].reason == "timeout" and task.spent > 0:
            scores = [error_score(task.failure, task.spent)] * len(
                scores
            )  # what it had left was too short to tell more
        if detail:
            self._complain(task.rewarder, scores[0].reason, detail + (", twice on the same response" if again else ""))
        return (scores if task.request.responses else scores[0]), False

    def _complain(self, rewarder: str, reason: str, detail: str) -> None:
        """Log a failure the first time a rewarder shows it, so that a broken rewarder is loud and a bad sample is
        not.
        """
        with self._lock:
            new = (rewarder, reason) not in self._complained
            self._complained.add((rewarder, reason))
        if new:
            logger.warning("rewarder %s: %s (%s); further ones are counted, not logged", rewarder, reason, detail)


def _too_long(request: ScoreRequest) -> bool:
    """Whether a text is beyond what any rewarder gets to see."""
    longest = max((len(response) for response in request.responses), default=len(request.response))
    return longest > MAX_RESPONSE_CHARS or len(request.answer) > MAX_ANSWER_CHARS
