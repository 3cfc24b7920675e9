"""Exchange lines with a process in a sandbox: a program whose functions are called, or the data set's checker.

    with converse(solution, order, seconds, wall) as talk:
        talk.send(line)
        answer = talk.line()

A line is a message between the program and the checker. It is carried here and never read.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

from rewards.code.sandbox.executor import SolutionProcess, ending_of
from rewards.code.sandbox.inside import ipc
from rewards.code.sandbox.limits import Limits, Run
from rewards.code.sandbox.memory_monitor import TICK_SECONDS, MemoryMonitor


class Ended(Exception):
    """The process gave no line; `run` says how it ended."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"{run.ending} {run.detail}")
        self.run = run


class Conversation:
    """A running process that answers lines; made by `converse`.

    Attributes:
        ended: Whether it has reported its end.
        waited: Seconds that it was waited for.
    """

    def __init__(self, sock: socket.socket, channel: socket.socket, monitor: MemoryMonitor, limits: Limits) -> None:
        self._socket = sock
        self._channel = channel
        self._monitor = monitor
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0
        self.waited = 0.0
        self.ended = False

    def line(self) -> bytes:
        """Return the next line without its end; raises `Ended` where none comes."""
        start = time.monotonic()
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        poller.register(self._channel, select.POLLIN)
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._monitor.late(self.waited + time.monotonic() - start, self._limits.wall):
                self._fail("time_limit_exceeded")
            if self._monitor.over():
                self._fail("memory_limit_exceeded")
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
        self.waited += time.monotonic() - start
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def send(self, line: bytes) -> None:
        """Send a line; raises `Ended` where it is not taken."""
        start = time.monotonic()
        try:
            self._socket.settimeout(max(1.0, self._limits.wall))
            self._socket.sendall(line + b"\n")
        except TimeoutError:
            self._fail("time_limit_exceeded")
        except OSError:
            self._fail(None)
        self.waited += time.monotonic() - start

    def _fail(self, stopped: str | None) -> None:
        answer = None
        if stopped is None:
            self._socket.close()
            self._channel.settimeout(self._limits.wall + 1)
            with contextlib.suppress(OSError, ipc.ChannelClosed):
                answer, _ = ipc.receive(self._channel, 2**20)
        self.ended = True
        run = ending_of(answer, stopped, self._monitor, b"", b"")
        if run.ending == "finished":  # it left by itself where a line was due
            run = Run("runtime_error", detail="it ended without a result", cpu=run.cpu)
        raise Ended(run)


@contextlib.contextmanager
def converse(solution: SolutionProcess, seconds: float, wall: float | None, **order: Any) -> Iterator[Conversation]:
    """Start a process and talk with it.

    Args:
        solution: The program's process tree.
        seconds: Processor seconds for all of it.
        wall: Wall seconds that it may be waited for in all.
        order: `entry_point` and `fresh` (evaluate it again for every call), or `checker`, the tests of a row.
    """
    limits = solution.limits_with(seconds, wall)
    mine, theirs = socket.socketpair()
    try:
        with theirs:
            channel, monitor = solution.start(limits, (theirs.fileno(),), **order)
        yield Conversation(mine, channel, monitor, limits)
    finally:
        mine.close()
        theirs.close()
        solution.close()
