"""Read the small files of a run whoever wrote them: bounded, typed, and without an exception.

A run directory can come from another version, another machine or a killed writer. Its files are trusted no more than the
text of a response: only regular files are opened, sizes and depths are bounded, and what JSON cannot carry is replaced. A
reader gets usable values and a sentence about the rest, never an exception that would hide other runs.

    value, why = read_object(run / "run.json")      # why is "" where nothing was wrong
    for line in read_json_lines(run / "labels.jsonl"): ...
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

MOST_BYTES = 16 << 20  # of a file that is one value
MOST_LINE_BYTES = 4 << 20
MOST_DEPTH = 40
MOST_STEP = 2**31 - 1
"""The largest step and sample index: the columns of the record have 32 bits."""
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
INTEGERS = range(-(2**63), 2**63)


def read_bytes(path: Path, most: int = MOST_BYTES) -> tuple[bytes | None, str]:
    """Return the bytes of a regular file, or None and the reason; the reason is empty for an absent file."""
    try:
        descriptor = _open_regular(path)
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError) as error:
        return None, getattr(error, "strerror", None) or "its name cannot be used"
    if descriptor is None:
        return None, "not a regular file"
    with os.fdopen(descriptor, "rb") as handle:
        if os.fstat(descriptor).st_size > most:
            return None, f"larger than {most >> 20} MiB"
        try:
            return handle.read(most + 1)[:most], ""
        except OSError as error:
            return None, error.strerror or "it cannot be read"


def _open_regular(path: Path) -> int | None:
    """Open a file for reading and return its descriptor; None for a pipe, a device or a directory, which is closed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):  # before fdopen, which fails for a directory and leaves it open
        return descriptor
    os.close(descriptor)
    return None


def read_object(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Return the object in a JSON file, or None and why there is none; an absent file has no reason."""
    raw, why = read_bytes(path)
    if raw is None:
        return None, why
    value, why = parse_json(raw)
    if not why and not isinstance(value, dict):
        why = "not a JSON object"
    return (value, "") if isinstance(value, dict) else (None, why)


def parse_json(raw: bytes | str) -> tuple[Any, str]:
    """Return a cleaned JSON value and "", or None and why it cannot be used."""
    opened = raw.count(b"{") + raw.count(b"[") if isinstance(raw, bytes) else MOST_DEPTH
    if opened < MOST_DEPTH:  # shallow, and strict JSON refuses what `clean` would replace
        with contextlib.suppress(ValueError):
            return orjson.loads(raw), ""
    try:
        text = (
            raw.decode("utf-8-sig", "replace") if isinstance(raw, bytes) else raw
        )  # editors may add a byte-order mark
        return clean(json.loads(text)), ""
    except RecursionError:
        return None, "nested too deeply"
    except ValueError:
        return None, "not JSON"


def clean(value: Any, depth: int = MOST_DEPTH) -> Any:
    """Return a value that strict JSON and the index can carry.

    Lone surrogates become the replacement character, integers beyond 64 bits None, what lies deeper than `depth` None.
    NaN and infinities stay: the callers tell them apart from an absent number.
    """
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if value in INTEGERS else None
    if isinstance(value, str):
        return value if value.isascii() else LONE_SURROGATE.sub("\ufffd", value)
    if depth <= 0:
        return None
    if isinstance(value, Mapping):
        return {clean(str(key)): clean(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [clean(item, depth - 1) for item in value]
    return clean(str(value))


def read_json_lines(path: Path, start: int = 0) -> Iterator[dict[str, Any] | None]:
    """Yield each complete line of a JSON-lines file; None stands for a line that is no usable object.

    A line that is still being written is not yielded. `start` is the byte to begin at.
    """
    try:
        descriptor = _open_regular(path)
    except (OSError, ValueError):
        return
    if descriptor is None:
        return
    with os.fdopen(descriptor, "rb") as handle:
        handle.seek(start)
        whole = True
        while raw := handle.readline(MOST_LINE_BYTES):
            ends = raw.endswith(b"\n")
            if ends and not whole:  # the end of a line that is too long
                yield None
            elif ends and raw.strip():
                value, _ = parse_json(raw)
                yield value if isinstance(value, dict) else None
            whole = ends


# Values of one type, or None.


def as_text(value: Any) -> str | None:
    """Return a text, or None for anything else."""
    return value if isinstance(value, str) else None


def as_whole(value: Any, low: int = 0, high: int = MOST_STEP) -> int | None:
    """Return a whole number within the bounds, or None; true, 3.5 and "3" are none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def as_number(value: Any) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def as_object(value: Any) -> dict[str, Any] | None:
    """Return a mapping, or None."""
    return value if isinstance(value, dict) else None


# run.json

FIELDS: dict[str, Callable[[Any], Any]] = {
    "name": as_text,
    "status": as_text,
    "cause": as_text,
    "phase": as_text,
    "phase_since": as_text,
    "heartbeat": as_text,
    "created": as_text,
    "host": as_text,
    "machine": as_text,
    "ray_job_id": as_text,
    "ray_submission_id": as_text,
    "ray_dashboard": as_text,
    "step": as_whole,
    "total_steps": as_whole,
    "pid": as_whole,
    "git": as_object,
    "packages": as_object,
}
"""Fields of run.json that readers use, with their types."""


def read_record(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Return run.json with every known field of its type or None, and what is wrong with the file."""
    record, why = read_object(path)
    if record is None:
        return None, why
    wrong = [name for name, kind in FIELDS.items() if record.get(name) is not None and kind(record[name]) is None]
    record.update({name: None for name in wrong})
    attempts = record.get("attempts")
    listed = attempts if isinstance(attempts, list) else []
    record["attempts"] = [_attempt(item, number) for number, item in enumerate(listed, 1) if isinstance(item, dict)]
    if attempts is not None and len(record["attempts"]) != len(attempts if isinstance(attempts, list) else [None]):
        wrong.append("attempts")
    command = record.get("command")
    record["command"] = [str(part) for part in command] if isinstance(command, list) else None
    packages = record.get("packages") or {}
    if any(not isinstance(version, (str, type(None))) for version in packages.values()):
        record["packages"] = {name: None if version is None else str(version) for name, version in packages.items()}
    return record, f"{', '.join(wrong)}: not of the expected type" if wrong else ""


def _attempt(item: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        **item,
        "attempt": as_whole(item.get("attempt"), 1) or number,
        "started": as_text(item.get("started")) or "",
        "ended": as_text(item.get("ended")),
        "resumed_from_step": as_whole(item.get("resumed_from_step")) or 0,
        "status": as_text(item.get("status")) or "unknown",
        "cause": as_text(item.get("cause")) or "",
        "step": as_whole(item.get("step")),
    }


def last_steps(attempts: list[dict[str, Any]]) -> dict[int, int]:
    """Return, for each attempt that a later one superseded, the last of its steps that still counts.

    A resumed attempt redoes every step after the one that it resumed from: what earlier attempts recorded there was
    abandoned. Attempts that are absent from the result count whole.
    """
    found: dict[int, int] = {}
    least: int | None = None
    for one in sorted(attempts, key=lambda item: -int(item["attempt"])):
        if least is not None:
            found[int(one["attempt"])] = least
        start = int(one["resumed_from_step"])
        least = start if least is None else min(least, start)
    return found
