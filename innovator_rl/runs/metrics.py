"""Write and read metrics.jsonl, one line per step.

The file is append-only and readable while it is written and after any crash.

A line is `{"step": 12, "attempt": 2, "time": "...", "reward/mean": 0.4, ...}`. After a resume the redone steps appear
again with a higher attempt. The reader then takes the newest attempt of each step, separately for the training metrics
and for the validation metrics (keys that start with `val`): a resumed run that validates first, at the step it resumed
from, does not erase that step's training metrics.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from innovator_rl.runs.files import dump_json, utc_now
from innovator_rl.runs.metric_names import current_names
from innovator_rl.runs.reading import as_text, as_whole, read_json_lines

NOT_FINITE = "not_finite"
"""Key of the names whose values were NaN or infinite; JSON has no such numbers, so they are written as null."""
RESERVED = ("step", "attempt", "time", NOT_FINITE)
NEWEST_BYTES = 1 << 18
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

    def write(self, step: int, attempt: int, metrics: Mapping[str, Any], sync: bool = False) -> None:
        """Append one step; `sync` waits until it is on the disk.

        The reader merges several writes of one step and attempt; the later value counts.
        """
        line: dict[str, Any] = {"step": int(step), "attempt": int(attempt), "time": utc_now()}
        line.update({key: value for key, value in metrics.items() if key not in RESERVED})
        lost = sorted(key for key, value in line.items() if _not_finite(value))
        if lost:
            line[NOT_FINITE] = lost
        os.write(self._descriptor, (dump_json(line) + "\n").encode())  # one write call: lines never interleave
        if sync:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Flush to the disk and close."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)


class Wanted(dict[str, bool]):
    """The metrics to read, each name decided once: a file has 150 of them on every line.

    Args:
        decide: Whether a name is wanted; the reserved names always are.
    """

    def __init__(self, decide: Callable[[str], bool]) -> None:
        super().__init__(dict.fromkeys(RESERVED, True))
        self._decide = decide

    def __missing__(self, name: str) -> bool:
        """Decide about a new name."""
        return self.setdefault(name, self._decide(name))


def _not_finite(value: Any) -> bool:
    try:
        return not isinstance(value, (str, bool, int)) and not math.isfinite(value)
    except (TypeError, ValueError):
        return False


def read_lines(path: Path, start: int = 0, wanted: Wanted | None = None) -> Iterator[dict[str, Any]]:
    """Yield every usable line in the order written.

    Torn lines, a line that is still being written, and lines without a step or with an impossible one are skipped.
    Metric names are as they were written. A number that is not finite is None, and `not_finite` lists its name.

    Args:
        path: The file.
        start: The byte to begin at; a line that begins before it is skipped.
        wanted: The names to yield, all where None.
    """
    for line in read_json_lines(path, start):
        if line is None or isinstance(line.get("step"), float):
            continue
        if wanted is not None:
            line = {name: value for name, value in line.items() if wanted[name]}
        step, attempt = as_whole(line.get("step")), as_whole(line.get("attempt", 1), 1)
        if step is None or attempt is None:
            continue
        stored = line.get(NOT_FINITE)
        lost = [name for name in stored if isinstance(name, str)] if isinstance(stored, list) else []
        lost += [name for name, value in line.items() if isinstance(value, float) and not math.isfinite(value)]
        line.update({name: None for name in lost}, step=step, attempt=attempt, time=as_text(line.get("time")))
        line.pop(NOT_FINITE, None)
        yield {**line, NOT_FINITE: sorted(set(lost))} if lost else line


def read_metrics(
    path: Path,
    superseded: Mapping[int, int] | None = None,
    start: int = 0,
    wanted: Wanted | None = None,
) -> list[dict[str, Any]]:
    """Return one dictionary per step, in step order, under the current metric names.

    The values are those of the newest attempt, training and validation taken separately.

    Args:
        path: The file.
        superseded: The last step that counts, of each attempt that a later one superseded (`last_steps`).
        start: The byte to begin at, for a reader of the newest steps alone.
        wanted: The names to read, all where None.
    """
    newest: dict[tuple[int, bool], dict[str, Any]] = {}
    limits = superseded or {}
    for line in read_lines(path, start, wanted):
        step, attempt = line["step"], line["attempt"]
        if step > limits.get(attempt, step):
            continue
        lost = line.get(NOT_FINITE, ())
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
                if here := [name for name in lost if name in part]:
                    known[NOT_FINITE] = [*known.get(NOT_FINITE, ()), *here]
    merged: dict[int, dict[str, Any]] = {}
    for (step, _), part in sorted(newest.items()):
        row = merged.setdefault(step, {})
        lost = [*row.get(NOT_FINITE, ()), *part.get(NOT_FINITE, ())]
        row.update({**part, "attempt": max(part["attempt"], row.get("attempt", 0))})
        if lost:
            row[NOT_FINITE] = lost
    return list(merged.values())


def read_newest_metrics(
    path: Path, superseded: Mapping[int, int] | None = None, wanted: Wanted | None = None
) -> list[dict[str, Any]]:
    """Return the newest steps alone, from the end of the file: what a list of hundreds of runs can afford."""
    try:
        size = path.stat().st_size
    except OSError:
        return []
    return read_metrics(path, superseded, max(0, size - NEWEST_BYTES), wanted)
