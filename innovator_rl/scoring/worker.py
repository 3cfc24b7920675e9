"""The processes behind the pool: a keeper that stays warm, and the judge it forks, which alone runs rewarders.

A rewarder may hang inside a C++ library where no Python signal handler is ever reached, segfault, leak, or call
`os._exit`. Only a process that somebody else kills is safe from that. Importing RDKit and SymPy takes a second or
more, so the process that is killed is a fork of one that has already imported them: a new judge costs milliseconds.
The keeper itself never runs a rewarder on a response.

    python -m innovator_rl.scoring.worker CONTROL_FD SETTINGS_JSON

The keeper reports each judge to the pool with the judge's own socket (`socket.send_fds`), waits on its process
descriptor and on the pool, and reports how it ended. When the pool disappears, even by SIGKILL, both end.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring import registry, wire
from innovator_rl.scoring.api import Score, ScoreRequest, error_score
from innovator_rl.scoring.invoke import RewardCallable

_PR_SET_PDEATHSIG = 1
MAX_DETAIL_CHARS = 500
MAX_FILE_BYTES = 64 * 2**20  # a judge writes no files to speak of


class RewardWorker:
    """Loads rewarders once each and calls them; every failure short of the process's death becomes a `Score`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.loaded: dict[str, RewardCallable] = {}
        self.failed: dict[str, tuple[str, str]] = {}
        self.imported: set[str] = set()

    def warm(self, name: str) -> None:
        """Import a rewarder; remember why when it cannot be had."""
        if name in self.loaded or name in self.failed:
            return
        try:
            registry.check(name)
        except UserError as error:
            self.failed[name] = ("unknown_rewarder", str(error))
            return
        try:
            rewarder = registry.load(name, self.settings)
            self.loaded[name] = RewardCallable(rewarder, registry.version(rewarder))
        except BaseException as error:  # a plugin that calls sys.exit while it is imported is a broken plugin
            self.failed[name] = ("load_failed", _describe(error))
        self.imported = set(sys.modules)

    def judge(self, request: ScoreRequest) -> tuple[list[Score], str]:
        """A score for each response and, where something went wrong, a sentence about it."""
        if request.rewarder in self.failed:
            reason, detail = self.failed[request.rewarder]
            return [error_score(reason)] * request.size, detail
        try:
            return self.loaded[request.rewarder](request), ""
        except MemoryError:
            reason, detail = "memory", f"more than {self.settings.get('memory_mb')} MiB"
        except BaseException as error:  # SystemExit and KeyboardInterrupt of a plugin are its own, not ours
            reason, detail = "raised", _describe(error)
        return [error_score(reason)] * request.size, detail

    def describe(self, name: str) -> dict[str, Any]:
        """What a rewarder is, without calling it; `problem` says why it cannot be had."""
        self.warm(name)
        if name in self.failed:
            return {"problem": self.failed[name][1]}
        caller = self.loaded[name]
        return {
            "problem": "",
            "version": caller.version,
            "arguments": list(caller.names),
            "group": caller.group,
            "source": str(registry.source(caller.rewarder) or ""),
            "late_imports": sorted(
                {module.partition(".")[0] for module in set(sys.modules) - self.imported} - sys.stdlib_module_names
            ),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def _describe(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:MAX_DETAIL_CHARS]
    except BaseException:
        return type(error).__name__


def serve(sock: socket.socket, judge: RewardWorker, max_tasks: int) -> None:
    """A judge's life: read a request, say that it starts, answer; leave after `max_tasks` or when memory ran out."""
    memory_mb = int(judge.settings.get("memory_mb") or 0)
    if memory_mb:
        limit = memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
    for done in range(1, max_tasks + 1):
        message = wire.receive(sock)
        if "describe" in message:
            wire.send(sock, {"started": True})
            wire.send(sock, judge.describe(message["describe"]))
            continue
        request = ScoreRequest.from_dict(message)
        judge.warm(request.rewarder)
        wire.send(sock, {"started": True})
        start = time.perf_counter()
        scores, detail = judge.judge(request)
        seconds = (time.perf_counter() - start) / len(scores)
        last = done == max_tasks or scores[0].reason == "memory"
        results = [{**score.to_dict(), "seconds": seconds} for score in scores]
        wire.send(sock, {"scores": results, "detail": detail, "last": last})
        if last:
            return


def _fork_judge(control: socket.socket, judge: RewardWorker, max_tasks: int) -> int:
    pool_end, judge_end = socket.socketpair()
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:
                return os._exit(1)
            control.close()
            pool_end.close()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            with contextlib.suppress(wire.Closed):
                serve(judge_end, judge, max_tasks)
        finally:
            os._exit(0)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    socket.send_fds(control, [json.dumps({"judge": child}).encode()], [pool_end.fileno()])
    pool_end.close()
    judge_end.close()
    return child


def keep(control: socket.socket, settings: Mapping[str, Any], max_tasks: int) -> None:
    """A keeper's life: fork a judge, wait until it ends, say how, fork the next; until the pool hangs up."""
    judge = RewardWorker(settings)
    for name in settings.get("warm", ()):
        judge.warm(name)
    while True:
        child = _fork_judge(control, judge, max_tasks)
        process = os.pidfd_open(child)
        while process not in wire.readable([process, control.fileno()]):
            order = control.recv(wire.MAX_PACKET_BYTES)
            if not order:  # the pool is gone
                with contextlib.suppress(OSError):
                    os.killpg(child, signal.SIGKILL)
                return
            judge.warm(json.loads(order)["warm"])
        os.close(process)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # what the judge left behind in its group
        control.send(json.dumps({"ended": child, "status": os.waitstatus_to_exitcode(status)}).encode())


def main() -> None:
    """Entry point of the keeper process."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(sys.argv[2])
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        keep(control, settings, int(settings["max_tasks"]))


if __name__ == "__main__":
    main()
