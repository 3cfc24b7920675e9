"""Serve the sandbox over HTTP in the form of SandboxFusion, for verl's own client.

    INNOVATOR_SANDBOX_TOKEN=... python -m rewards.code.service --host 0.0.0.0 --port 8080 --workers 8

The token comes as `Authorization: Bearer TOKEN` or, for clients that only know an address, as `?token=TOKEN`. Beyond
this machine the service does not start without one; it is looked at before any body is read. `GET /health` needs none and
says no more than ok; `GET /metrics` counts what runs, waits and has ended. Python is offered, and C++ where there is a
compiler. A client that hangs up ends its program. When no more programs may wait the answer is 504, the one status that
verl's client tries again.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hmac
import ipaddress
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rewards.code.connections import HEADER_SECONDS, bounded
from rewards.code.program import LANGUAGES
from rewards.code.sandbox.compiler import LIMITS as COMPILER_LIMITS
from rewards.code.sandbox.compiler import CompileError, NoCompiler, compile_cpp
from rewards.code.sandbox.executor import Sandbox, SolutionProcess
from rewards.code.sandbox.layers import LEVELS, probe_isolation
from rewards.code.sandbox.limits import Limits, Run, SandboxFailure
from rewards.code.sandbox.pool import Full, SandboxPool

TOKEN_VARIABLE = "INNOVATOR_SANDBOX_TOKEN"
MAX_SECONDS, MAX_MEMORY_MB = 60.0, 8192
MAX_STDIN_CHARS = 64 * 2**20
MAX_BODY_BYTES = MAX_STDIN_CHARS + 32 * 2**20
OPEN_PATHS = ("/health",)
BODY_SECONDS = 60.0
HANG_UP_SECONDS = 0.2


class RunCode(BaseModel):
    """SandboxFusion's request.

    `compile_timeout` has nothing to do for a Python script; `files` and `fetch_files` are not offered.
    """

    code: str = Field(max_length=1_000_000)
    stdin: str | None = Field(default=None, max_length=MAX_STDIN_CHARS)
    run_timeout: float = Field(default=10.0, gt=0, le=MAX_SECONDS)
    compile_timeout: float = Field(default=10.0, gt=0)
    memory_limit_MB: int = 512
    language: str = "python"
    files: dict[str, Any] = {}
    fetch_files: list[str] = []


class Gate:
    """A middleware that admits requests with the token and a bounded body.

    With a token of None it asks for none. It decides by the headers before anything of the body is read, and cuts a
    body that is longer than they announce.
    """

    def __init__(self, inner: ASGIApp, token: str | None, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.inner, self.token, self.max_bytes = inner, token, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.inner(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        seen, complete = 0, False

        async def capped() -> Message:
            nonlocal seen, complete
            try:
                message = await asyncio.wait_for(receive(), None if complete else BODY_SECONDS)
            except TimeoutError:
                raise HTTPException(408, f"the body must arrive within {BODY_SECONDS:g} s between its parts") from None
            complete = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                raise HTTPException(413, self._too_large())
            return message

        await self.inner(scope, capped, send)

    def _refusal(self, request: Request) -> JSONResponse | None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ") or request.query_params.get(
            "token", ""
        )
        if self.token is not None and not hmac.compare_digest(given.encode(), self.token.encode()):
            return _refuse(401, "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18:
            return _refuse(400, "content-length is no number of bytes")
        return _refuse(413, self._too_large()) if int(length) > self.max_bytes else None

    def _too_large(self) -> str:
        return f"the body may have {self.max_bytes} bytes"


def _refuse(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers={"connection": "close"})


class Job:
    """A program of one request, which can be canceled while it waits and while it runs."""

    def __init__(self, request: RunCode, limits: Limits) -> None:
        self.request, self.limits = request, limits
        self.stdin = (request.stdin or "").encode("utf-8", "surrogatepass")
        self._sandbox: Sandbox | None = None
        self._canceled = False
        self._lock = threading.Lock()

    def __call__(self, sandbox: Sandbox) -> Run:
        """Run the program in a worker's thread."""
        try:
            opened = self._open(sandbox)
        except CompileError as error:
            return dataclasses.replace(error.run, ending="compile_error", detail=str(error))
        with opened as solution:
            with self._lock:
                if self._canceled:
                    return Run("runtime_error", detail="canceled")
                self._sandbox = sandbox
            try:
                return solution.run(self.stdin)
            finally:
                with self._lock:
                    self._sandbox = None

    def _open(self, sandbox: Sandbox) -> SolutionProcess:
        if self.request.language == "python":
            return sandbox.open(self.request.code, limits=self.limits)
        seconds = min(self.request.compile_timeout, COMPILER_LIMITS.seconds)
        library, _ = compile_cpp(sandbox, self.request.code, dataclasses.replace(COMPILER_LIMITS, seconds=seconds))
        return sandbox.open_compiled(library, self.limits)

    def cancel(self) -> None:
        """End the program, or do not start it."""
        with self._lock:
            self._canceled = True
            if self._sandbox is not None:
                self._sandbox.kill()


class Metrics:
    """Counts of the service in the text form of Prometheus."""

    def __init__(self) -> None:
        self.endings: Counter[str] = Counter()
        self.seconds = 0.0
        self.open = 0

    def text(self, pool: SandboxPool) -> str:
        """Return all of them."""
        running = min(self.open, pool.workers)
        lines = ["# TYPE sandbox_programs_total counter"]
        lines += [f'sandbox_programs_total{{ending="{name}"}} {count}' for name, count in sorted(self.endings.items())]
        for name, kind, value in (
            ("sandbox_seconds_total", "counter", round(self.seconds, 3)),
            ("sandbox_workers", "gauge", pool.workers),
            ("sandbox_running", "gauge", running),
            ("sandbox_waiting", "gauge", self.open - running),
        ):
            lines += [f"# TYPE {name} {kind}", f"{name} {value}"]
        return "\n".join(lines) + "\n"


def app(pool: SandboxPool, token: str | None) -> FastAPI:
    """Return the service over a pool, which it closes at its end."""
    metrics = Metrics()

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(pool.close)

    service = FastAPI(title="Sandbox", lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    service.add_middleware(Gate, token=token)

    @service.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @service.get("/metrics")
    async def counts() -> PlainTextResponse:
        return PlainTextResponse(metrics.text(pool))

    @service.post("/run_code")
    async def run_code(request: RunCode, http: Request) -> dict[str, Any]:
        if request.language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            return _answer("SandboxError", f"language {request.language!r} is not offered; known: {known}")
        if request.files or request.fetch_files:
            return _answer("SandboxError", "files and fetch_files are not offered")
        limits = Limits(
            seconds=request.run_timeout,
            wall_seconds=request.run_timeout,
            memory_mb=min(request.memory_limit_MB if request.memory_limit_MB > 0 else 512, MAX_MEMORY_MB),
        )
        job = Job(request, limits)
        start = time.monotonic()
        try:
            waiting = pool.submit(job)
        except Full as error:
            metrics.endings["refused"] += 1
            raise HTTPException(504, str(error)) from None
        metrics.open += 1
        try:
            run = await _result_of(waiting, job, http)
        except (SandboxFailure, NoCompiler) as failure:
            metrics.endings["sandbox_failure"] += 1
            return _answer("SandboxError", str(failure))
        finally:
            metrics.open -= 1
            metrics.seconds += time.monotonic() - start
        if run is None:
            metrics.endings["canceled"] += 1
            raise HTTPException(499, "the client hung up")
        metrics.endings[run.ending] += 1
        return _result(run)

    return service


async def _result_of(waiting: Future[Run], job: Job, http: Request) -> Run | None:
    """Return the result, None where the client hung up and the program was ended."""
    result = asyncio.wrap_future(waiting)
    while not (await asyncio.wait([result], timeout=HANG_UP_SECONDS))[0]:
        if await http.is_disconnected():
            job.cancel()
            if not waiting.cancel():
                await asyncio.wait([result])
            return None
    return result.result()


def _answer(status: str, message: str, **parts: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"compile_result": None, "run_result": None, "executor_pod_name": None, "files": {}}
    return {"status": status, "message": message, **empty, **parts}


def _result(run: Run) -> dict[str, Any]:
    part = {
        "status": "TimeLimitExceeded" if run.ending == "time_limit_exceeded" else "Finished",
        "execution_time": run.wall,
        "return_code": run.status if run.ending == "finished" else run.status or 1,
        "stdout": run.stdout.decode("utf-8", "replace"),
        "stderr": run.stderr.decode("utf-8", "replace"),
    }
    if run.ending == "finished":
        return _answer("Success", "", run_result=part)
    message = f"{run.ending}: {run.detail}" if run.detail else run.ending
    if run.ending == "compile_error":
        return _answer(
            "Failed", message, compile_result={**part, "status": "Error", "stderr": part["stderr"] or run.detail}
        )
    return _answer("Failed", message, run_result=part)


def main(words: list[str] | None = None) -> None:
    """Parse the command line, check the isolation, and serve until stopped."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m rewards.code.service", description="Run programs over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--workers", type=int, default=None, help="programs at the same time; default: one a core")
    parser.add_argument("--waiting", type=int, default=1024, help="programs that may wait beyond those")
    parser.add_argument("--connections", type=int, default=None, help="connections that may be open")
    parser.add_argument(
        "--packages",
        nargs="*",
        default=["numpy", "sortedcontainers"],
        help="importable besides the standard library, e.g. numpy",
    )
    parser.add_argument("--isolation", choices=[*LEVELS], default="standard", help="refuse to start below this level")
    options = parser.parse_args(words)
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is None and not _is_loopback(options.host):
        parser.error(f"--host {options.host}: set {TOKEN_VARIABLE} to offer the service beyond this machine")
    report = probe_isolation()
    if report.missing(options.isolation):
        parser.error(f"--isolation {options.isolation}: {report.describe()}")
    pool = SandboxPool(options.workers, options.waiting, tuple(options.packages))
    listening = socket.create_server((options.host, options.port), backlog=2048)
    host, port = listening.getsockname()[:2]
    print(f"sandbox of {pool.workers} workers, isolation {report.level}: http://{host}:{port}", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):  # the server ends what runs, then raises the signal once more
        signal.signal(number, lambda *_: None)
    protocol = bounded(options.connections, HEADER_SECONDS)
    wait = round(MAX_SECONDS) + 10
    config = uvicorn.Config(app(pool, token), log_level="warning", http=protocol, timeout_graceful_shutdown=wait)
    uvicorn.Server(config).run(sockets=[listening])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main()
