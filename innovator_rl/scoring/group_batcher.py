"""Collect the responses of a prompt for a rewarder that scores them together.

`GroupBatcher.score` waits until all `size` responses under a key have arrived, one by one, submits them to the pool
once, and returns to each caller its own score. A response that never arrives (its generation failed) must not hold up
the others: `patience` seconds after the latest arrival, the responses that did arrive are scored.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from innovator_rl.scoring.api import Score, ScoreRequest

GroupScorer = Callable[[ScoreRequest], Awaitable[list[Score]]]


@dataclasses.dataclass
class _Group:
    requests: list[ScoreRequest] = dataclasses.field(default_factory=list)
    futures: list[asyncio.Future[Score]] = dataclasses.field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class GroupBatcher:
    """Gather single requests into group requests, on one event loop."""

    def __init__(self, score_group: GroupScorer, patience: float = 300.0) -> None:
        """Collect groups for `score_group`; `patience` is in seconds."""
        self.score_group = score_group
        self.patience = patience
        self._groups: dict[str, _Group] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def score(self, key: str, size: int, request: ScoreRequest) -> Score:
        """Return the score of one response, once its group is complete.

        Args:
            key: The name of the group.
            size: The number of responses in the group.
            request: A request for this response alone.
        """
        loop = asyncio.get_running_loop()
        group = self._groups.setdefault(key, _Group())
        future: asyncio.Future[Score] = loop.create_future()
        group.requests.append(request)
        group.futures.append(future)
        if group.timer is not None:
            group.timer.cancel()
        if len(group.requests) >= size:
            self._submit(key)
        else:
            group.timer = loop.call_later(self.patience, self._submit, key)
        return await future

    def _submit(self, key: str) -> None:
        task = asyncio.get_running_loop().create_task(self._resolve(self._groups.pop(key)))
        self._running.add(task)  # the event loop keeps weak references only
        task.add_done_callback(self._running.discard)

    async def _resolve(self, group: _Group) -> None:
        whole = dataclasses.replace(group.requests[0], responses=tuple(request.response for request in group.requests))
        try:
            scores = await self.score_group(whole)
        except BaseException as error:  # no caller may be left waiting
            for future in group.futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, score in zip(group.futures, scores, strict=True):
            if not future.done():  # its caller gave up
                future.set_result(score)
