"""One lane of the pool: a keeper process, the judge it currently offers, and one request at a time.

The lane owns the deadline. It starts when the judge says that the rewarder is loaded and the call begins, so neither
the queue nor an import is charged to a response, and it ends with SIGKILL to the judge's process group.
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
from collections.abc import Mapping
from typing import Any

from innovator_rl.scoring import wire
from innovator_rl.scoring.api import Score, ScoreRequest, abstain, error_score
from innovator_rl.scoring.worker import MAX_DETAIL_CHARS

logger = logging.getLogger(__name__)

_ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
}


class WorkerDied(Exception):
    """The judge ended without an answer, `seconds` after the call began."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(f"{seconds:.3f} s after the call began")
        self.seconds = seconds


class NotLoaded(Exception):
    """The rewarder could not be imported in time."""


class WorkerHandle:
    """A keeper and its judge. Not thread-safe: each lane belongs to one thread of the pool."""

    def __init__(self, settings: Mapping[str, Any], start_seconds: float) -> None:
        self.settings = dict(settings)
        self.start_seconds = start_seconds
        self.keeper: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.worker_pid: int | None = None
        self.judge: socket.socket | None = None

    def run(self, request: ScoreRequest, seconds: float) -> tuple[list[Score], str]:
        """Judge one request within `seconds`: a score for each response, and a sentence where something went wrong.

        Raises `WorkerDied` when the judge dies by itself and `OSError` when none can be started.
        """
        try:
            message = wire.pack(request.to_dict())
        except (TypeError, ValueError) as error:
            return [abstain("bad_info")] * request.size, f"info is no JSON data: {error}"[:MAX_DETAIL_CHARS]
        try:
            reply = self._ask(message, seconds)
            scores = [Score.from_dict(fields) for fields in reply["scores"]]
            if len(scores) != request.size:
                raise ValueError(f"{len(scores)} scores for {request.size} responses")
        except NotLoaded as error:
            return [error_score("load_failed")] * request.size, str(error)
        except wire.TimedOut:
            late = error_score("timeout", seconds)
            return [late] * request.size, "killed at its deadline"
        except (KeyError, TypeError, ValueError) as error:
            self._kill_judge()
            raise WorkerDied from error
        if reply.get("last"):
            self._drop_judge()
        return scores, str(reply.get("detail", ""))

    def describe(self, name: str) -> dict[str, Any]:
        """What the judge says about a rewarder (`RewardWorker.describe`). Raises as `run` does."""
        try:
            return self._ask(wire.pack({"describe": name}), self.start_seconds)
        except (NotLoaded, wire.TimedOut) as error:
            return {"problem": str(error) or "loading it took too long"}

    def _ask(self, message: bytes, seconds: float) -> dict[str, Any]:
        """Send a message and wait for the reply; the deadline counts from the moment the judge says that it starts.

        Raises `NotLoaded` or `wire.TimedOut` with the judge killed, `WorkerDied` with it dropped.
        """
        judge = self._ready()
        try:
            wire.send_packed(judge, message, self.start_seconds)
            wire.receive(judge, self.start_seconds)
        except wire.TimedOut as error:
            self._kill_judge()
            raise NotLoaded(f"the rewarder was not loaded after {self.start_seconds:g} s") from error
        except wire.Closed as error:
            self._kill_judge()
            raise WorkerDied from error
        started = time.perf_counter()
        try:
            return wire.receive(judge, seconds)
        except wire.TimedOut:
            self._kill_judge()
            raise
        except wire.Closed as error:
            self._kill_judge()
            raise WorkerDied(time.perf_counter() - started) from error

    def warm(self, name: str) -> None:
        """Ask the keeper to import a rewarder before it forks its next judge."""
        if self.control is not None and name not in self.settings["warm"]:
            self.settings["warm"] = [*self.settings["warm"], name]
            with contextlib.suppress(OSError):
                self.control.send(json.dumps({"warm": name}).encode())

    def close(self) -> None:
        """End judge and keeper and wait for them."""
        self._kill_judge()
        if self.control is not None:
            self.control.close()
            self.control = None
        if self.keeper is not None:
            try:
                self.keeper.wait(2.0)
            except subprocess.TimeoutExpired:
                self.keeper.kill()
                self.keeper.wait()
            self.keeper = None

    def _ready(self) -> socket.socket:
        if self.judge is not None and wire.readable([self.judge.fileno()], 0):
            self._drop_judge()  # it died, or spoke, while nobody had asked
        if self.judge is None:
            fresh = self.keeper is None or self.keeper.poll() is not None
            if fresh:
                self.close()
                self._start_keeper()
            try:
                self._next_judge()
            except OSError:
                if fresh:
                    raise
                self._start_keeper()  # the end of an old keeper says nothing about a new one
                self._next_judge()
        assert self.judge is not None
        return self.judge

    def _start_keeper(self) -> None:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paths = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        command = [sys.executable, "-m", "innovator_rl.scoring.worker", str(theirs.fileno()), json.dumps(self.settings)]
        try:
            self.keeper = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if logger.isEnabledFor(logging.DEBUG) else subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": paths},
                start_new_session=True,
            )
        except OSError:
            mine.close()
            raise
        finally:
            theirs.close()
        self.control = mine

    def _next_judge(self) -> None:
        """Read the keeper's reports until it offers a judge."""
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
            if "judge" in report:
                self.worker_pid = int(report["judge"])
                self.judge = socket.socket(fileno=descriptors[0])
                return

    def _kill_judge(self) -> None:
        if self.worker_pid is not None:
            with contextlib.suppress(OSError):
                os.killpg(self.worker_pid, signal.SIGKILL)
        self._drop_judge()

    def _drop_judge(self) -> None:
        if self.judge is not None:
            self.judge.close()
        self.judge, self.worker_pid = None, None
