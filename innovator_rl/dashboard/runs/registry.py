"""Find the runs to show, keep the opened ones and summarize each in one row.

A run is a directory with a run.json, or with recorded responses, directly inside one of the roots. Names come from listing
those roots; a request can only pick one of them, so no name leads anywhere else, and links that leave a root are not followed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from innovator_rl.dashboard.runs.run_session import CountAlerts, RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.recorder import recorded_losses
from innovator_rl.runs.metrics import read_metrics
from innovator_rl.runs.run_dir import RunDir, RunState
from innovator_rl.runs.summary import overall_accuracy, step_figures, trained_domains

MOST_OPEN = 4
HISTORY_POINTS = 60
RUN_FILES = ("run.json", "rollouts", "metrics.jsonl")

Row = dict[str, Any]


class Runs:
    """All runs below `roots`; the first root's run wins where two have one name."""

    def __init__(self, roots: Sequence[Path], demo: bool = False, count_alerts: CountAlerts | None = None) -> None:
        self.roots = [root.resolve() for root in roots]
        self.demo = demo
        self._count_alerts = count_alerts
        self._open: dict[Path, RunSession] = {}
        self._guard = threading.Lock()
        self._metrics: dict[Path, tuple[tuple[int, int], list[Row]]] = {}

    def by_name(self) -> dict[str, RunDir]:
        """Return every run by name."""
        found: dict[str, RunDir] = {}
        for root in self.roots:
            try:
                entries = sorted(root.iterdir())
            except OSError:
                continue
            for entry in entries:
                if entry.name.startswith(".") or not entry.is_dir() or entry.resolve().parent != root:
                    continue
                if any((entry / name).exists() for name in RUN_FILES):
                    found.setdefault(entry.name, RunDir(entry))
        return found

    def directory(self, name: str) -> RunDir:
        """Return the run with this name; raise `RequestError` (404) where there is none."""
        run = self.by_name().get(name)
        if run is None:
            raise RequestError(f"run not found: {name[:100]!r}", 404)
        return run

    def open(self, name: str) -> RunSession:
        """Open a run for reading and wait a short time for its index.

        Raise `RequestError` (404) where there is none.
        """
        run = self.directory(name)
        with self._guard:
            session = self._open.get(run.path)
            if session is None:
                self._close_oldest()
                session = self._open[run.path] = RunSession(run, self._count_alerts)
        session.wait()
        return session

    def open_sessions(self) -> list[RunSession]:
        """Return the runs that are open now."""
        return list(self._open.values())

    def _close_oldest(self) -> None:
        while len(self._open) >= MOST_OPEN:
            oldest = min(self._open, key=lambda path: self._open[path].used)
            self._open.pop(oldest).close()

    def close(self) -> None:
        """Close every open run."""
        with self._guard:
            while self._open:
                self._open.popitem()[1].close()

    def metrics(self, run: RunDir) -> list[Row]:
        """Return a run's metrics; the file is read again only when it changed."""
        try:
            stat = run.metrics_jsonl.stat()
        except OSError:
            return []
        stamp = (stat.st_mtime_ns, stat.st_size)
        cached = self._metrics.get(run.path)
        if cached is None or cached[0] != stamp:
            cached = self._metrics[run.path] = (stamp, read_metrics(run.metrics_jsonl))
        return cached[1]

    def headlines(self, silent_after: float) -> list[Row]:
        """Return one row per run, newest first."""
        rows = [self.headline(run, silent_after) for run in self.by_name().values()]
        return sorted(rows, key=lambda row: str(row["created"] or ""), reverse=True)

    def headline(self, run: RunDir, silent_after: float) -> Row:
        """Return a run's row in the list of runs."""
        state = run.state()
        record, metrics = state.record, self.metrics(run)
        figures = [(line, step_figures(line)) for line in metrics[-HISTORY_POINTS:]]
        last = figures[-1][1] if figures else {}
        rewards = [f["reward"] for _, f in figures if f.get("reward") is not None]
        domains = _domains(metrics[-1]) if metrics else None
        session = self._open.get(run.path)
        step_seconds = last.get("seconds")
        left = (state.total_steps or 0) - state.step
        return {
            "name": run.name,
            "status": state.status,
            "detail": state.detail,
            "step": state.step,
            "total_steps": state.total_steps,
            "phase": state.phase,
            "phase_seconds": _finite(state.phase_age) if state.live else None,
            "attempt": state.attempt,
            "attempts": len(record.get("attempts", [])),
            "created": record.get("created"),
            "heartbeat": record.get("heartbeat"),
            "heartbeat_age": _finite(state.heartbeat_age),
            "silent": is_silent(state, silent_after),
            "host": record.get("host"),
            "pid": record.get("pid"),
            "git": record.get("git"),
            "model": _model(run),
            "ray": ray_link(record),
            "reward": rewards[-1] if rewards else None,
            "accuracy": overall_accuracy(trained_domains(metrics[-1])) if metrics else None,
            "domains": domains,
            "reward_history": rewards,
            "tokens_per_second": last.get("tokens_per_second"),
            "step_seconds": step_seconds,
            "seconds_left": step_seconds * left if step_seconds and left > 0 and state.live else None,
            "rows_recorded": self._rows(session),
            "rows_dropped": recorded_losses(run.path)[0],
            "alerts": session.alert_counts() if session else None,
            "problems": len(session.index.problems()) if session else None,
        }

    @staticmethod
    def _rows(session: RunSession | None) -> int | None:
        if session is None:
            return None
        return session.cached(
            "rows", ("rollouts",), lambda: session.index.query("SELECT count(*) AS n FROM responses")[0]["n"]
        )  # type: ignore[no-any-return]


def is_silent(state: RunState, after: float) -> bool:
    """Return whether a run is dead or sent no heartbeat for `after` seconds.

    Only a run that should be alive counts.
    """
    return state.status == "dead" or (state.live and state.heartbeat_age > after)


def ray_link(record: Row) -> Row | None:
    """Return the run's Ray job, with the page of Ray's dashboard where it is known."""
    job, submission, address = (record.get(k) for k in ("ray_job_id", "ray_submission_id", "ray_dashboard"))
    if not (job or submission):
        return None
    web = str(address or "").startswith(("http://", "https://"))
    return {
        "job_id": job,
        "submission_id": submission,
        "url": f"{str(address).rstrip('/')}/#/jobs/{submission or job}" if web else None,
    }


def read_config(run: RunDir) -> tuple[Row | None, str]:
    """Return config.yaml as a mapping (None where it is not one) and as text."""
    try:
        text = run.config_yaml.read_text(encoding="utf-8", errors="replace")
        value = yaml.safe_load(text)
    except (OSError, yaml.YAMLError, RecursionError):
        return None, text if "text" in locals() else ""
    return (value if isinstance(value, dict) else None), text


def _model(run: RunDir) -> str | None:
    config, _ = read_config(run)
    model = (config or {}).get("model")
    return str(model.get("path")) if isinstance(model, dict) and model.get("path") else None


def _domains(metrics: Row) -> dict[str, Row] | None:
    """Return a step's figures per domain under the names of the API.

    None where there are none.
    """
    return {
        domain: {"scored" if name == "judged" else name: value for name, value in figures.items()}
        for domain, figures in trained_domains(metrics).items()
    } or None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
