"""Calls of a function that lives in a box: arguments in, results out, as plain values."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rewards.code.sandbox.executor import Box, ending_of
from rewards.code.sandbox.inside import ipc, values
from rewards.code.sandbox.limits import Limits, Run
from rewards.code.sandbox.memory_monitor import TICK_SECONDS, Watch


class CallFailed(BaseException):
    """The program gave no result; `run` says how it ended. No `Exception`: a data set's check that catches those must
    not take it for a result.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(f"{run.ending} {run.detail}")
        self.run = run


class Calls:
    """A running program whose entry point can be called. Made by `calls`.

    `classes`: by name, those that results may be instances of; objects of other classes come back as
    `values.Opaque`.
    """

    def __init__(self, sock: socket.socket, channel: socket.socket, watch: Watch, limits: Limits) -> None:
        self._socket = sock
        self._channel = channel
        self._watch = watch
        self._limits = limits
        self._buffer = bytearray()
        self._deadline = time.monotonic() + limits.wall
        self._answer: dict[str, Any] | None = None
        self._stopped: str | None = None
        self.ended = False

    def call(
        self,
        args: list[Any],
        kwargs: Mapping[str, Any],
        classes: Mapping[str, Any] | None = None,
        in_place: int | None = None,
    ) -> Any:
        """The entry point's result, or with `in_place` what became of that argument. Raises `CallFailed`."""
        asked = {"args": values.encode(args), "kwargs": values.encode(dict(kwargs)), "in_place": in_place}
        self._send(json.dumps(asked).encode() + b"\n")
        try:
            reply = json.loads(self.line())
            return values.decode(reply["value"], classes or {})
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CallFailed(Run("runtime_error", detail=f"no readable result: {type(error).__name__}")) from None

    def line(self) -> bytes:
        """The next line that the program's side says. Raises `CallFailed`."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        poller.register(self._channel, select.POLLIN)
        while (end := self._buffer.find(b"\n")) < 0:
            ready = {descriptor for descriptor, _ in poller.poll(TICK_SECONDS * 1000)}
            if self._socket.fileno() in ready:
                try:
                    part = self._socket.recv(2**18)
                except ConnectionError:  # it ended with a question unread
                    part = b""
                self._buffer += part
                if not part:
                    self._fail(None)
            elif self._channel.fileno() in ready:
                self._fail(None)
            if len(self._buffer) > self._limits.output_bytes:
                self._fail("output_limit_exceeded")
            if time.monotonic() > self._deadline + TICK_SECONDS:
                self._fail("time_limit_exceeded")
            if self._watch.over():
                self._fail("memory_limit_exceeded")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(max(0.001, self._deadline - time.monotonic()))
            self._socket.sendall(data)
        except TimeoutError:
            self._fail("time_limit_exceeded")
        except OSError:
            self._fail(None)

    def _fail(self, stopped: str | None) -> None:
        answer = None
        if stopped is None:
            self._socket.close()
            with contextlib.suppress(OSError, ipc.Closed):
                answer, _ = ipc.receive(self._channel, 2**20)
        self.ended = answer is not None
        run = ending_of(answer, stopped, self._watch, b"", b"")
        if run.ending == "finished":  # it left by itself where a result was due
            run = Run("runtime_error", detail="it ended without a result")
        raise CallFailed(run)


@contextlib.contextmanager
def calls(box: Box, entry_point: str, seconds: float, wall: float, fresh: bool = False) -> Iterator[Calls]:
    """Run the box's program as a module and offer its `entry_point`, an expression such as `Solution().f`.

    `fresh`: evaluate the expression again for every call. `seconds` of processor time and `wall` seconds are for all
    of it. Raises `CallFailed`, also when the program does not get as far as offering it.
    """
    limits = box.limits_with(seconds, wall)
    channel = box.channel()
    if box.compile_error is not None:
        raise CallFailed(Run("compile_error", detail=box.compile_error))
    order = {"run": {"seconds": seconds, "wall": wall, "entry_point": entry_point, "fresh": fresh}}
    mine, theirs = socket.socketpair()
    watch = box.sandbox.watch(limits)
    session = Calls(mine, channel, watch, limits)
    try:
        with theirs:
            ipc.send(channel, order, (theirs.fileno(),))
        session.line()
        yield session
    except ipc.Closed:
        raise CallFailed(Run("runtime_error", detail="the box ended")) from None
    finally:
        mine.close()
        if not session.ended:
            box.close()
