"""Commands for monitoring: Prometheus metrics of the runs, and a trace of a step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.cli.parameters import RunName, RunsDir
from innovator_rl.errors import UserError
from innovator_rl.recorded_run import find_run
from innovator_rl.runs import events, prometheus
from innovator_rl.runs.files import dump_json
from innovator_rl.runs.run_dir import list_runs, resolve_runs_dir


def metrics(
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Serve /metrics at this address.")
    ] = None,
    runs_dir: RunsDir = "runs",
) -> None:
    """Print the runs as Prometheus metrics, or serve them."""
    folder = resolve_runs_dir(runs_dir)
    if listen is None:
        typer.echo(prometheus.render(list_runs(folder)), nl=False)
        return
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or not host:
        raise UserError(f"--listen {listen!r} must be HOST:PORT, for example 127.0.0.1:9400")
    try:
        serving = prometheus.server(folder, host, int(port))
    except OSError as error:
        raise UserError(f"--listen {listen} cannot be bound ({error.strerror}); choose another port") from error
    typer.echo(f"metrics: http://{host}:{serving.server_port}/metrics", err=True)
    with serving:
        serving.serve_forever()


def trace(
    name: RunName,
    step: Annotated[int, typer.Option("--step", help="Training step.")],
    out: Annotated[Path, typer.Option("--out", help="File to write, for https://ui.perfetto.dev.")],
    runs_dir: RunsDir = "runs",
) -> None:
    """Write the phases of a step as a trace that Perfetto opens."""
    found = events.trace(events.read_events(find_run(name, runs_dir) / events.NAME), step)
    phases = sum(event["ph"] == "X" for event in found["traceEvents"])
    if not phases:
        raise UserError(f"--step {step}: run {name!r} has recorded no phase of it in {events.NAME}")
    out.write_text(dump_json(found))
    typer.echo(f"{phases} phases of step {step} in {out}")
