"""Serve one run from process 1 of an isolated tree.

The process confines itself and forks the process of the run, which reads the order, a sealed file, and compiles and
runs under the run's limits. The order has the program and no expected output:

    {"program", "prelude"} with stdin, stdout, stderr
    {..., "entry_point", "fresh"} or {"checker"} with the calls' socket

When the run has ended, the channel gets one message, {"status", "cpu", "wall", "memory", "over", "report"}. `over` is
`cpu` or `wall` when the run was ended for its time; the time is that of the whole tree. Whatever a run leaves running is
killed with it, and the next has a new tree: runs share not even a process number.

Every page that a fork writes to is copied, and Python writes wherever it looks. So what does not depend on the run is
made in the supervisor (`Rules.prepare`, `Order.read`), and this process does little.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import select
import signal
import time
from typing import Any

import harness
import ipc
import kernel
import rootfs

MAX_REPORT_BYTES = 4096
TICK_SECONDS = 0.05
RESERVED_BYTES = 8 * 2**30  # what a process may reserve without using it
MAX_NUMBER_GAP = 100
MAX_DESCRIPTOR = 4096


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
    process_limit: bool
    ruleset: int = -1

    @staticmethod
    def read(settings: dict[str, Any], put_up: dict[str, str], pid_space: bool) -> Rules:
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
            process_limit=alone,
        )

    def prepare(self) -> None:
        """Make Landlock's rules, again where a file tree that they name was replaced."""
        if self.ruleset >= 0:
            os.close(self.ruleset)
            self.ruleset = -1
        if self.landlock:
            with contextlib.suppress(OSError):  # the trial reports it
                self.ruleset = kernel.landlock_rules(self.readable, self.writable, self.listed, self.executable)

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
        if self.ruleset < 0:
            raise OSError("landlock: not in this kernel")
        kernel.landlock(self.ruleset)
        return "restricted"

    def _seccomp(self) -> str:
        if not self.filter:
            raise OSError("no libseccomp here, or switched off")
        kernel.seccomp(self.filter)
        return f"{len(self.filter) // 8} instructions" + (", no new processes" if self.narrower else "")

    def trial(self) -> dict[str, str]:
        """Prepare the rules, confine a child by them and bring back what it noted."""
        self.prepare()
        theirs, ours = os.pipe()
        if os.fork() == 0:
            os.write(ours, json.dumps(self.confine()).encode())
            os._exit(0)
        os.close(ours)
        with os.fdopen(theirs, "rb") as file:
            found: dict[str, str] = json.loads(file.read() or b"{}")
        os.wait()
        if found.get("landlock") == "restricted":
            found["landlock"] = f"version {kernel.landlock_version()}"
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


@dataclasses.dataclass
class Order:
    """A run, as the supervisor prepares it.

    Attributes:
        channel: Where its end is reported.
        text: The sealed file with the program.
        descriptors: What the run gets.
        kept: All of these in order; whatever else is open is closed.
        tree: Limits of every process of the tree: number and value.
        run: Further limits of the run.
        seconds: Processor seconds.
        wall: Wall seconds.
    """

    channel: int
    text: int
    descriptors: list[int]
    kept: list[int]
    tree: list[tuple[int, int]]
    run: list[tuple[int, int]]
    seconds: float
    wall: float

    @staticmethod
    def read(limits: dict[str, Any], descriptors: list[int], rules: Rules) -> Order:
        """From what the executor sent."""
        channel, text, *rest = descriptors
        tree = [
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, limits["file_mb"] * 2**20),
            (resource.RLIMIT_NOFILE, limits["files"]),
        ]
        if rules.process_limit:
            tree.append((resource.RLIMIT_NPROC, limits["processes"] + 3))
        memory = limits["memory_mb"] * 2**20 + RESERVED_BYTES
        run = [(resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, int(limits["seconds"]) + 2)]
        tree, run = [list(map(_allowed, part)) for part in (tree, run)]
        return Order(channel, text, rest, sorted(descriptors), tree, run, limits["seconds"], limits["wall"])


def _allowed(limit: tuple[int, int]) -> tuple[int, int]:
    kind, value = limit
    _, hard = resource.getrlimit(kind)
    return kind, value if hard == resource.RLIM_INFINITY else min(value, hard)


def live(order: Order, rules: Rules) -> None:
    """Serve a run from a fresh fork of the supervisor, and end."""
    os.setsid()
    os.chdir(rootfs.SCRATCH if rootfs.SCRATCH in rules.writable else "/")
    for kind, value in order.tree:
        resource.setrlimit(kind, (value, value))
    rules.confine()
    first = 3
    for descriptor in order.kept:
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, MAX_DESCRIPTOR)
    body = json.dumps(_run(order, rules)).encode()
    answer = ipc.HEADER.pack(len(body)) + body
    while answer:
        answer = answer[os.write(order.channel, answer) :]
    os._exit(0)


def _run(order: Order, rules: Rules) -> dict[str, Any]:
    theirs, ours = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            os.close(order.channel)
            os.close(theirs)
            for kind, value in order.run:
                resource.setrlimit(kind, (value, value))
            if rules.narrower:
                kernel.seccomp(rules.narrower)
            harness.enter(_text(order.text), order.descriptors, ours)
        finally:
            os._exit(98)
    os.close(ours)
    os.close(order.text)
    for descriptor in order.descriptors:
        os.close(descriptor)
    over = _monitor(child, start, order)
    _, status, usage = os.wait4(child, 0)
    _end_the_rest()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)  # all of the tree: this process has collected it
    cpu = spent.ru_utime + spent.ru_stime
    if over is None and cpu > order.seconds:
        over = "cpu"
    os.set_blocking(theirs, False)
    try:
        report = os.read(theirs, MAX_REPORT_BYTES)
    except BlockingIOError:
        report = b""
    return {
        "status": os.waitstatus_to_exitcode(status),
        "cpu": cpu,
        "wall": time.monotonic() - start,
        "memory": usage.ru_maxrss * 1024,
        "over": over,
        "report": report.decode("utf-8", "replace"),
    }


def _text(descriptor: int) -> dict[str, Any]:
    """Return the order that is in a file."""
    with open(descriptor, "rb") as file:
        order: dict[str, Any] = json.loads(file.read())
    return order


def _monitor(child: int, start: float, order: Order) -> str | None:
    """Wait for a run, or end it for its time."""
    process = os.pidfd_open(child)
    poller = select.poll()
    poller.register(process, select.POLLIN)
    over = None
    try:
        while not poller.poll(1000 * min(TICK_SECONDS, max(0.001, order.wall))):
            over = "cpu" if _tree_seconds(child) > order.seconds else None
            if over is None and time.monotonic() - start > order.wall:
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
