"""Responses of a prompt arrive one by one; a group rewarder wants them together.

`GroupBatcher.score` waits until all `size` responses under a key have come, asks the pool once, and gives each its own
score. A response that never comes (its generation failed) must not hold up the others for ever: `patience` seconds
after the latest arrival, those that are there are judged.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from innovator_rl.scoring.api import Score, ScoreRequest

RewardWorker = Callable[[ScoreRequest], Awaitable[list[Score]]]


@dataclasses.dataclass
class _Group:
    requests: list[ScoreRequest] = dataclasses.field(default_factory=list)
    futures: list[asyncio.Future[Score]] = dataclasses.field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class GroupBatcher:
    """Gathers single requests into group requests, on one event loop."""

    def __init__(self, judge: RewardWorker, patience: float = 300.0) -> None:
        self.judge = judge
        self.patience = patience
        self._groups: dict[str, _Group] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def score(self, key: str, size: int, request: ScoreRequest) -> Score:
        """The score of one response, once the group `key` of `size` responses is complete."""
        loop = asyncio.get_running_loop()
        group = self._groups.setdefault(key, _Group())
        future: asyncio.Future[Score] = loop.create_future()
        group.requests.append(request)
        group.futures.append(future)
        if group.timer is not None:
            group.timer.cancel()
        if len(group.requests) >= size:
            self._close(key)
        else:
            group.timer = loop.call_later(self.patience, self._close, key)
        return await future

    def _close(self, key: str) -> None:
        task = asyncio.get_running_loop().create_task(self._ask(self._groups.pop(key)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _ask(self, group: _Group) -> None:
        whole = dataclasses.replace(group.requests[0], responses=tuple(request.response for request in group.requests))
        try:
            scores = await self.judge(whole)
        except BaseException as error:  # nobody may be left waiting
            for future in group.futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, score in zip(group.futures, scores, strict=True):
            if not future.done():  # its caller gave up
                future.set_result(score)
