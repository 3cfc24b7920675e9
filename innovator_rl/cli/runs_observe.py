"""Commands for monitoring: Prometheus metrics of the runs, a trace of a step, and OpenTelemetry spans."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.cli.listening import CANNOT_LISTEN, why_not
from innovator_rl.cli.parameters import RunName, RunsDir
from innovator_rl.errors import UserError
from innovator_rl.recorded_run import find_run
from innovator_rl.runs import events, prometheus
from innovator_rl.runs.files import dump_json
from innovator_rl.runs.run_dir import find_runs_dir, list_runs

LAST_PORT = 65535


def metrics(
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Serve /metrics at this address.")
    ] = None,
    runs_dir: RunsDir = "runs",
) -> None:
    """Print the runs as Prometheus metrics, or serve them."""
    folder = find_runs_dir(runs_dir)
    if listen is None:
        typer.echo(prometheus.render(list_runs(folder)), nl=False)
        return
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > LAST_PORT:
        raise UserError(
            f"--listen {listen!r} must be HOST:PORT with a port up to {LAST_PORT}, for example 127.0.0.1:9400"
        )
    try:
        serving = prometheus.server(folder, host, int(port))
    except CANNOT_LISTEN as error:
        raise UserError(f"--listen {listen}: {why_not(error)}") from error
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
    from innovator_rl.rollouts.spans import perfetto, step_spans

    run = find_run(name, runs_dir)
    found = events.trace(events.read_events(run / events.NAME), step)
    phases = sum(event["ph"] == "X" for event in found["traceEvents"])
    if not phases:
        raise UserError(f"--step {step}: run {name!r} has recorded no phase of it in {events.NAME}")
    samples = perfetto(step_spans(run, step))
    found["traceEvents"] += samples
    out.write_text(dump_json(found))
    scored = sum(event["name"] == "score" for event in samples)
    typer.echo(f"{phases} phases and {scored} samples of step {step} in {out}")


def spans(
    name: RunName,
    step: Annotated[int | None, typer.Option("--step", help="Training step; every recorded one if absent.")] = None,
    runs_dir: RunsDir = "runs",
) -> None:
    """Send the spans of a run to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names."""
    from innovator_rl.rollouts.spans import export, exporter, step_spans
    from innovator_rl.rollouts.store import Store

    run = find_run(name, runs_dir)
    steps = Store(run).steps()
    if not steps or (step is not None and step not in steps):
        raise UserError(
            f"--step {step}: run {name!r} has recorded steps {steps[0]} to {steps[-1]}"
            if steps
            else f"run {name!r} has recorded no responses yet"
        )
    target = exporter()
    for one in steps if step is None else [step]:
        found = step_spans(run, one)
        if not export(found, target):
            place = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
            raise UserError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT = {place!r}: no collector accepted the spans of step {one} there"
            )
        typer.echo(f"step {one}: {len(found)} spans")
