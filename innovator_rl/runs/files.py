"""Write small files atomically, and JSON that any parser accepts.

A run can be killed at any instruction, so every file that is replaced is written under a temporary name, synced and
renamed. A reader gets the old text or the new one, never half of either.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from innovator_rl.runs.reading import read_object


def utc_now() -> str:
    """Return the time in UTC as ISO 8601 with milliseconds.

    Example: `2026-01-31T09:15:02.123+00:00`.
    """
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seconds_since(stamp: str, now: datetime | None = None) -> float:
    """Return the seconds since an ISO 8601 time.

    The result is infinite for a time that is missing or cannot be parsed.
    """
    try:
        return ((now or datetime.now(UTC)) - datetime.fromisoformat(stamp)).total_seconds()
    except (ValueError, TypeError):
        return math.inf


def duration(seconds: float) -> str:
    """Format a length of time: `41 s`, `3 min 05 s`, `2 h 10 min`, `313 days 17 h`."""
    if not math.isfinite(seconds):
        return "an unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} days {whole % 86400 // 3600} h"


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write `data` to `path` in one step.

    Raises:
        OSError: The disk refused; no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    raw = data.encode() if isinstance(data, str) else data
    try:
        with temporary.open("wb") as handle:
            handle.write(raw)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def json_safe(value: Any) -> Any:
    """Convert a value for strict JSON.

    NaN and infinities become null, NumPy scalars and tensors numbers or lists, unknown objects text.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [json_safe(item) for item in value]
    for method in ("item", "tolist"):  # NumPy scalars and arrays, tensors, without importing either library
        if hasattr(value, method):
            try:
                return json_safe(getattr(value, method)())
            except (ValueError, RuntimeError, TypeError):
                continue
    return str(value)


def dump_json(value: Any, indent: int | None = None) -> str:
    """Return the strict JSON text of `value`."""
    return json.dumps(json_safe(value), indent=indent, ensure_ascii=False, allow_nan=False)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None if there is no readable object."""
    return read_object(path)[0]
