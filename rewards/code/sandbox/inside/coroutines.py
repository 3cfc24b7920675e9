"""Run to its end what one side awaits and the other computes.

A coroutine of the other side runs there, in a loop of that side, while this side waits: a check that gathers several
gets their results one after the other.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

_loops: list[Any] = []
_depth = [0]


def complete(awaitable: Any) -> Any:
    """Return the result of an awaitable, also from inside a loop that runs."""
    asyncio: Any = importlib.import_module("asyncio")  # here: most programs need none of it
    if _depth[0] == len(_loops):
        _loops.append(asyncio.new_event_loop())
    loop = _loops[_depth[0]]
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    _depth[0] += 1
    try:
        return loop.run_until_complete(_awaited(awaitable))
    finally:
        _depth[0] -= 1
        asyncio._set_running_loop(outer)


def settled(value: Any) -> Any:
    """Return the result of an awaitable, the items of an asynchronous iterator one by one, and any other value as it is."""
    if hasattr(type(value), "__await__"):
        return complete(value)
    return _items(value.__aiter__()) if hasattr(type(value), "__aiter__") else value


def _items(iterator: Any) -> Iterator[Any]:
    while True:
        item, ended = following(iterator)
        if ended:
            return
        yield item


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def following(iterator: Any) -> list[Any]:
    """Return [what an asynchronous iterator gives next, whether it has ended]."""
    try:
        return [complete(iterator.__anext__()), False]
    except StopAsyncIteration:
        return [None, True]
