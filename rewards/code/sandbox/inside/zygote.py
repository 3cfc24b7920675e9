"""Run the supervisor, which isolates itself and forks a process per solution.

    python -S -s -P -B zygote.py CONTROL_FD

Reads `{"setup": ...}` from the control socket and answers with the layers that were put up; then, one at a time,
`{"solution": limits}` with a channel, the order and the run's descriptors, answered by `{"started": pid}` and, when the
solution process is gone with everything it started, `{"ended": status}`. `{"kill": true}` ends the solution. The end of
the control socket ends all.

The process that the executor started stays outside the isolation and does one thing more: it removes the control groups
when everybody is gone.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness
import ipc
import kernel
import rootfs
import solution_process

STACK_BYTES = 2**30
SWEEP_TRIES = 40


def isolate(settings: dict[str, Any], put_up: dict[str, str]) -> int | None:
    """Put up the supervisor's isolation, and note each layer or why it is missing.

    Returns:
        The descriptor of the process namespace to come back to, None without namespaces.
    """
    root = os.geteuid() == 0
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    own = kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS
    try:
        if not settings["namespaces"]:
            raise OSError("switched off")
        if root:
            kernel.unshare(kernel.NEWNS | own)
        else:
            kernel.unshare_user(proc, kernel.NEWNS | own)
        rootfs.build(settings["paths"], settings["hidden"], settings["packages"], settings["devices"])
        put_up["namespaces"] = "mount, network, ipc, uts"
    except OSError as error:
        put_up["namespaces"] = f"missing: {error}"
    if root and (rootfs.public(settings["paths"][0]) or "missing" not in put_up["namespaces"]):
        _become_nobody(settings["user"], put_up)
    elif root:
        put_up["user"] = "missing: stays root without capabilities, whose interpreter nobody else may read"
    spaces = None
    if "missing" not in put_up["namespaces"]:
        try:
            if root:
                kernel.unshare_user(proc, kernel.NEWNS)
            kernel.unshare(kernel.NEWPID)
            if os.fork():
                os._exit(0)
            spaces = os.open("self/ns/pid", os.O_RDONLY, dir_fd=proc)
            put_up["namespaces"] += ", user, pid"
        except OSError as error:
            put_up["namespaces"] += f"; pid missing: {error}"
    os.close(proc)
    return spaces


def _become_nobody(user: int, put_up: dict[str, str]) -> None:
    for candidate in (user, 65534):
        try:
            kernel.become(candidate)
        except OSError:
            continue
        put_up["user"] = f"id {candidate}"
        return
    put_up["user"] = "missing: stays root"


def serve(control: socket.socket, settings: dict[str, Any], spaces: int | None, put_up: dict[str, str]) -> None:
    """Serve the orders of the executor until the control socket ends."""
    scratch = None
    if spaces is not None:
        try:
            scratch = rootfs.Scratch(settings["scratch_mb"])
            put_up["scratch"] = f"tmpfs of {settings['scratch_mb']} MiB"
        except OSError as error:
            put_up["scratch"] = f"missing: {error}"
    rules = solution_process.Rules.read(settings, put_up, spaces is not None)
    put_up |= rules.trial()
    harness.prepare()
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.collect()
    gc.freeze()
    ipc.send(control, {"layers": put_up, "pid": os.getpid()})
    while True:
        order, descriptors = ipc.receive(control)
        if "solution" in order:
            child = _fork_solution(solution_process.Order.read(order["solution"], descriptors, rules), rules, spaces)
            for descriptor in descriptors:
                os.close(descriptor)
            ipc.send(control, {"started": child})
            status = _wait(control, child)
            if scratch is not None and scratch.renew():
                rules.prepare()
            ipc.send(control, {"ended": status})


def _fork_solution(order: solution_process.Order, rules: solution_process.Rules, spaces: int | None) -> int:
    if spaces is not None:
        kernel.unshare(kernel.NEWPID)
    child = os.fork()
    if child == 0:
        try:
            solution_process.live(order, rules)
        finally:
            os._exit(97)
    if spaces is not None:
        kernel.setns(spaces, kernel.NEWPID)
    return child


def _wait(control: socket.socket, child: int) -> int:
    """Wait for a solution process, killing it on request.

    Leave at once when the engine is gone.
    """
    process = os.pidfd_open(child)
    poller = select.poll()
    poller.register(process, select.POLLIN)
    poller.register(control, select.POLLIN)
    try:
        while process not in (ready := {descriptor for descriptor, _ in poller.poll()}):
            if control.fileno() in ready:
                try:
                    ipc.receive(control)
                finally:  # an order during a run can only be to end it; so does the engine's end
                    os.kill(child, signal.SIGKILL)
    finally:
        os.close(process)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)  # what is left of its session, where no process namespace ended with it
    return os.waitstatus_to_exitcode(status)


def _sweep(groups: list[str]) -> None:
    """Wait outside for the last inner process, then remove the control groups."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    for group in groups:
        for _ in range(SWEEP_TRIES):  # a group may stay busy for a moment after its last process
            with contextlib.suppress(OSError):
                os.rmdir(group)
            if not os.path.exists(group):
                break
            time.sleep(0.05)


def _deep_stack() -> None:
    """Start again with room for a deep stack: only the start of a program makes room for it."""
    with contextlib.suppress(OSError, ValueError):  # the limits of a run are put up later
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    if resource.getrlimit(resource.RLIMIT_STACK)[0] != wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
        os.execv(sys.executable, sys.orig_argv)


def main() -> None:
    """Entry point."""
    _deep_stack()
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = ipc.receive(control)[0]["setup"]
    put_up: dict[str, str] = {}
    kernel.adopt_orphans()
    if os.fork():
        control.close()
        return _sweep(settings["groups"])
    for group in settings["groups"]:
        with open(os.path.join(group, "cgroup.procs"), "w") as file:
            file.write("0")
    sys.path += settings["site"]
    for name in settings["preload"]:  # before the isolation: afterwards a private interpreter may be out of reach
        with contextlib.suppress(ImportError):
            __import__(name)
    with contextlib.suppress(ipc.ChannelClosed):
        serve(control, settings, isolate(settings, put_up), put_up)
    os._exit(0)


if __name__ == "__main__":
    main()
