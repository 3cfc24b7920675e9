"""Serve the web UI for inspecting rollouts: `innovator dashboard`.

    innovator dashboard                          the runs in runs/, at http://127.0.0.1:8000
    innovator dashboard /shared/runs --port 9000
    innovator dashboard s3://bucket/runs         runs in object storage, read-only
    innovator dashboard --demo                   synthetic runs, without training
    INNOVATOR_DASHBOARD_TOKEN=... innovator dashboard --host 0.0.0.0

It only reads files, so no trainer needs to run. Any address but loopback requires a token.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from innovator_rl.cli.listening import CANNOT_LISTEN, why_not
from innovator_rl.errors import UserError
from innovator_rl.runs.run_dir import resolve_runs_dir

if TYPE_CHECKING:
    from innovator_rl.dashboard.health.thresholds import Thresholds

SHUTDOWN_SECONDS = 3


def dashboard(
    runs_dir: Annotated[
        str, typer.Argument(metavar="RUNS_DIR", help="Folder of run directories, or its URL (s3://, gs://).")
    ] = "runs",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0: any free one.")] = 8000,
    demo: Annotated[bool, typer.Option("--demo", help="Include synthetic demo runs.")] = False,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="INNOVATOR_DASHBOARD_TOKEN", help="Token that every browser must present."),
    ] = None,
    root_path: Annotated[
        str, typer.Option("--root-path", help="Path below which a proxy serves the page, such as /dash.")
    ] = "",
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder that keeps the copy of runs at a URL; else a temporary one.")
    ] = None,
    thresholds: Annotated[Path | None, typer.Option("--health", help="YAML file with alert thresholds.")] = None,
) -> None:
    """Serve the web UI for the runs in RUNS_DIR until Ctrl-C."""
    from innovator_rl.dashboard.health.thresholds import read_thresholds
    from innovator_rl.dashboard.runs.remote import RemoteRuns, is_url
    from innovator_rl.dashboard.web.security import check_token

    check_token(host, token)
    if root_path and not root_path.startswith("/"):
        raise UserError(f"--root-path {root_path!r}: must begin with /, such as /dash")
    limits = read_thresholds(thresholds)
    if cache and not is_url(runs_dir):
        raise UserError(f"--cache {str(cache)!r}: expected with runs at a URL; {runs_dir!r} is read in place")
    roots = [] if is_url(runs_dir) else _roots(runs_dir, demo)
    with _listening(host, port) as listening, _terminated_in_order(), contextlib.ExitStack() as stack:
        if is_url(runs_dir):
            folder = cache or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="innovator-remote-")))
            roots.append(stack.enter_context(RemoteRuns(runs_dir, folder)).folder)
        if demo:
            roots.append(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="innovator-demo-"))))
            from innovator_rl.dashboard.demo.write import write_demo

            write_demo(roots[-1])
        _serve(roots, host, token, limits, demo, root_path, listening)


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that synthetic runs are deleted.

    Uvicorn raises it again after closing.
    """
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _roots(runs_dir: str, demo: bool) -> list[Path]:
    """Return the folder of runs; a run's own directory stands for its parent."""
    root = resolve_runs_dir(runs_dir)
    if (root / "run.json").is_file():
        root = root.parent
    if root.is_dir():
        return [root]
    if demo:
        return []
    raise UserError(
        f"RUNS_DIR={str(root)!r}: folder not found; give the folder of your runs, or show synthetic ones with --demo"
    )


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except CANNOT_LISTEN as error:
        raise UserError(f"--host {host} --port {port}: {why_not(error)}") from error
    with listening:
        yield listening


def _serve(
    roots: list[Path],
    host: str,
    token: str | None,
    limits: Thresholds,
    demo: bool,
    root_path: str,
    listening: socket.socket,
) -> None:
    import uvicorn

    from innovator_rl.dashboard.app import create_app

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    app = create_app(roots, host=host, token=token, thresholds=limits, demo=demo, root_path=root_path)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS, server_header=False
    )
    name = f"[{host.strip('[]')}]" if ":" in host else host
    address = f"http://{name}:{listening.getsockname()[1]}/"
    config.load()  # imports what the server needs, so that a signal after the line below finds it ready
    typer.echo(
        f"dashboard: {address}{'?token=...' if token else ''}  over {', '.join(map(str, roots))}  (Ctrl-C to stop)"
    )
    uvicorn.Server(config).run(sockets=[listening])
