"""`innovator dashboard`: the page on which people read what their models really do.

    innovator dashboard                          the runs in runs/, at http://127.0.0.1:8000
    innovator dashboard /shared/runs --port 9000
    innovator dashboard --demo                   made-up runs, without training
    INNOVATOR_DASHBOARD_TOKEN=... innovator dashboard --host 0.0.0.0

It reads files only: no trainer needs to run, and none notices. On another address than loopback a token is required.
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
from typing import Annotated

import typer

from innovator_rl.errors import UserError
from innovator_rl.runs.run_dir import resolve_runs_dir

SHUTDOWN_SECONDS = 3


def dashboard(
    runs_dir: Annotated[str, typer.Argument(metavar="[RUNS_DIR]", help="Folder of run directories.")] = "runs",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0: any free one.")] = 8000,
    demo: Annotated[bool, typer.Option("--demo", help="Show made-up runs too.")] = False,
    token: Annotated[
        str | None,
        typer.Option(
            "--token", envvar="INNOVATOR_DASHBOARD_TOKEN", help="What a browser must present; see the address printed."
        ),
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option("--health", help="YAML file with other thresholds of the alarms.")
    ] = None,
) -> None:
    """Serve the page over the runs in RUNS_DIR until Ctrl-C."""
    from innovator_rl.dashboard.health.thresholds import read_thresholds
    from innovator_rl.dashboard.web.security import check_token

    check_token(host, token)
    limits = read_thresholds(thresholds)
    roots = _roots(runs_dir, demo)
    with _listening(host, port) as listening, _terminated_in_order(), contextlib.ExitStack() as stack:
        if demo:
            roots.append(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="innovator-demo-"))))
            from innovator_rl.dashboard.demo.write import write_demo

            write_demo(roots[-1])
        _serve(roots, host, token, limits, demo, listening)


@contextlib.contextmanager
def _terminated_in_order() -> Iterator[None]:
    """SIGTERM leaves by an exception, so that made-up runs are deleted; uvicorn raises it again when it has closed."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _roots(runs_dir: str, demo: bool) -> list[Path]:
    """The folder of runs; a run's own directory stands for the folder it lies in."""
    root = resolve_runs_dir(runs_dir)
    if (root / "run.json").is_file():
        root = root.parent
    if root.is_dir():
        return [root]
    if demo:
        return []
    raise UserError(
        f"there is no folder {str(root)!r}: name the folder of your runs, or look at made-up ones with --demo"
    )


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        raise UserError(
            f"cannot listen on --host {host} --port {port}: {error.strerror}; --port 0 takes a free one"
        ) from error
    with opened:
        yield opened


def _serve(
    roots: list[Path], host: str, token: str | None, limits: object, demo: bool, listening: socket.socket
) -> None:
    import uvicorn

    from innovator_rl.dashboard.app import create_app
    from innovator_rl.dashboard.health.thresholds import Thresholds

    assert isinstance(limits, Thresholds)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    app = create_app(roots, host=host, token=token, thresholds=limits, demo=demo)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS, server_header=False
    )
    name = f"[{host.strip('[]')}]" if ":" in host else host
    address = f"http://{name}:{listening.getsockname()[1]}/"
    typer.echo(
        f"dashboard: {address}{'?token=...' if token else ''}  over {', '.join(map(str, roots))}  (Ctrl-C ends it)"
    )
    uvicorn.Server(config).run(sockets=[listening])
