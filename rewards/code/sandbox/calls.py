"""Call a function that lives in a solution process, with plain values."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rewards.code.sandbox.executor import SolutionProcess, ending_of
from rewards.code.sandbox.inside import ipc, values
from rewards.code.sandbox.limits import Limits, Run
from rewards.code.sandbox.memory_monitor import TICK_SECONDS, MemoryMonitor


class CallFailed(BaseException):
    """A call that gave no result; `run` says how the program ended.

    It is no `Exception`, so that a data set's check that catches those does not take it for a result.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(f"{run.ending} {run.detail}")
        self.run = run


class Calls:
    """A running program whose entry point can be called; made by `calls`.

    Results may be instances of the classes given by name to `call`; objects of other classes come back as
    `values.Opaque`.
    """

    def __init__(self, sock: socket.socket, channel: socket.socket, monitor: MemoryMonitor, limits: Limits) -> None:
        self._socket = sock
        self._channel = channel
        self._monitor = monitor
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
        """Return the entry point's result.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            classes: By name, the classes that results may be instances of.
            in_place: The number of the argument whose final value is the result.

        Raises:
            CallFailed: Where the program gives no result.
        """
        request = {"args": values.encode(args), "kwargs": values.encode(dict(kwargs)), "in_place": in_place}
        self._send(json.dumps(request).encode() + b"\n")
        try:
            reply = json.loads(self.line())
            return values.decode(reply["value"], classes or {})
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CallFailed(Run("runtime_error", detail=f"no readable result: {type(error).__name__}")) from None

    def line(self) -> bytes:
        """Return the next line from the program's side.

        Raises:
            CallFailed: Where none comes.
        """
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
            if self._monitor.over():
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
            with contextlib.suppress(OSError, ipc.ChannelClosed):
                answer, _ = ipc.receive(self._channel, 2**20)
        self.ended = answer is not None
        run = ending_of(answer, stopped, self._monitor, b"", b"")
        if run.ending == "finished":  # it left by itself where a result was due
            run = Run("runtime_error", detail="it ended without a result")
        raise CallFailed(run)


@contextlib.contextmanager
def calls(
    solution: SolutionProcess, entry_point: str, seconds: float, wall: float, fresh: bool = False
) -> Iterator[Calls]:
    """Run the solution's program as a module and offer its `entry_point`.

    Args:
        solution: The program's process.
        entry_point: An expression such as `Solution().f`.
        seconds: Processor seconds for all of it.
        wall: Wall seconds for all of it.
        fresh: Evaluate the expression again for every call.

    Raises:
        CallFailed: Where a call fails, or the program does not get as far as offering the entry point.
    """
    limits = solution.limits_with(seconds, wall)
    channel = solution.channel()
    if solution.compile_error is not None:
        raise CallFailed(Run("compile_error", detail=solution.compile_error))
    order = {"run": {"seconds": seconds, "wall": wall, "entry_point": entry_point, "fresh": fresh}}
    mine, theirs = socket.socketpair()
    monitor = solution.sandbox.monitor(limits)
    session = Calls(mine, channel, monitor, limits)
    try:
        with theirs:
            ipc.send(channel, order, (theirs.fileno(),))
        session.line()
        yield session
    except ipc.ChannelClosed:
        raise CallFailed(Run("runtime_error", detail="the solution process ended")) from None
    finally:
        mine.close()
        if not session.ended:
            solution.close()
