"""The scoring pool: responses in, scores out, whatever the rewarders do.

Each of `workers` lanes holds one warm keeper process and one disposable judge (see `judge.py`), with one request in
flight and its own socket, so that a judge which hangs, dies or writes rubbish costs its own response and no other. A
judge that dies by itself is an infrastructure failure and the response is tried once more; then its score is an
`error` with a reason. Nothing a response does raises.

    with ScoringPool(workers=2, timeout_seconds=10, memory_mb=2048) as pool:
        score = pool.score(ScoreRequest(rewarder="math", response="\\boxed{4}", answer="4"))

`ascore` is the same for asyncio; both may be mixed, from any thread, and inside a Ray actor: no multiprocessing, no
signal, no fork of the calling process.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import Score, ScoreRequest, error_score, wrong
from innovator_rl.scoring.lane import JudgeDied, Lane

logger = logging.getLogger(__name__)

MAX_RESPONSE_CHARS = 1_000_000
MAX_ANSWER_CHARS = 1_000_000


class ScoringPool:
    """Judges responses in killable processes. Close it, or use it as a context manager.

    `workers`: requests judged at the same time. `timeout_seconds`: the deadline of one call of a rewarder; waiting
    and importing do not count. `memory_mb`: address space of a judge in MiB, 0 for no cap. `code_isolation`: the level
    below which a rewarder refuses to run responses as programs. `warm`: rewarder names to import before the first
    request. `max_tasks`: requests after which a judge is replaced. `start_seconds`: how long starting a process or
    importing a rewarder may take. Raises `UserError` for settings that cannot work.
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
    ) -> None:
        for key, value in (("workers", workers), ("timeout_seconds", timeout_seconds), ("max_tasks", max_tasks)):
            if value <= 0:
                raise UserError(f"{key} must be above 0, got {value}")
        if memory_mb and memory_mb < 256:
            raise UserError(f"memory_mb must be 0 (no cap) or at least 256 MiB for Python itself, got {memory_mb}")
        self.workers = workers
        self.settings = {
            "timeout_seconds": float(timeout_seconds),
            "memory_mb": int(memory_mb),
            "code_isolation": str(code_isolation),
            "warm": sorted(set(warm)),
            "max_tasks": int(max_tasks),
        }
        self._start_seconds = start_seconds
        self._lanes: list[Lane] = []
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._complained: set[tuple[str, str]] = set()
        self._threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="scoring")

    def submit(self, request: ScoreRequest) -> Future[Score]:
        """Queue one request; the future never holds an exception of the response's making."""
        return self._threads.submit(self._judge, request)

    def score(self, request: ScoreRequest) -> Score:
        """Judge one response and wait for it."""
        return self.submit(request).result()

    async def ascore(self, request: ScoreRequest) -> Score:
        """Judge one response without blocking the event loop."""
        return await asyncio.wrap_future(self.submit(request))

    def map(self, requests: Sequence[ScoreRequest]) -> Iterator[Score]:
        """Judge many, in parallel; scores come in the order of the requests."""
        for future in [self.submit(request) for request in requests]:
            yield future.result()

    def close(self) -> None:
        """Finish what is in flight, drop what is queued, and end every process."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for lane in self._lanes:
                lane.close()
            self._lanes.clear()

    def __enter__(self) -> ScoringPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lane(self) -> Lane:
        lane: Lane | None = getattr(self._mine, "lane", None)
        if lane is None:
            lane = self._mine.lane = Lane(self.settings, self._start_seconds)
            with self._lock:
                self._lanes.append(lane)
        return lane

    def _judge(self, request: ScoreRequest) -> Score:
        if len(request.response) > MAX_RESPONSE_CHARS or len(request.answer) > MAX_ANSWER_CHARS:
            return wrong("too_long")
        lane = self._lane()
        lane.warm(request.rewarder)
        for attempt in (1, 2):
            try:
                score, detail = lane.run(request)
            except JudgeDied:
                if attempt == 2:
                    return self._complain(
                        request, error_score("crashed"), "its process died twice on the same response"
                    )
            except OSError as error:
                if attempt == 2:
                    return self._complain(request, error_score("engine_failed"), str(error))
            else:
                return self._complain(request, score, detail) if detail else score
        raise AssertionError("unreachable")

    def _complain(self, request: ScoreRequest, score: Score, detail: str) -> Score:
        """Log a failure the first time a rewarder shows it, so that a broken rewarder is loud and a bad sample is
        not.
        """
        with self._lock:
            new = (request.rewarder, score.reason) not in self._complained
            self._complained.add((request.rewarder, score.reason))
        if new:
            logger.warning(
                "rewarder %s: %s (%s); further ones are counted, not logged", request.rewarder, score.reason, detail
            )
        return score
