"""Render runs as Prometheus metrics: status, step, heartbeat and the figures of the last step.

    innovator runs metrics                          # one scrape, for the text-file collector
    innovator runs metrics --listen 127.0.0.1:9400  # an endpoint, /metrics

Readers of a run directory need no trainer, so the endpoint outlives the run and tells that it died.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from innovator_rl.runs.run_dir import ENDED, LIVE, RunDir, list_runs

PREFIX = "innovator"
STATUSES = (*LIVE, *ENDED, "dead", "unknown")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(runs: Iterable[RunDir]) -> str:
    """Return the metrics of some runs in Prometheus' text format.

    A run's own metrics are one family, `innovator_metric`, with their name as a label: the names of verl's and of ours
    change with the configuration, and a family must not.
    """
    families: dict[str, tuple[str, list[str]]] = {
        "run_status": ("1 for the status of the run, 0 for the others.", []),
        "run_step": ("Last completed step.", []),
        "run_steps": ("Steps of the whole run.", []),
        "run_attempts": ("Starts of the run.", []),
        "run_heartbeat_age_seconds": ("Seconds since the writer's last report.", []),
        "metric": ("Value of a metric at the last step that has it.", []),
    }

    def add(family: str, value: float | None, **labels: str) -> None:
        if value is not None and math.isfinite(value):
            named = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            families[family][1].append(f"{PREFIX}_{family}{{{named}}} {value:.10g}")

    for run in runs:
        state = run.state()
        for status in STATUSES:
            add("run_status", float(state.status == status), run=run.name, status=status)
        add("run_step", float(state.step), run=run.name)
        add("run_steps", None if state.total_steps is None else float(state.total_steps), run=run.name)
        add("run_attempts", float(state.attempt), run=run.name)
        add("run_heartbeat_age_seconds", state.heartbeat_age, run=run.name)
        for name, value in sorted(_last(run.metrics()).items()):
            add("metric", value, run=run.name, name=name)
    lines = []
    for family, (text, samples) in families.items():
        if samples:
            lines += [f"# HELP {PREFIX}_{family} {text}", f"# TYPE {PREFIX}_{family} gauge", *samples]
    return "\n".join([*lines, ""])


def _last(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        found.update({k: float(v) for k, v in row.items() if "/" in k and isinstance(v, (int, float))})
    return found


def _escaped(text: str) -> str:
    return re.sub(r"[\\\"]", r"\\\g<0>", text).replace("\n", "\\n")


def server(runs_dir: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server of `/metrics`; the caller runs and closes it.

    Raises:
        OSError: The address cannot be bound.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer one scrape."""
            known = self.path.split("?")[0] == "/metrics"
            body = render(list_runs(runs_dir)).encode() if known else b"/metrics\n"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep scrapes out of the terminal."""

    return ThreadingHTTPServer((host, port), Handler)
