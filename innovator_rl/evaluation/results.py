"""Hold the results of an evaluation, and turn them into the JSON document that reports are written from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from innovator_rl.evaluation.checkpoint import Checkpoint
from innovator_rl.evaluation.options import EvalOptions
from innovator_rl.evaluation.suite import Suite, SuiteRow
from innovator_rl.evaluation.task import PreparedTask, TaskOutcome
from innovator_rl.runs.files import dump_json


@dataclass
class RowResult:
    """One row of the suite with its outcome, or the reason why it was skipped."""

    row: SuiteRow
    skipped: str = ""
    prepared: PreparedTask | None = None
    outcome: TaskOutcome | None = None
    constant: float | None = None
    seconds: float = 0.0


@dataclass
class EvalResult:
    """An evaluation: what the report is written from."""

    suite: Suite
    checkpoint: Checkpoint
    options: EvalOptions
    run: Path
    rows: list[RowResult]
    footer: dict[str, Any] = field(default_factory=dict)


def metrics(result: EvalResult) -> dict[str, Any]:
    """Return every metric by name, as a run directory records it."""
    return {
        f"validation/{row.row.name}/{metric.name}": metric.estimate.score
        for row in result.rows
        if row.outcome is not None
        for metric in row.outcome.metrics
    }


def json_rows(result: EvalResult) -> list[dict[str, Any]]:
    """Return `task, metric, score, n, interval, skipped` and more of every metric, in the order of the suite."""
    rows: list[dict[str, Any]] = []
    for row in result.rows:
        base: dict[str, Any] = {"task": row.row.name, "title": row.row.shown, "section": row.row.section}
        base |= {"same_protocol": row.row.protocol, "paper": row.row.paper, "note": row.row.note}
        if row.outcome is None:
            reason = row.skipped or "not run yet"
            rows.append({**base, "metric": row.row.metric, "score": None, "n": 0, "interval": None, "skipped": reason})
            continue
        for place, metric in enumerate(row.outcome.metrics):
            estimate = metric.estimate
            interval = list(estimate.interval) if estimate.interval else None
            measured = {"metric": metric.name, "score": estimate.score, "n": estimate.n, "interval": interval}
            main = place == 0
            measured |= {"constant": row.constant if main else None}
            rows.append({**base, **measured, "skipped": None, "main": main, "share": metric.share})
    return rows


def stored(result: EvalResult) -> dict[str, Any]:
    """Return the whole evaluation with its numbers as they are (NaN included)."""
    tasks = {
        row.row.name: {
            "facts": row.outcome.facts,
            "values": row.outcome.values,
            "groups": row.outcome.groups,
            "seconds": row.seconds,
            "rows": row.prepared.rows,
            "whole": row.prepared.whole,
            "new_tokens": row.prepared.longest[1],
            "first_prompt": row.prepared.first_prompt,
            "first_tokens": list(row.prepared.first_tokens),
        }
        for row in result.rows
        if row.outcome is not None and row.prepared is not None
    }
    return {
        "suite": result.suite.name,
        "title": result.suite.title,
        "suite_note": result.suite.note,
        "columns": list(result.suite.columns),
        "averages": {row.row.name: row.row.average for row in result.rows if row.row.average},
        "model": result.checkpoint.name,
        "fingerprint": result.checkpoint.fingerprint,
        "run": str(result.run),
        "rows": json_rows(result),
        "tasks": tasks,
        "footer": result.footer,
    }


def document(result: EvalResult) -> dict[str, Any]:
    """Return the whole evaluation as JSON data, from which every report is written."""
    return json.loads(dump_json(stored(result)))  # type: ignore[no-any-return]
