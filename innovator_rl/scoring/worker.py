"""Run rewarders in disposable processes that a warm fork server starts.

A rewarder may hang inside a C++ library where no Python signal handler is ever reached, segfault, leak memory, or call
`os._exit`. Only a process that another process can kill protects the run from that. Importing RDKit and SymPy takes a
second or more, so each worker is a fork of a server that has already imported them: a new worker costs milliseconds.
The fork server itself never calls a rewarder on a response.

    python -m innovator_rl.scoring.worker CONTROL_FD SETTINGS_JSON

The fork server sends the pool each worker's process id together with the worker's socket (`socket.send_fds`). It waits
on the worker's process descriptor and on the pool, and reports how the worker ended. When the pool disappears, even by
SIGKILL, both processes end.
"""

from __future__ import annotations

import asyncio
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

from innovator_rl import secret_values
from innovator_rl.errors import UserError
from innovator_rl.scoring import registry, wire
from innovator_rl.scoring.api import Score, ScoreRequest, error_score
from innovator_rl.scoring.invoke import RewardCallable

_PR_SET_PDEATHSIG = 1
MAX_DETAIL_CHARS = 500
MAX_FILE_BYTES = 64 * 2**20  # a reward function has no reason to write large files


class RewardWorker:
    """Load each rewarder once and call it.

    Every failure short of the process's death becomes a `Score`.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.loaded: dict[str, RewardCallable] = {}
        self.failed: dict[str, tuple[str, str]] = {}
        self.mistakes: set[str] = set()  # those that failed for a reason that their writer can correct
        self.imported: set[str] = set()

    def warm(self, name: str) -> None:
        """Import a rewarder, or remember why it cannot be loaded."""
        if name in self.loaded or name in self.failed:
            return
        try:
            registry.require_known(name)
        except UserError as error:
            self.failed[name] = ("unknown_rewarder", str(error))
            self.mistakes.add(name)
            return
        try:
            rewarder = registry.load(name, self.settings)
            self.loaded[name] = RewardCallable(rewarder, registry.version(rewarder))
        except BaseException as error:  # a plugin that calls sys.exit while it is imported is a broken plugin
            self.failed[name] = ("load_failed", _describe(error))
            if isinstance(error, UserError):
                self.mistakes.add(name)
        self.imported = set(sys.modules)

    def call_seconds(self, name: str) -> float:
        """Return the least deadline that a rewarder asks for by its attribute `call_seconds`; 0 by default."""
        found = self.loaded.get(name)
        asked = getattr(found.rewarder, "call_seconds", 0.0) if found is not None else 0.0
        return float(asked) if isinstance(asked, (int, float)) else 0.0

    def score(self, request: ScoreRequest) -> tuple[list[Score], str]:
        """Return one score per response, and a sentence where something went wrong."""
        if request.rewarder in self.failed:
            reason, detail = self.failed[request.rewarder]
            return [error_score(reason)] * request.size, detail
        try:
            return self.loaded[request.rewarder](request), ""
        except BaseException as error:  # SystemExit and KeyboardInterrupt of a plugin included
            return self.failure(request, error)

    async def ascore(self, request: ScoreRequest, seconds: float) -> tuple[list[Score], str]:
        """Score on the running event loop within `seconds`; otherwise as `score`."""
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self.loaded[request.rewarder].acall(request), ""
        except BaseException as error:
            if isinstance(error, TimeoutError) and limit.expired():
                return [error_score("timeout", seconds)] * request.size, "canceled at its deadline"
            return self.failure(request, error)

    def failure(self, request: ScoreRequest, error: BaseException) -> tuple[list[Score], str]:
        """Return the scores of a call that raised, and a sentence."""
        if isinstance(error, MemoryError):
            return [error_score("memory")] * request.size, f"more than {self.settings.get('memory_mb')} MiB"
        return [error_score("raised")] * request.size, _describe(error)

    def in_flight(self, name: str) -> int:
        """Return how many calls of a rewarder may wait at the same time; 0 where it is not `async` or not loaded."""
        return self.loaded[name].in_flight if name in self.loaded else 0

    def describe(self, name: str) -> dict[str, Any]:
        """Describe a rewarder without calling it.

        `problem` is the reason why it cannot be loaded, or what its own `ready` reports, or empty; `mistake` is whether
        that reason is a `UserError`.
        """
        self.warm(name)
        if name in self.failed:
            return {"problem": self.failed[name][1], "mistake": name in self.mistakes}
        loaded = self.loaded[name]
        try:
            problem = loaded.ready()
        except BaseException as error:
            problem = _describe(error)
        return {
            "problem": secret_values.mask(problem)[:MAX_DETAIL_CHARS],
            "version": loaded.version,
            "arguments": list(loaded.names),
            "group": loaded.group,
            "source": str(registry.source(loaded.rewarder) or ""),
            "late_imports": sorted(
                {module.partition(".")[0] for module in set(sys.modules) - self.imported} - sys.stdlib_module_names
            ),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def _masked(score: Score, seconds: float) -> dict[str, Any]:
    """Return a score as data with its time, without the values of secrets."""
    fields = {**score.to_dict(), "seconds": seconds}
    return fields if score.extracted is None else {**fields, "extracted": secret_values.mask_found(score.extracted)}


def _describe(error: BaseException) -> str:
    try:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        return secret_values.mask(f"{kind}{error}"[:MAX_DETAIL_CHARS])
    except BaseException:
        return type(error).__name__


def serve(sock: socket.socket, worker: RewardWorker, max_tasks: int) -> None:
    """Answer requests until `max_tasks` were served or memory ran out.

    Each request is answered twice: with `started` once the rewarder is loaded, when the pool's deadline begins, and
    with the scores.
    """
    memory_mb = int(worker.settings.get("memory_mb") or 0)
    if memory_mb:
        limit = memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
    for done in range(1, max_tasks + 1):
        message = wire.receive(sock)
        if "describe" in message:
            wire.send(sock, {"started": True})
            wire.send(sock, worker.describe(message["describe"]))
            continue
        name = str(message.get("concurrent") or message["rewarder"])
        worker.warm(name)
        call_seconds, in_flight = worker.call_seconds(name), worker.in_flight(name)
        wire.send(sock, {"started": True, "call_seconds": call_seconds, "in_flight": in_flight})
        if "concurrent" in message:
            asyncio.run(_serve_many(sock, worker))
            return
        request = ScoreRequest.from_dict(message)
        start = time.perf_counter()
        scores, detail = worker.score(request)
        seconds = (time.perf_counter() - start) / len(scores)
        last = done == max_tasks or scores[0].reason == "memory"
        results = [_masked(score, seconds) for score in scores]
        wire.send(sock, {"scores": results, "detail": detail, "last": last})
        if last:
            return


async def _serve_many(sock: socket.socket, worker: RewardWorker) -> None:
    """Answer numbered requests of one async rewarder in the order in which they finish, until the pool hangs up."""
    reader, writer = await asyncio.open_connection(sock=sock)
    running: set[asyncio.Task[None]] = set()

    async def answer(message: dict[str, Any]) -> None:
        request = ScoreRequest.from_dict(message["request"])
        start = time.perf_counter()
        scores, detail = await worker.ascore(request, float(message["seconds"]))
        seconds = (time.perf_counter() - start) / len(scores)
        results = [_masked(score, seconds) for score in scores]
        writer.write(wire.pack({"number": message["number"], "scores": results, "detail": detail}))

    with contextlib.suppress(wire.ConnectionLost):
        while True:
            task = asyncio.create_task(answer(await wire.areceive(reader)))
            running.add(task)  # the event loop keeps weak references only
            task.add_done_callback(running.discard)


def _fork_worker(control: socket.socket, worker: RewardWorker, max_tasks: int) -> int:
    pool_end, worker_end = socket.socketpair()
    server = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != server:
                return os._exit(1)
            control.close()
            pool_end.close()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            with contextlib.suppress(wire.ConnectionLost):
                serve(worker_end, worker, max_tasks)
        finally:
            os._exit(0)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    socket.send_fds(control, [json.dumps({"worker": child}).encode()], [pool_end.fileno()])
    pool_end.close()
    worker_end.close()
    return child


def run_fork_server(control: socket.socket, settings: Mapping[str, Any], max_tasks: int) -> None:
    """Fork one worker after another until the pool closes the control socket.

    The server reports how each worker ended before it forks the next.
    """
    worker = RewardWorker(settings)
    for name in settings.get("warm", ()):
        worker.warm(name)
    while True:
        child = _fork_worker(control, worker, max_tasks)
        process = os.pidfd_open(child)
        while process not in wire.readable([process, control.fileno()]):
            order = control.recv(wire.MAX_PACKET_BYTES)
            if not order:  # the pool is gone
                with contextlib.suppress(OSError):
                    os.killpg(child, signal.SIGKILL)
                return
            worker.warm(json.loads(order)["warm"])
        os.close(process)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # what the worker left behind in its group
        control.send(json.dumps({"ended": child, "status": os.waitstatus_to_exitcode(status)}).encode())


def main() -> None:
    """Run the fork server; the entry point of its process."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(sys.argv[2])
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        run_fork_server(control, settings, int(settings["max_tasks"]))


if __name__ == "__main__":
    main()
