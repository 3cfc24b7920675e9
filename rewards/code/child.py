"""Runs a program of the model's in a child process with resource limits, and talks to it. UNSAFE: this is no sandbox.

The limits stop accidents: memory, processor time, file size, a wall-clock deadline that kills the whole process
group. They do not stop an attack: the program sees the host's files and network with the rights of the trainer. What
holds even so is that no expected value ever enters the child: it receives inputs and returns outputs as JSON, and the
comparison happens outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

MAX_OUTPUT_BYTES = 4 * 2**20
MAX_FILE_BYTES = 16 * 2**20
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
_PR_SET_PDEATHSIG = 1

HARNESS = """
import json, socket, sys
def encode(value, depth=0):
    if depth > 400:
        raise ValueError("too deep")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [encode(item, depth + 1) for item in value]
    if isinstance(value, (set, frozenset)):
        return {"__set__": [encode(item, depth + 1) for item in value]}
    if isinstance(value, dict):
        return {"__dict__": [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]}
    return {"__object__": type(value).__name__, "fields": encode(vars(value), depth + 1)}
def decode(value):
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if "__set__" in value:
            return set(decode(value["__set__"]))
        if "__dict__" in value:
            return {decode(k): decode(v) for k, v in value["__dict__"]}
        kind = space[value["__object__"]]
        thing = kind.__new__(kind)
        thing.__dict__.update(decode(value["fields"]))
        return thing
    return value
stream = socket.socket(fileno=int(sys.argv[1])).makefile("rw", encoding="utf-8", errors="surrogatepass")
start = json.loads(stream.readline())
space = {"__name__": "solution"}
try:
    exec(compile(start["prelude"], "prelude.py", "exec"), space)
    exec(compile(start["program"], "solution.py", "exec"), space)
    answer = {"ready": True}
except BaseException as error:
    answer = {"error": type(error).__name__}
print(json.dumps(answer), file=stream, flush=True)
for line in stream:
    call = decode(json.loads(line))
    try:
        answer = {"value": encode(eval(start["entry_point"], space)(*call["args"], **call["kwargs"]))}
    except BaseException as error:
        answer = {"error": type(error).__name__}
    print(json.dumps(answer), file=stream, flush=True)
"""


class ProgramFailed(Exception):
    """The program did not give an output; `reason` is a short code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


def _limits(seconds: float, memory_mb: int) -> Callable[[], None]:
    memory = memory_mb * 2**20
    processor = int(seconds) + 1
    caps = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: processor,
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NPROC: 256,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }

    def apply() -> None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for limit, cap in caps.items():
            _, hard = resource.getrlimit(limit)
            lowered = cap if hard == resource.RLIM_INFINITY else min(cap, hard)
            resource.setrlimit(limit, (lowered, lowered))

    return apply


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_stdio(program: str, text: str, seconds: float, memory_mb: int) -> str:
    """The standard output of a program that reads `text`. Raises `ProgramFailed`."""
    with tempfile.TemporaryDirectory(prefix="innovator-code-") as folder:
        with open(os.path.join(folder, "solution.py"), "w", encoding="utf-8", errors="replace") as file:
            file.write(program)
        with tempfile.TemporaryFile() as stdin:
            stdin.write(text.encode("utf-8", "replace"))
            stdin.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-I", "solution.py"],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=_ENVIRONMENT,
                start_new_session=True,
                preexec_fn=_limits(seconds, memory_mb),
            )
        assert process.stdout is not None
        try:
            output = _read(process.stdout.fileno(), time.monotonic() + seconds)
            try:
                code = process.wait(0.5)
            except subprocess.TimeoutExpired as error:
                raise ProgramFailed("time_limit_exceeded") from error
        finally:
            _end(process)
            process.stdout.close()
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ProgramFailed("time_limit_exceeded")
    if code != 0:
        raise ProgramFailed("runtime_error", f"exit code {code}")
    return output.decode("utf-8", "replace")


def _read(descriptor: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise ProgramFailed("time_limit_exceeded")
        part = os.read(descriptor, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > MAX_OUTPUT_BYTES:
            raise ProgramFailed("output_limit_exceeded")


class Session:
    """A child that has loaded a program and answers calls of its entry point. Use as a context manager."""

    def __init__(self, program: str, entry_point: str, prelude: str, seconds: float, memory_mb: int) -> None:
        self.deadline = time.monotonic() + seconds
        self.folder = tempfile.TemporaryDirectory(prefix="innovator-code-")
        self.socket, theirs = socket.socketpair()
        self.buffer = b""
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", HARNESS, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=self.folder.name,
                env=_ENVIRONMENT,
                start_new_session=True,
                preexec_fn=_limits(seconds, memory_mb),
            )
        self.start = {"program": program, "entry_point": entry_point, "prelude": prelude}

    def __enter__(self) -> Session:
        try:
            self._exchange(self.start)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The entry point's return value as JSON data. Raises `ProgramFailed`."""
        request = {"args": args, "kwargs": {"__dict__": [[key, value] for key, value in kwargs.items()]}}
        return self._exchange({"__dict__": [[key, value] for key, value in request.items()]})["value"]

    def close(self) -> None:
        """Kill the child and everything in its group."""
        _end(self.process)
        self.socket.close()
        self.folder.cleanup()

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            self._settle()
            self.socket.sendall(json.dumps(message).encode("utf-8", "surrogatepass") + b"\n")
            while b"\n" not in self.buffer:
                self._settle()
                part = self.socket.recv(65536)
                if not part:
                    raise ProgramFailed("runtime_error", "the program ended")
                self.buffer += part
                if len(self.buffer) > MAX_OUTPUT_BYTES:
                    raise ProgramFailed("output_limit_exceeded")
        except TimeoutError as error:
            raise ProgramFailed("time_limit_exceeded") from error
        except OSError as error:
            raise ProgramFailed("runtime_error", "the program ended") from error
        line, _, self.buffer = self.buffer.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise ProgramFailed("runtime_error", "no JSON") from error
        if not isinstance(answer, dict) or not ({"value", "ready"} & set(answer)):
            raise ProgramFailed("runtime_error", str(answer)[:100])
        return answer

    def _settle(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise ProgramFailed("time_limit_exceeded")
        self.socket.settimeout(left)
