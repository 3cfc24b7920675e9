"""Call a rewarder with the arguments it names and turn its result into a `Score`.

A rewarder is a function, or an instance of a class, that names the arguments it wants among `prompt`, `response`,
`answer`, `info` and `data_source` and returns a `Score`. It may be `async`. A plain `float` or `bool` is accepted
too, so that a one-line reward stays one line, and `None` abstains. It may also do three more things:

- **prepare the reference**: an attribute `prepare`, a method or function of any of `answer`, `info`, `prompt` and
  `data_source`, is called once per reference; its result is passed to every call as `gold`;
- **say that it is not ready**: an attribute `ready`, called without arguments before a run, returns what is missing, or
  an empty text;
- **score a group**: a rewarder that names `responses` receives the list of all responses of a prompt and returns one
  result for each.

All calls of an `async` rewarder in a process run on one event loop, so that it can keep a client with open
connections. The pool gives it up to `in_flight` requests at a time, an attribute of the rewarder (`async_worker.py`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import inspect
import json
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import (
    REQUEST_ARGUMENTS,
    Rewarder,
    Score,
    ScoreRequest,
    abstain,
    error_score,
    right,
    wrong,
)

REFERENCE_ARGUMENTS = ("answer", "info", "prompt", "data_source")
MAX_EXTRACTED_CHARS = 2_000
MAX_TERMS = 64
MAX_TERM_CHARS = 200
MAX_GOLDS = 4_096
IN_FLIGHT = 64  # of an async rewarder that does not say otherwise; as many as a served model usually batches


class RewardCallable:
    """A rewarder that is ready to be called.

    `version` is part of the key under which prepared references are cached.

    Raises:
        UserError: The rewarder requires an argument that no request has.
    """

    def __init__(self, rewarder: Rewarder, version: str = "") -> None:
        self.rewarder = rewarder
        self.version = version
        self.prepare: Callable[..., Any] | None = getattr(rewarder, "prepare", None)
        self.names = named_arguments(rewarder)
        self.prepare_names = tuple(_names(self.prepare, REFERENCE_ARGUMENTS)) if self.prepare is not None else ()
        self._golds: OrderedDict[bytes, Any] = OrderedDict()

    @property
    def group(self) -> bool:
        """Return whether it scores all responses of a prompt together."""
        return "responses" in self.names

    @property
    def in_flight(self) -> int:
        """Return how many calls may wait at the same time: 0 for a rewarder that is not `async`."""
        if not _is_async(self.rewarder):
            return 0
        asked = getattr(self.rewarder, "in_flight", IN_FLIGHT)
        return max(1, asked) if isinstance(asked, int) else IN_FLIGHT

    def ready(self) -> str:
        """Return what the rewarder reports to be missing now, such as a service that does not answer; empty if nothing."""
        own = getattr(self.rewarder, "ready", None)
        return str(_resolved(own()) or "") if callable(own) else ""

    def __call__(self, request: ScoreRequest) -> list[Score]:
        """Return one score per response; exceptions of the rewarder pass through."""
        arguments = self._arguments(request)
        if "gold" in self.names:
            arguments["gold"] = self._gold(request)
        result = _resolved(self.rewarder(**{name: arguments[name] for name in self.names}))
        return normalize_group(result, request.size) if self.group else [normalize(result)]

    async def acall(self, request: ScoreRequest) -> list[Score]:
        """Return what `__call__` returns, for an `async` rewarder and on the running event loop."""
        arguments = self._arguments(request)
        if "gold" in self.names:
            gold = self._gold(request, lambda result: result)
            if inspect.isawaitable(gold):  # an async `prepare` is awaited by each of its first callers
                gold = self._golds[self._gold_key(request)] = await gold
            arguments["gold"] = gold
        function = getattr(self.rewarder, "ascore", self.rewarder)
        result = await function(**{name: arguments[name] for name in self.names})
        return normalize_group(result, request.size) if self.group else [normalize(result)]

    def _arguments(self, request: ScoreRequest) -> dict[str, Any]:
        if request.responses and not self.group:
            raise UserError(f"rewarder {request.rewarder!r} scores single responses; it does not name `responses`")
        return request.arguments() | {"responses": list(request.responses or [request.response])}

    def _gold(self, request: ScoreRequest, finish: Callable[[Any], Any] | None = None) -> Any:
        """Return the prepared reference, cached by its content and rewarder version.

        `finish` turns the result of `prepare` into the reference; by default it runs an awaitable to its end.
        """
        assert self.prepare is not None
        key = self._gold_key(request)
        if key in self._golds:
            self._golds.move_to_end(key)
            return self._golds[key]
        gold = (finish or _resolved)(self.prepare(**{name: getattr(request, name) for name in self.prepare_names}))
        if not inspect.isawaitable(gold):
            self._golds[key] = gold
        if len(self._golds) > MAX_GOLDS:
            self._golds.popitem(last=False)
        return gold

    def _gold_key(self, request: ScoreRequest) -> bytes:
        arguments = {name: getattr(request, name) for name in self.prepare_names}
        content = json.dumps([self.version, arguments], sort_keys=True, default=repr)
        return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def call_rewarder(rewarder: Rewarder, request: ScoreRequest) -> Score:
    """Call a rewarder once on a single response, outside of any pool."""
    return RewardCallable(rewarder)(request)[0]


def named_arguments(rewarder: Rewarder) -> tuple[str, ...]:
    """Return the request arguments that a rewarder names.

    A rewarder with `**kwargs` gets all arguments of a single request.

    Raises:
        UserError: The rewarder requires an argument that no request has.
    """
    prepared = ("gold",) if hasattr(rewarder, "prepare") else ()
    names = _names(rewarder, (*REQUEST_ARGUMENTS, "responses", *prepared))
    if "response" in names and "responses" in names:
        raise UserError(
            f"rewarder {_label(rewarder)!r} names both `response` and `responses`; it must name one of them"
        )
    return tuple(names)


OTHER_CONVENTIONS = {
    "gold": "; `gold` needs an attribute `prepare`",
    "completions": "; a reward function of TRL is named trl:FILE.py:FUNCTION",
    "solution_str": "; a reward function of verl is named verl:FILE.py:FUNCTION",
}
"""Required argument that no request has -> what makes the function usable."""


def _label(function: Callable[..., Any]) -> str:
    """Return the name of a function, or of the class of any other callable."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _names(function: Callable[..., Any], offered: Sequence[str]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        keyword = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if not optional and (parameter.name not in offered or not keyword):
            hint = OTHER_CONVENTIONS.get(parameter.name, "")
            raise UserError(
                f"rewarder {_label(function)!r} requires {parameter.name!r}; a rewarder is called by keyword with any of "
                + ", ".join(offered)
                + hint
            )
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return [name for name in offered if name != "responses"]
    return [parameter.name for parameter in parameters if parameter.name in offered]


def _is_async(rewarder: Rewarder) -> bool:
    """Return whether calling a rewarder gives an awaitable; a composite says so by its attribute `is_async`."""
    own = getattr(rewarder, "is_async", None)
    if isinstance(own, bool):
        return own
    return inspect.iscoroutinefunction(rewarder) or inspect.iscoroutinefunction(getattr(rewarder, "__call__", None))  # noqa: B004


_kept = threading.local()


def _resolved(result: Any) -> Any:
    """Return a result, an awaitable's on this thread's one event loop.

    The loop is kept because clients bind their connections to the loop of their first request.
    """
    if not inspect.isawaitable(result):
        return result
    if getattr(_kept, "pid", None) != os.getpid():  # a loop that was inherited by a fork shares its parent's epoll
        _kept.loop, _kept.pid = asyncio.new_event_loop(), os.getpid()
    return _kept.loop.run_until_complete(_await(result))


async def _await(awaitable: Any) -> Any:
    return await awaitable


def normalize(result: object) -> Score:
    """Convert what a rewarder returned into a `Score`.

    A number is its own value and correct from 1 upwards; a bool is 1 or 0; None abstains. Anything else, NaN and
    infinities are `bad_result`. Text that is too long is cut here, so that no response can flood the pipe or the
    record.
    """
    if result is None:
        return abstain()
    if isinstance(result, bool):
        return right() if result else wrong()
    if isinstance(result, Score):
        if len(result.terms) > MAX_TERMS or any(len(name) > MAX_TERM_CHARS for name in result.terms):
            return error_score("bad_result")
        if result.extracted is not None and len(result.extracted) > MAX_EXTRACTED_CHARS:
            return dataclasses.replace(result, extracted=result.extracted[:MAX_EXTRACTED_CHARS])
        return result
    try:
        value = float(result)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return error_score("bad_result")
    if isinstance(result, (str, bytes)) or not math.isfinite(value):
        return error_score("bad_result")
    return Score(value=value, correct=value >= 1.0, reason="correct" if value >= 1.0 else "wrong")


def normalize_group(results: object, size: int) -> list[Score]:
    """Convert what a group rewarder returned into `size` scores.

    Every score is `bad_result` where the result is not a list of that size.
    """
    if not isinstance(results, (list, tuple)) or len(results) != size:
        return [error_score("bad_result")] * size
    return [normalize(result) for result in results]
