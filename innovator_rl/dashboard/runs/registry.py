"""Find the runs to show, keep the opened ones and summarize each in one row.

A run is a directory with a run.json, or with recorded responses, directly inside one of the roots. Names come from listing
those roots; a request can only pick one of them, so no name leads anywhere else, and links that leave a root are not followed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from innovator_rl.dashboard.runs.headline import HISTORY_POINTS, headline, summary, unreadable_row
from innovator_rl.dashboard.runs.run_session import CountAlerts, RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.runs.reading import last_steps
from innovator_rl.runs.run_dir import RunDir, RunState

log = logging.getLogger(__name__)

MOST_OPEN = 4
LOOK_SECONDS = 0.8
CLOSE_SECONDS = 30.0
RUN_FILES = ("run.json", "rollouts", "metrics.jsonl")

Row = dict[str, Any]


class Runs:
    """All runs below `roots`; the first root's run wins where two have one name."""

    def __init__(self, roots: Sequence[Path], demo: bool = False, count_alerts: CountAlerts | None = None) -> None:
        self.roots = [root.resolve() for root in roots]
        self.demo = demo
        self._count_alerts = count_alerts
        self._open: dict[Path, RunSession] = {}
        self._closing: dict[Path, threading.Thread] = {}
        self._guard = threading.Lock()
        self._looking = threading.Lock()
        self._looked = float("-inf")
        self._seen: dict[str, int] = {}
        self._summaries: dict[str, tuple[Any, Row]] = {}

    def by_name(self) -> dict[str, RunDir]:
        """Return every run by name."""
        found: dict[str, RunDir] = {}
        for root in self.roots:
            try:
                entries = sorted(root.iterdir())
            except OSError:
                continue
            for entry in entries:
                try:
                    if entry.name.startswith(".") or not entry.is_dir() or entry.resolve().parent != root:
                        continue
                except (OSError, RuntimeError):  # a link to itself
                    continue
                if any((entry / name).exists() for name in RUN_FILES):
                    run = RunDir(entry)
                    run.name = shown_name(entry)
                    found.setdefault(run.name, run)
        return found

    def stamps(self) -> dict[str, int]:
        """Return when each run.json was written, by run; all listeners share one look a second."""
        with self._looking:
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                found = {}
                for name, run in self.by_name().items():
                    try:
                        found[name] = run.run_json.stat().st_mtime_ns
                    except OSError:
                        found[name] = 0
                self._seen, self._looked = found, time.monotonic()
            return self._seen

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
        if closing := self._closing.get(run.path):
            closing.join(CLOSE_SECONDS)  # then its index can be taken again
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
        """Close the runs that were used least recently; a run that is being indexed takes its time, and nobody waits for it."""
        self._closing = {path: thread for path, thread in self._closing.items() if thread.is_alive()}
        while len(self._open) >= MOST_OPEN:
            oldest = min(self._open, key=lambda path: self._open[path].used)
            closing = threading.Thread(target=self._open.pop(oldest).close, name=f"close-{oldest.name}", daemon=True)
            self._closing[oldest] = closing
            closing.start()

    def close(self) -> None:
        """Close every open run."""
        with self._guard:
            while self._open:
                self._open.popitem()[1].close()
        for closing in self._closing.values():
            closing.join(CLOSE_SECONDS)

    def headlines(self, silent_after: float) -> list[Row]:
        """Return one row per run, newest first; a run that cannot be read has a row that says so."""
        rows = []
        for run in self.by_name().values():
            try:
                rows.append(self.headline(run, silent_after))
            except Exception as error:  # whatever is wrong with one run, the others are shown
                log.warning("run %r cannot be summarized", run.name, exc_info=True)
                rows.append({**unreadable_row(run.name), "problem": f"cannot be read: {type(error).__name__}: {error}"})
        with self._guard:
            known = {row["name"] for row in rows}
            self._summaries = {name: kept for name, kept in self._summaries.items() if name in known}
        return sorted(rows, key=lambda row: str(row["created"] or ""), reverse=True)

    def headline(self, run: RunDir, silent_after: float) -> Row:
        """Return a run's row in the list of runs."""
        state = run.state()
        session = self._open.get(run.path)
        return {
            **headline(run, state, {**self._summary(run, state), **recorded_figures(session)}, silent_after),
            "rows_recorded": self._rows(session),
            "alerts": session.alert_counts() if session else None,
            "problems": len(session.index.problems()) if session else None,
        }

    def _summary(self, run: RunDir, state: RunState) -> Row:
        """Return what the list shows of metrics.jsonl and config.yaml; they are read again only when they changed."""
        superseded = last_steps(state.record.get("attempts", []))
        stamp = (_stamp(run.metrics_jsonl), _stamp(run.config_yaml), tuple(superseded.items()))
        kept = self._summaries.get(run.name)
        if kept is None or kept[0] != stamp:
            kept = self._summaries[run.name] = (stamp, summary(run, superseded))
        return kept[1]

    @staticmethod
    def _rows(session: RunSession | None) -> int | None:
        if session is None:
            return None
        return session.cached(
            "rows", ("rollouts",), lambda: session.index.query("SELECT count(*) AS n FROM responses")[0]["n"]
        )  # type: ignore[no-any-return]


def incomplete_steps(rows: list[Row]) -> list[int]:
    """Return the newest steps whose update is not recorded, so that their figures are still those of a part."""
    updated = [row["step"] for row in rows if row["groups"] and not row["pending"]]
    return [row["step"] for row in rows if row["pending"] and row["step"] > max(updated, default=-1)]


def recorded_figures(session: RunSession | None) -> Row:
    """Return the rewards of an opened run as its curves have them; nothing where no step is complete."""
    if session is None or session.building:
        return {}

    def read() -> Row:
        session.index.aggregate()
        rows = session.index.query(
            "SELECT step, groups, pending, reward, reward_trained, accuracy FROM step_figures "
            "WHERE kind = 'train' AND by_column = 'all' ORDER BY step"
        )
        unfinished = incomplete_steps(rows)
        rows = [row for row in rows if row["step"] not in unfinished or len(unfinished) == len(rows)]
        rows = rows[-HISTORY_POINTS:]
        if not rows:
            return {}
        known = {name: rows[-1][name] for name in ("reward", "reward_trained", "accuracy")}
        for name in ("reward", "reward_trained"):
            known[f"{name}_history"] = [row[name] for row in rows if row[name] is not None] or None
        return {name: value for name, value in known.items() if value is not None}

    return session.cached("figures", ("rollouts", "words", "status"), read)


def shown_name(entry: Path) -> str:
    """Return the name of a run's directory; bytes that are not UTF-8 are escaped."""
    return os.fsencode(entry.name).decode("utf-8", "backslashreplace")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
