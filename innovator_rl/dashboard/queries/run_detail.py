"""Describe a run apart from its curves, and compare several runs.

The description has attempts, configuration and what is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from innovator_rl.dashboard.runs.config_file import read_config
from innovator_rl.dashboard.runs.labels import Labels
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.runs.reading import read_json_lines, read_record
from innovator_rl.runs.run_dir import RunDir

VALUES = ("domain", "data_source", "rewarder", "reason", "outcome", "finish_reason", "drop_reason")
MOST_VALUES = 200
MOST_ATTEMPTS = 200  # the newest
CONFIG_CHARS = 200_000

Row = dict[str, Any]


def run_answer(session: RunSession, labels: Labels, headline: Row) -> Row:
    """Return the details of one run, `headline` included."""
    record, record_problem = read_record(session.run.run_json)
    record = record or {}
    config, text, config_problem = read_config(session.run)
    done, total = session.cached("progress", ("rollouts", "words"), session.indexer.progress)
    listed = labels.all()
    small_files = {
        "run.json": record_problem,
        "config.yaml": config_problem,
        "metrics.jsonl": _unusable_lines(session),
        "labels.jsonl": f"{labels.unreadable} lines are no label" if labels.unreadable else "",
    }
    values = session.cached("values", ("rollouts",), lambda: _values(session))
    return {
        "run": headline,
        "attempts": record.get("attempts", [])[-MOST_ATTEMPTS:],
        "config": config,
        "config_text": text[:CONFIG_CHARS],
        "command": record.get("command"),
        "packages": record.get("packages"),
        "record": session.cached("record", ("rollouts",), lambda: _record(session)),
        "values": {**values, "label": sorted({row["label"] for row in listed})},
        "index": {
            "state": "building" if session.building else "ready",
            "rows": total,
            "words": {"done": done, "total": total},
            "seconds": session.seconds_to_index,
            "where": "temporary directory" if session.index.temporary else "run directory",
            "error": session.error or None,
        },
        "problems": [
            *({"file": file, "why": why, "rows_lost": None} for file, why in small_files.items() if why),
            *({"file": p.file, "why": p.why, "rows_lost": p.rows_lost} for p in session.index.problems()),
        ],
    }


def _unusable_lines(session: RunSession) -> str:
    """Say how many lines of metrics.jsonl are not used."""
    lines = session.cached(
        "bad-lines", ("metrics",), lambda: sum(line is None for line in read_json_lines(session.run.metrics_jsonl))
    )
    return f"{lines} lines cannot be read" if lines else ""


def _record(session: RunSession) -> Row:
    found = {kind: {"steps": [], "rows": 0, "groups": 0} for kind in ("train", "validation")}
    rows = session.index.query(
        "SELECT kind, list(step ORDER BY step) AS steps, sum(samples)::BIGINT AS rows, sum(n)::BIGINT AS groups FROM "
        "(SELECT kind, step, sum(samples) AS samples, count(*) AS n FROM groups GROUP BY kind, step) GROUP BY kind"
    )
    for row in rows:
        found[row.pop("kind")] = row
    return found


def _values(session: RunSession) -> Row:
    found = {}
    for column in VALUES:
        rows = session.index.query(
            f"SELECT {column} AS value, count(*) AS n FROM responses WHERE {column} IS NOT NULL "
            f"GROUP BY 1 ORDER BY n DESC LIMIT {MOST_VALUES}"
        )
        found[column] = sorted(row["value"] for row in rows)
    return found


def compare(runs: Sequence[RunDir]) -> Row:
    """Return configuration keys, revisions and packages that differ between runs.

    Two to four runs are compared.
    """
    if not 2 <= len(runs) <= 4:
        raise RequestError(f"run: expected 2 to 4 runs to compare, got {len(runs)}")
    configs = [flat(read_config(run)[0] or {}) for run in runs]
    records = [read_record(run.run_json)[0] or {} for run in runs]
    packages = [record.get("packages") or {} for record in records]
    return {
        "runs": [run.name for run in runs],
        "config": _differing(configs),
        "git": [(record.get("git") or {}).get("revision") for record in records],
        "packages": _differing(packages),
    }


def flat(config: Mapping[str, Any], prefix: str = "") -> Row:
    """Flatten a nested mapping to dotted keys."""
    found: Row = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[Row]:
    keys = sorted(set().union(*settings))
    rows = [{"key": key, "values": [one.get(key) for one in settings]} for key in keys]
    return [row for row in rows if any(value != row["values"][0] for value in row["values"])]
