"""Write and read metrics.jsonl, one line per step.

The file is append-only and readable while it is written and after any crash.

A line is `{"step": 12, "attempt": 2, "time": "...", "reward/mean": 0.4, ...}`. After a resume the redone steps appear
again with a higher attempt. The reader then takes the newest attempt of each step, separately for the training metrics
and for the validation metrics (keys that start with `val`): a resumed run that validates first, at the step it resumed
from, does not erase that step's training metrics.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from innovator_rl.runs.files import dump_json, utc_now
from innovator_rl.runs.metric_names import current_names

RESERVED = ("step", "attempt", "time")
VALIDATION_PREFIX = "val"


class MetricsWriter:
    """A writer that appends lines.

    A torn last line that a killed writer left is ended first, so that it spoils nothing but itself.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")

    def write(self, step: int, attempt: int, metrics: Mapping[str, Any]) -> None:
        """Append one step.

        The reader merges several writes of one step and attempt; the later value counts.
        """
        line = {"step": int(step), "attempt": int(attempt), "time": utc_now()}
        line.update({key: value for key, value in metrics.items() if key not in RESERVED})
        os.write(self._descriptor, (dump_json(line) + "\n").encode())  # one write call: lines never interleave

    def close(self) -> None:
        """Flush to the disk and close."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every readable line in the order written.

    Torn lines and a line that is still being written are skipped. Metric names are as they were written.
    """
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        return
    with handle:
        for raw in handle:
            if not raw.endswith(b"\n"):
                return
            try:
                line = json.loads(raw)
            except ValueError:
                continue
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                yield line


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return one dictionary per step, in step order, under the current metric names.

    The values are those of the newest attempt, training and validation taken separately.
    """
    newest: dict[tuple[int, bool], dict[str, Any]] = {}
    for line in read_lines(path):
        step, attempt = line["step"], int(line.get("attempt", 1))
        for validation in (False, True):
            part = {
                k: v for k, v in line.items() if k not in RESERVED and k.startswith(VALIDATION_PREFIX) == validation
            }
            if not part:
                continue
            known = newest.get((step, validation))
            if known is None or attempt > known["attempt"]:
                known = newest[step, validation] = {"step": step, "attempt": attempt, "time": line.get("time")}
            if attempt == known["attempt"]:
                known.update(current_names(part), time=line.get("time"))
    merged: dict[int, dict[str, Any]] = {}
    for (step, _), part in sorted(newest.items()):
        row = merged.setdefault(step, {})
        row.update({**part, "attempt": max(part["attempt"], row.get("attempt", 0))})
    return list(merged.values())
