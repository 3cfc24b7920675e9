"""Control one worker of the pool through its fork server.

A handle owns a fork server, the current worker process, and one request at a time.

The handle enforces the deadline. It starts when the worker reports that the rewarder is loaded and the call begins, so
that neither the queue nor an import is charged to a response. It ends with SIGKILL to the worker's process group.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from innovator_rl.errors import WorkerError
from innovator_rl.scoring import wire
from innovator_rl.scoring.api import Score, ScoreRequest, abstain, error_score
from innovator_rl.scoring.worker import MAX_DETAIL_CHARS
from innovator_rl.secret_values import reduced

logger = logging.getLogger(__name__)

MAX_CALL_SECONDS = 3600.0  # the longest deadline that a rewarder may ask for itself
_ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
}


class WorkerDied(WorkerError):
    """The worker process ended without an answer, `seconds` after the call began."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(f"{seconds:.3f} s after the call began")
        self.seconds = seconds


class RewarderNotLoaded(WorkerError):
    """The rewarder could not be imported in time."""


class WorkerHandle:
    """A fork server and its current worker, used by one thread of the pool only."""

    def __init__(
        self, settings: Mapping[str, Any], start_seconds: float, on_async: Callable[[str, int], None] | None = None
    ) -> None:
        """Prepare a handle; its processes start at the first request.

        Args:
            settings: The settings of the pool.
            start_seconds: How long starting a process or importing a rewarder may take.
            on_async: Called with the name of an async rewarder and its calls in flight, when a call of it begins.
        """
        self.on_async = on_async
        self.settings = dict(settings)
        self.start_seconds = start_seconds
        self.fork_server: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.worker_pid: int | None = None
        self.connection: socket.socket | None = None

    def run(self, request: ScoreRequest, seconds: float) -> tuple[list[Score], str]:
        """Score one request within `seconds`.

        Returns:
            One score per response, and a sentence where something went wrong.

        Raises:
            WorkerDied: The worker process ended by itself.
            OSError: No worker process could be started.
        """
        try:
            message = wire.pack(request.to_dict())
        except (TypeError, ValueError) as error:
            return [abstain("bad_info")] * request.size, f"info is not JSON data: {error}"[:MAX_DETAIL_CHARS]
        try:
            reply = self._call(message, seconds, request.rewarder)
            scores = [Score.from_dict(fields) for fields in reply["scores"]]
            if len(scores) != request.size:
                raise ValueError(f"{len(scores)} scores for {request.size} responses")
        except RewarderNotLoaded as error:
            return [error_score("load_failed")] * request.size, str(error)
        except wire.MessageTimeout:
            late = error_score("timeout", seconds)
            return [late] * request.size, "killed at its deadline"
        except (KeyError, TypeError, ValueError) as error:
            self.kill_worker()
            raise WorkerDied from error
        if reply.get("last"):
            self.drop_worker()
        return scores, str(reply.get("detail", ""))

    def describe(self, name: str) -> dict[str, Any]:
        """Return `RewardWorker.describe` of a rewarder; raises as `run` does."""
        try:
            return self._call(wire.pack({"describe": name}), self.start_seconds)
        except (RewarderNotLoaded, wire.MessageTimeout) as error:
            return {"problem": str(error) or "loading it took too long"}

    def open_async(self, name: str) -> tuple[socket.socket, float]:
        """Start a worker that answers many requests of one async rewarder at a time.

        Returns:
            A copy of its socket, and the least deadline that the rewarder asks for (seconds).

        Raises:
            WorkerError: It did not start, or could not load the rewarder in time.
            OSError: No worker process could be started.
        """
        connection = self._connect()
        try:
            wire.send(connection, {"concurrent": name}, self.start_seconds)
            begun = wire.receive(connection, self.start_seconds)
        except (wire.MessageTimeout, wire.ConnectionLost):
            self.kill_worker()
            raise
        return connection.dup(), min(float(begun.get("call_seconds", 0.0)), MAX_CALL_SECONDS)

    def _call(self, message: bytes, seconds: float, name: str = "") -> dict[str, Any]:
        """Send a message and wait for the reply.

        The deadline counts from the moment the call starts.

        Raises:
            RewarderNotLoaded: The rewarder was not imported in time; the worker has been killed.
            wire.MessageTimeout: The deadline passed; the worker has been killed.
            WorkerDied: The worker ended by itself.
        """
        connection = self._connect()
        try:
            wire.send_packed(connection, message, self.start_seconds)
            begun = wire.receive(connection, self.start_seconds)
            if self.on_async is not None and begun.get("in_flight"):
                self.on_async(name, int(begun["in_flight"]))
            seconds = max(seconds, min(float(begun.get("call_seconds", 0.0)), MAX_CALL_SECONDS))
        except wire.MessageTimeout as error:
            self.kill_worker()
            raise RewarderNotLoaded(f"the rewarder was not loaded after {self.start_seconds:g} s") from error
        except wire.ConnectionLost as error:
            self.kill_worker()
            raise WorkerDied from error
        started = time.perf_counter()
        try:
            return wire.receive(connection, seconds)
        except wire.MessageTimeout:
            self.kill_worker()
            raise
        except wire.ConnectionLost as error:
            self.kill_worker()
            raise WorkerDied(time.perf_counter() - started) from error

    def warm(self, name: str) -> None:
        """Ask the fork server to import a rewarder before it forks its next worker."""
        if self.control is None:  # the fork server starts with the next request, with this rewarder's secrets
            if set(reduced(os.environ, [name])) - set(reduced(os.environ, self.settings["warm"])):
                self.settings["warm"] = [*self.settings["warm"], name]
            return
        if name not in self.settings["warm"]:
            if set(reduced(os.environ, [name])) - set(reduced(os.environ, self.settings["warm"])):
                self.close()  # its secrets are not in the fork server's environment: the next one gets them
                self.settings["warm"] = [*self.settings["warm"], name]
                return
            self.settings["warm"] = [*self.settings["warm"], name]
            with contextlib.suppress(OSError):
                self.control.send(json.dumps({"warm": name}).encode())

    def close(self) -> None:
        """End the worker and the fork server and wait for them."""
        self.kill_worker()
        if self.control is not None:
            self.control.close()
            self.control = None
        if self.fork_server is not None:
            try:
                self.fork_server.wait(2.0)
            except subprocess.TimeoutExpired:
                self.fork_server.kill()
                self.fork_server.wait()
            self.fork_server = None

    def _connect(self) -> socket.socket:
        if self.connection is not None and wire.readable([self.connection.fileno()], 0):
            self.drop_worker()  # it died, or sent something without a request
        if self.connection is None:
            fresh = self.fork_server is None or self.fork_server.poll() is not None
            if fresh:
                self.close()
                self._start_fork_server()
            try:
                self._next_worker()
            except OSError:
                if fresh:
                    raise
                self._start_fork_server()  # why an old server ended says nothing about a new one
                self._next_worker()
        assert self.connection is not None
        return self.connection

    def _start_fork_server(self) -> None:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paths = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        command = [sys.executable, "-m", "innovator_rl.scoring.worker", str(theirs.fileno()), json.dumps(self.settings)]
        try:
            self.fork_server = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if logger.isEnabledFor(logging.DEBUG) else subprocess.DEVNULL,
                env={**reduced(os.environ, self.settings["warm"]), **_ONE_THREAD, "PYTHONPATH": paths},
                start_new_session=True,
            )
        except OSError:
            mine.close()
            raise
        finally:
            theirs.close()
        self.control = mine

    def _next_worker(self) -> None:
        """Read the fork server's reports until it offers a worker."""
        assert self.control is not None
        deadline = time.monotonic() + self.start_seconds
        while True:
            self.control.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                packet, descriptors, _, _ = socket.recv_fds(self.control, wire.MAX_PACKET_BYTES, 1)
            except OSError as error:  # TimeoutError included
                self.close()
                raise OSError(f"no scoring process after {self.start_seconds:g} s") from error
            if not packet:
                self.close()
                raise OSError("the scoring process ended while it started")
            report = json.loads(packet)
            if "worker" in report:
                self.worker_pid = int(report["worker"])
                self.connection = socket.socket(fileno=descriptors[0])
                return

    def kill_worker(self) -> None:
        """End the current worker with everything that it started."""
        if self.worker_pid is not None:
            with contextlib.suppress(OSError):
                os.killpg(self.worker_pid, signal.SIGKILL)
        self.drop_worker()

    def drop_worker(self) -> None:
        """Hang up, upon which the worker ends by itself."""
        if self.connection is not None:
            self.connection.close()
        self.connection, self.worker_pid = None, None
