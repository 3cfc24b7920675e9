"""Serve a run's standard streams: sealed input, outputs read up to a cap."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import time
from collections.abc import Iterator

from rewards.code.sandbox.memory_monitor import TICK_SECONDS, MemoryMonitor

_READ = 2**16


class Streams:
    """Our ends of a run's streams and their content; `over` once one passed its cap."""

    def __init__(self, stdin: int, outputs: dict[int, int], library: int | None) -> None:
        self._theirs = [stdin, *outputs.values(), *([] if library is None else [library])]
        self._read: dict[int, bytearray] = {ours: bytearray() for ours in outputs}
        self._open = set(outputs)
        self.over = False

    @staticmethod
    @contextlib.contextmanager
    def open(stdin: bytes, library: bytes = b"") -> Iterator[Streams]:
        """Streams for one run, and a compiled program's library, closed afterwards."""
        pairs = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        streams = Streams(sealed(stdin), dict(pairs), sealed(library) if library else None)
        for ours, _ in pairs:
            os.set_blocking(ours, False)
        try:
            yield streams
        finally:
            streams.close_theirs()
            for ours, _ in pairs:
                os.close(ours)

    @property
    def stdout(self) -> bytes:
        """Return what was written to standard output."""
        return bytes(next(iter(self._read.values())))

    @property
    def stderr(self) -> bytes:
        """Return what was written to standard error."""
        return bytes(list(self._read.values())[1])

    def theirs(self) -> tuple[int, ...]:
        """Return the descriptors that go into the solution process."""
        return tuple(self._theirs)

    def close_theirs(self) -> None:
        """Close our copies of what went into the solution process."""
        while self._theirs:
            os.close(self._theirs.pop())

    def follow(self, channel: socket.socket, wall: float, cap: int, monitor: MemoryMonitor) -> str | None:
        """Read until the solution process reports, or return why it must be ended."""
        start = time.monotonic()
        poller = select.poll()
        for descriptor in (*self._open, channel.fileno()):
            poller.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poller.poll(TICK_SECONDS * 1000)}
            for descriptor in ready & self._open:
                if not self._take(descriptor, cap):
                    poller.unregister(descriptor)
            if self.over:
                return "output_limit_exceeded"
            if channel.fileno() in ready:
                return None
            if monitor.late(time.monotonic() - start, wall):
                return "time_limit_exceeded"
            if monitor.over():
                return "memory_limit_exceeded"

    def drain(self, cap: int) -> None:
        """Read what is still in the pipes; every writer is dead."""
        for descriptor in list(self._open):
            while not self.over and self._take(descriptor, cap):
                if not select.select([descriptor], [], [], 0)[0]:
                    break

    def _take(self, descriptor: int, cap: int) -> bool:
        try:
            part = os.read(descriptor, _READ)
        except BlockingIOError:
            return True
        if not part:
            self._open.discard(descriptor)
            return False
        self._read[descriptor] += part
        self.over = self.over or len(self._read[descriptor]) > cap
        return True


def sealed(data: bytes) -> int:
    """Return a descriptor of a file in memory that nobody can change."""
    source = os.memfd_create("data", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(source, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(source, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(source, fcntl.F_ADD_SEALS, seals)
    return source
