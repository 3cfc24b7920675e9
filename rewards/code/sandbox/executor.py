r"""Run programs in a sandbox: a warm supervisor with one process tree per run.

    with Sandbox() as sandbox, sandbox.open("print(int(input()) + 1)") as solution:
        run = solution.run(b"1\n")          # run.ending == "finished", run.stdout == b"2\n"

The runs of a program follow one another and share nothing: each has a process namespace and a /tmp of its own. One
program at a time and one thread at a time; `pool` holds several. Expected outputs are no argument of anything here: the
program and its input go in, bytes come out. The data set's own code runs in the sandbox next to it (`Sandbox.checker`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from rewards.code.sandbox import seccomp
from rewards.code.sandbox.cgroup import ControlGroups
from rewards.code.sandbox.inside import ipc
from rewards.code.sandbox.limits import Limits, Run, SandboxFailure
from rewards.code.sandbox.memory_monitor import MAX_STRETCH, MemoryMonitor
from rewards.code.sandbox.python_files import Files
from rewards.code.sandbox.streams import Streams, sealed
from rewards.code.sandbox.toolchain import Toolchain

INSIDE = Path(__file__).resolve().parent / "inside"
START_SECONDS = 60.0
GRACE_SECONDS = 3.0
CLOSE_SECONDS = 10.0
SCRATCH_MB = 64
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
_FIRST_USER, _USERS = 1_600_000_000, 100_000_000
_numbers = itertools.count()


@dataclasses.dataclass(frozen=True)
class Layers:
    """Which layers a sandbox tries to put up.

    All, unless a test or a comparison takes some away.
    """

    namespaces: bool = True
    landlock: bool = True
    seccomp: bool = True
    groups: bool = True


class Sandbox:
    """A supervisor process that isolates programs.

    Args:
        packages: What may be imported besides the standard library, from this environment (numpy).
        warm: Those of them that are imported beforehand, which costs every run a little; by default all.
        layers: Which layers to put up; for tests.

    Attributes:
        put_up: Once started, the layers that the supervisor put up, each with a word about it.
    """

    def __init__(
        self, packages: tuple[str, ...] = (), layers: Layers | None = None, warm: tuple[str, ...] | None = None
    ) -> None:
        self.files = Files.of(packages, packages if warm is None else warm)
        self._neighbors: dict[str, Sandbox] = {}
        self.layers = layers or Layers()
        self.put_up: dict[str, str] = {}
        self.groups: ControlGroups | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._busy = False
        self._sending = threading.Lock()

    def start(self) -> Sandbox:
        """Start the supervisor unless it runs. Raises `SandboxFailure`."""
        if self._process is not None:
            return self
        self.groups = ControlGroups.make() if self.layers.groups else None
        mine, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [
                    os.path.realpath(sys.executable),
                    "-S",
                    "-s",
                    "-P",
                    "-B",
                    str(INSIDE / "zygote.py"),
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
            theirs.close()
            mine.settimeout(START_SECONDS)
            self._control = mine
            ipc.send(mine, {"setup": self._settings()})
            answer, _ = ipc.receive(mine)
        except (OSError, ipc.ChannelClosed) as error:
            theirs.close()
            self.close()
            raise SandboxFailure(f"the supervisor did not start: {error!r}") from error
        self.put_up = dict(answer["layers"])
        self.put_up["groups"] = f"version {self.groups.version}" if self.groups else "missing: not allowed here"
        return self

    def _settings(self) -> dict[str, Any]:
        root = os.geteuid() == 0
        modern = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (5, 14)
        return {
            "namespaces": self.layers.namespaces,
            "landlock": self.layers.landlock,
            "filter": seccomp.allow_list(bool(self.files.executable)).hex() if self.layers.seccomp else "",
            "narrower": seccomp.narrower().hex() if self.layers.seccomp else "",
            "counts_processes": root or modern,
            "groups": [str(folder) for folder in self.groups.folders] if self.groups else [],
            "user": _FIRST_USER + (os.getpid() + 4_194_304 * next(_numbers)) % _USERS,
            "scratch_mb": SCRATCH_MB,
            **self.files.as_dict(),
        }

    def open(self, program: str, prelude: str = "", limits: Limits | None = None) -> SolutionProcess:
        """Return the process of one program; close it, or use it as a context manager."""
        return SolutionProcess(self, {"program": program, "prelude": prelude}, limits or Limits())

    def open_compiled(self, library: bytes, limits: Limits | None = None) -> SolutionProcess:
        """Return the process of a program that `compiler.compile_cpp` compiled."""
        return SolutionProcess(self, {"native": True}, limits or Limits(), library)

    def checker(self) -> Sandbox:
        """Return the sandbox next to this one in which the data set's own code runs."""
        return self._neighbor("checker", self.files)

    def compiler(self, toolchain: Toolchain) -> Sandbox:
        """Return the sandbox next to this one in which programs are compiled."""
        return self._neighbor("compiler", Files.of_compiler(toolchain))

    def _neighbor(self, name: str, files: Files) -> Sandbox:
        if name not in self._neighbors:
            self._neighbors[name] = Sandbox(layers=self.layers)
            self._neighbors[name].files = files
        return self._neighbors[name]

    def close(self) -> None:
        """End the supervisor and everything in it, and the sandboxes next to it."""
        for neighbor in self._neighbors.values():
            neighbor.close()
        self._neighbors.clear()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self.groups is not None:
            self.groups.remove(CLOSE_SECONDS)
            self.groups = None
        self._busy = False

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _solution(
        self, limits: Limits, order: dict[str, Any], descriptors: tuple[int, ...]
    ) -> Iterator[tuple[socket.socket, MemoryMonitor]]:
        """Yield the channel and the monitor of a new solution process, which ends with the context."""
        assert not self._busy, "one solution process at a time"
        mine, theirs = socket.socketpair()
        started = False
        try:
            with theirs:
                for attempt in (1, 2):
                    try:
                        monitor = self._begin(limits, order, (theirs.fileno(), *descriptors))
                        break
                    except (OSError, ipc.ChannelClosed) as error:
                        self.close()  # an old supervisor's end says nothing about a new one
                        if attempt == 2:
                            raise SandboxFailure(f"no solution process: {error!r}") from error
            started = self._busy = True
            mine.settimeout(START_SECONDS)
            yield mine, monitor
        finally:
            mine.close()
            if started:
                self._end_solution()

    def _begin(self, limits: Limits, order: dict[str, Any], descriptors: tuple[int, ...]) -> MemoryMonitor:
        self.start()
        assert self._control is not None
        if self.groups is not None:
            self.groups.set(limits.memory_mb, limits.processes)
        assert self._process is not None
        monitor = MemoryMonitor(self._process.pid, limits.memory_mb, self.groups)  # counts from before the run
        self._control.settimeout(START_SECONDS)
        with self._sending:
            ipc.send(self._control, {"solution": {**limits.as_dict(), **order}}, descriptors)
        ipc.receive(self._control)
        return monitor

    def kill(self) -> None:
        """Tell the supervisor to end the solution process now; any thread may do so."""
        with self._sending, contextlib.suppress(OSError, ipc.ChannelClosed):
            if self._control is not None:
                ipc.send(self._control, {"kill": True})

    def _end_solution(self) -> None:
        self._busy = False
        if self._control is None:
            return
        try:
            self.kill()
            self._control.settimeout(GRACE_SECONDS)
            ipc.receive(self._control)
        except (OSError, ipc.ChannelClosed):
            self.close()


class SolutionProcess:
    """A program that is run, each time in a process tree of its own.

    Its methods raise `SandboxFailure` where the sandbox fails.
    """

    def __init__(self, sandbox: Sandbox, load: dict[str, Any], limits: Limits, library: bytes = b"") -> None:
        self.sandbox = sandbox
        self.load = load
        self.limits = limits
        self.library = library
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> SolutionProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process tree."""
        self._stack.close()

    def limits_with(self, seconds: float | None, wall: float | None) -> Limits:
        """Return the limits with other times."""
        return dataclasses.replace(
            self.limits,
            seconds=seconds or self.limits.seconds,
            wall_seconds=wall if wall is not None else self.limits.wall_seconds,
        )

    def start(self, limits: Limits, descriptors: tuple[int, ...], **more: Any) -> tuple[socket.socket, MemoryMonitor]:
        """Start a process tree that runs the program, until `close`; the one before it has to be closed.

        Args:
            limits: Its bounds. The executor guards the wall time, and the tree itself only at the very last.
            descriptors: What the run gets: its streams, or the socket of its calls.
            more: Further fields of the order, which travels as a sealed file, so that the supervisor never holds the
                text of a program: what it holds, every later run inherits.

        Returns:
            The channel on which the tree reports its end, and the monitor of its memory.
        """
        wall = MAX_STRETCH * limits.wall + GRACE_SECONDS
        order = sealed(json.dumps({**self.load, **more}).encode())
        try:
            found = self.sandbox._solution(limits, {"wall": wall}, (order, *descriptors))
            return self._stack.enter_context(found)
        finally:
            os.close(order)

    def run(self, stdin: bytes, seconds: float | None = None, wall: float | None = None) -> Run:
        """Run the program once, as a script that reads `stdin`.

        Args:
            stdin: Its standard input.
            seconds: Processor seconds, in place of those of the limits.
            wall: Wall seconds, in place of those of the limits.
        """
        limits = self.limits_with(seconds, wall)
        try:
            with Streams.open(stdin, self.library) as streams:
                return self._finish(streams, limits)
        finally:
            self.close()

    def _finish(self, streams: Streams, limits: Limits) -> Run:
        channel, monitor = self.start(limits, streams.theirs())
        answer: dict[str, Any] | None = None
        try:
            streams.close_theirs()
            stopped = streams.follow(channel, limits.wall, limits.output_bytes, monitor)
            if stopped is None:
                answer, _ = ipc.receive(channel, 2**20)
                streams.drain(limits.output_bytes)
        except (OSError, ipc.ChannelClosed):
            stopped = None
        stopped = stopped or ("output_limit_exceeded" if streams.over else None)
        return ending_of(answer, stopped, monitor, streams.stdout, streams.stderr)


def ending_of(
    answer: dict[str, Any] | None, stopped: str | None, monitor: MemoryMonitor, out: bytes, err: bytes
) -> Run:
    """Return what a run's end means; a program's report counts only after a failure."""
    if monitor.killed():
        stopped = "memory_limit_exceeded"
    if answer is None:
        return Run(stopped or "runtime_error", out, err, -9, detail="the solution process ended with it")  # type: ignore[arg-type]
    ending, detail = _ending(answer)
    return Run(
        stopped or ending,  # type: ignore[arg-type]
        out,
        err,
        answer["status"],
        answer["cpu"],
        answer["wall"],
        answer["memory"],
        detail,
    )


def _ending(answer: dict[str, Any]) -> tuple[str, str]:
    if answer["over"] is not None:
        return "time_limit_exceeded", answer["over"]
    if answer["status"] == 0:
        return "finished", ""
    try:
        report = json.loads(answer["report"])
        kind, name, line = str(report["kind"]), str(report.get("name"))[:60], report.get("line")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "runtime_error", f"status {answer['status']}"
    detail = name + (f" in line {line}" if isinstance(line, int) else "")
    if kind == "compile":
        return "compile_error", str(report.get("name"))[:300]
    kinds = {"memory": "memory_limit_exceeded", "forbidden": "forbidden"}
    return kinds.get(kind, "runtime_error"), detail
