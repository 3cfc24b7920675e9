"""Write and read events.jsonl: one JSON line per event of a run.

A line is `{"time": "...", "run": "demo", "attempt": 1, "step": 12, "event": "phase", "phase": "updating", ...}`; events
of one prompt have its `prompt_uid`. Log collectors take the file as it is, and `trace` turns the phases of a step into a
file that https://ui.perfetto.dev opens.

| event | further fields |
|---|---|
| `phase` | `phase`, `detail` |
| `dropped` | `prompt_uid`, `reason` |
| `step`, `validation` | `seconds`, `reward` where they are known |
| `stop_requested` | none |
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from innovator_rl.runs.files import dump_json, utc_now
from innovator_rl.secret_values import mask

NAME = "events.jsonl"
STEP_TRACK, PROMPT_TRACK = 1, 2


class EventLog:
    """Append events; each is written whole, in one call."""

    def __init__(self, folder: Path, run: str, attempt: int) -> None:
        self._fixed = {"run": run, "attempt": attempt}
        self._descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, event: str, step: int, **fields: Any) -> None:
        """Append one event; its text is written without the values of secrets."""
        line = {"time": utc_now(), **self._fixed, "step": step, "event": event, **fields}
        os.write(self._descriptor, (mask(dump_json(line)) + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a file in the order written; a line that is torn or not whole yet is left out."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event and "time" in event:
            yield event


def trace(events: Iterable[dict[str, Any]], step: int) -> dict[str, Any]:
    """Return the phases and dropped prompts of a step in Perfetto's JSON format.

    Args:
        events: Events of the run, in the order written.
        step: The step; redone after a resume, its last attempt counts.
    """
    own = [event for event in events if event.get("step") == step]
    attempt = max((int(event.get("attempt") or 0) for event in own), default=0)
    own = [event for event in own if event.get("attempt") == attempt]
    phases = [event for event in own if event["event"] == "phase"]
    ends = [*(event["time"] for event in phases[1:]), own[-1]["time"]] if phases else []
    found: list[dict[str, Any]] = [
        {"ph": "M", "pid": 1, "tid": STEP_TRACK, "name": "thread_name", "args": {"name": f"step {step}"}},
        {"ph": "M", "pid": 1, "tid": PROMPT_TRACK, "name": "thread_name", "args": {"name": "dropped prompts"}},
    ]
    for phase, after in zip(phases, ends, strict=True):
        start = _microseconds(phase["time"])
        name = " ".join(filter(None, (phase.get("phase"), phase.get("detail"))))
        found.append(
            {
                "ph": "X",
                "pid": 1,
                "tid": STEP_TRACK,
                "name": name,
                "ts": start,
                "dur": max(0, _microseconds(after) - start),
            }
        )
    for event in own:
        if event["event"] == "dropped":
            found.append(
                {
                    "ph": "i",
                    "s": "t",
                    "pid": 1,
                    "tid": PROMPT_TRACK,
                    "name": str(event.get("reason", "")),
                    "ts": _microseconds(event["time"]),
                    "args": {"prompt_uid": event.get("prompt_uid")},
                }
            )
    return {"traceEvents": found, "displayTimeUnit": "ms"}


def _microseconds(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1e6)
