"""Start an engine process, send it requests and receive responses as they finish."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from innovator_rl import platform
from innovator_rl.errors import UserError
from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.evaluation.requests import Request, Response, response_from_wire, to_wire
from innovator_rl.platform.private_folder import PrivateFolder

START_SECONDS = 1800.0  # reading a hundred gigabytes from a network disk
SILENT_SECONDS = 3600.0  # no response at all for this long means that the engine hangs


class EngineClient:
    """One engine process; use it as a context manager."""

    def __init__(self, settings: EngineSettings, log: Path) -> None:
        """Start the process and wait until the model is loaded.

        Args:
            settings: The model and how to run it.
            log: Where the output of the process goes.

        Raises:
            UserError: The model cannot be loaded.
        """
        self.settings = settings
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log_file: IO[bytes] = log.open("ab")
        self._folder = PrivateFolder()  # the process is killed at its end, so it cannot remove what it leaves
        command = [sys.executable, "-m", "innovator_rl.evaluation.engine.process", settings.to_json()]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            env={**_environment(settings), **self._folder.environment()},
            text=True,
            encoding="utf-8",
        )
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True, name="engine-responses").start()
        try:
            self.description: dict[str, Any] = self._next(START_SECONDS)["ready"]
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Return the process id, for fault injection."""
        return self._process.pid

    def answer(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """Yield the index and the response of each request as it finishes.

        Raises:
            UserError: The engine failed.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([to_wire(request) for request in requests]) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # the process is gone; the next message says why
        while True:
            message = self._next(SILENT_SECONDS)
            if message.get("done"):
                return
            yield int(message["index"]), response_from_wire(message["response"])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._folder.remove()
        for stream in (self._process.stdin, self._log_file):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._messages.put(json.loads(line))
        self._messages.put(None)

    def _next(self, seconds: float) -> dict[str, Any]:
        try:
            message = self._messages.get(timeout=seconds)
        except queue.Empty:
            raise UserError(f"the engine gave no sign for {seconds:.0f} s; see {self._log}") from None
        if message is None:
            code = self._process.wait()
            cause = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            raise UserError(f"the engine {cause} while it ran {self.settings.model}; see {self._log}")
        if "error" in message:
            raise UserError(f"model {self.settings.model}: the engine failed ({message['error']}); see {self._log}")
        return message


def _environment(settings: EngineSettings) -> dict[str, str]:
    """Return the environment of the process: the platform's, and no progress bars."""
    chosen = platform.environment(settings.threads, settings.kv_cache_gb)
    return {**os.environ, **chosen, "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
