"""Serve one run from process 1 of an isolated tree.

The process confines itself before it reads the program, and forks the process of the run, which compiles and runs under
the run's limits. It has the program and the input of the run, and no expected output. The channel's messages:

    {"run": {"seconds", "wall", "program", "prelude"}} with stdin, stdout, stderr
        -> {"status", "cpu", "wall", "memory", "over", "report"}
    {"run": {..., "entry_point", "fresh"}} or {"run": {..., "checker"}} with the calls' socket
        -> the same when it has ended

`over` is `cpu` or `wall` when the run was ended for its time; the time is that of the whole tree. Whatever a run leaves
running is killed with it, and the executor starts a new tree for the next: runs share not even a process number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import select
import signal
import socket
import time
from typing import Any

import harness
import ipc
import kernel
import rootfs

MAX_REPORT_BYTES = 4096
TICK_SECONDS = 0.05
RESERVED_BYTES = 8 * 2**30  # what a process may reserve without using it
_CHANNEL = 3
MAX_NUMBER_GAP = 100


@dataclasses.dataclass
class Rules:
    """What confines a solution process, besides what its supervisor already put up."""

    filter: bytes
    narrower: bytes
    landlock: bool
    readable: list[str]
    listed: list[str]
    writable: list[str]
    executable: list[str]
    control: int
    process_limit: bool

    @staticmethod
    def read(settings: dict[str, Any], put_up: dict[str, str], pid_space: bool, control: int) -> Rules:
        """From the engine's settings and what the supervisor put up."""
        alone = pid_space and settings["counts_processes"]
        own_tree = not put_up["namespaces"].startswith("missing")
        scratch = "missing" not in put_up.get("scratch", "missing")
        readable, listed = (["/"], []) if own_tree else _visible(settings)
        return Rules(
            filter=bytes.fromhex(settings["filter"]),
            narrower=b"" if alone else bytes.fromhex(settings["narrower"]),
            landlock=settings["landlock"],
            readable=readable,
            listed=listed,
            writable=["/dev/null", *([rootfs.SCRATCH] if scratch else [])],
            executable=settings["executable"],
            control=control,
            process_limit=alone,
        )

    def confine(self) -> dict[str, str]:
        """Confine this process for good, noting each layer or why it is missing."""
        steps = {
            "capabilities": kernel.drop_capabilities,
            "landlock": self._landlock,
            "seccomp": self._seccomp,
        }
        found = {}
        for name, step in steps.items():
            try:
                found[name] = step() or "dropped"
            except OSError as error:
                found[name] = f"missing: {error}"
        return found

    def _landlock(self) -> str:
        if not self.landlock:
            raise OSError("switched off")
        kernel.landlock(self.readable, self.writable, self.listed, self.executable)
        return f"version {kernel.landlock_version()}"

    def _seccomp(self) -> str:
        if not self.filter:
            raise OSError("no libseccomp here, or switched off")
        kernel.seccomp(self.filter)
        return f"{len(self.filter) // 8} instructions" + (", no new processes" if self.narrower else "")

    def trial(self) -> dict[str, str]:
        """Confine a child and bring back what it noted."""
        theirs, ours = os.pipe()
        if os.fork() == 0:
            os.write(ours, json.dumps(self.confine()).encode())
            os._exit(0)
        os.close(ours)
        with os.fdopen(theirs, "rb") as file:
            found: dict[str, str] = json.loads(file.read() or b"{}")
        os.wait()
        return found


def _visible(settings: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return what a program may read and what it may list in the host's tree.

    It may read everything shown but the hidden folders, and list the folders above those.
    """
    readable = [*settings["packages"], *settings["devices"]]
    listed: list[str] = []
    waiting = list(settings["paths"])
    while waiting:
        path = waiting.pop()
        if not any(hidden.startswith(path + "/") for hidden in settings["hidden"]):
            readable.append(path)
        else:
            listed.append(path)
            waiting += [entry.path for entry in os.scandir(path) if entry.path not in settings["hidden"]]
    return readable, listed


def _cap(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def live(channel: socket.socket, limits: dict[str, Any], rules: Rules) -> None:
    """Serve a solution from a fresh fork of the supervisor to its last run."""
    os.setsid()
    os.close(rules.control)
    os.dup2(channel.fileno(), _CHANNEL)
    channel.detach()
    channel = socket.socket(fileno=_CHANNEL)
    os.closerange(_CHANNEL + 1, 4096)
    os.chdir(rootfs.SCRATCH if rootfs.SCRATCH in rules.writable else "/")
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _cap(resource.RLIMIT_CORE, 0)
    _cap(resource.RLIMIT_FSIZE, limits["file_mb"] * 2**20)
    _cap(resource.RLIMIT_NOFILE, limits["files"])
    if rules.process_limit:
        _cap(resource.RLIMIT_NPROC, limits["processes"] + 3)
    rules.confine()
    while True:
        try:
            order, descriptors = ipc.receive(channel)
        except ipc.ChannelClosed:
            os._exit(0)
        ipc.send(channel, _run(order["run"], descriptors, limits, rules, channel))


def _run(
    order: dict[str, Any],
    descriptors: list[int],
    limits: dict[str, Any],
    rules: Rules,
    channel: socket.socket,
) -> dict[str, Any]:
    theirs, ours = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            channel.close()
            os.close(theirs)
            _cap(resource.RLIMIT_AS, limits["memory_mb"] * 2**20 + RESERVED_BYTES)
            _cap(resource.RLIMIT_CPU, int(order["seconds"]) + 2)
            if rules.narrower:
                kernel.seccomp(rules.narrower)
            harness.enter(order, descriptors, ours)
        finally:
            os._exit(98)
    os.close(ours)
    for descriptor in descriptors:
        os.close(descriptor)
    over = _monitor(child, start, order)
    _, status, usage = os.wait4(child, 0)
    _end_the_rest()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)  # all of the tree: this process has collected it
    cpu = spent.ru_utime + spent.ru_stime
    if over is None and cpu > order["seconds"]:
        over = "cpu"
    with os.fdopen(theirs, "rb") as file:
        os.set_blocking(theirs, False)
        report = file.read(MAX_REPORT_BYTES) or b""
    return {
        "status": os.waitstatus_to_exitcode(status),
        "cpu": cpu,
        "wall": time.monotonic() - start,
        "memory": usage.ru_maxrss * 1024,
        "over": over,
        "report": report.decode("utf-8", "replace"),
    }


def _monitor(child: int, start: float, order: dict[str, Any]) -> str | None:
    """Wait for a run, or end it for its time."""
    process = os.pidfd_open(child)
    poller = select.poll()
    poller.register(process, select.POLLIN)
    over = None
    try:
        while not poller.poll(1000 * min(TICK_SECONDS, max(0.001, order["wall"]))):
            over = "cpu" if _tree_seconds(child) > order["seconds"] else None
            if over is None and time.monotonic() - start > order["wall"]:
                over = "wall"
            if over is not None:
                os.kill(child, signal.SIGKILL)
                break
    finally:
        os.close(process)
    return over


def _tree_seconds(child: int) -> float:
    """Return processor seconds of the live processes of the run.

    In a process namespace of its own they have the numbers from 2 on; what they collected of others is counted when
    the run has ended.
    """
    found, gap, number = 0.0, 0, child
    while gap <= MAX_NUMBER_GAP:
        try:
            found += time.clock_gettime((~number << 3) | 2)  # as clock_getcpuclockid(3) makes it
            gap = 0
        except OSError:
            gap += 1
        if os.getpid() != 1:
            break
        number += 1
    return found


def _end_the_rest() -> None:
    """Kill and collect whatever the run left behind in this process namespace.

    Without one it could not fork.
    """
    while os.getpid() == 1:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
