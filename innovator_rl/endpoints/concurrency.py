"""Work through many items with a fixed number in flight, in constant memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def map_bounded(
    work: Callable[[Item], Awaitable[Result]], items: Iterable[Item], limit: int
) -> AsyncGenerator[Result, None]:
    """Yield the results of `work` as they complete; the next item is taken when one is done.

    Iterate inside `contextlib.aclosing(...)` where the iteration may end early.

    Args:
        work: Called once per item. An exception ends the iteration, and what is in flight is canceled.
        items: Taken one at a time.
        limit: Items in flight, at least 1.
    """
    waiting = iter(items)
    running: set[asyncio.Future[Result]] = set()
    try:
        while True:
            while len(running) < limit and (item := next(waiting, _END)) is not _END:
                running.add(asyncio.ensure_future(work(item)))  # type: ignore[arg-type]
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


_END = object()
