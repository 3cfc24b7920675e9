"""Store the labels of responses in `labels.jsonl` of the run directory.

The file is append-only; the last line about a response and a label decides. Lines of older versions stay readable.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from innovator_rl.dashboard.web.aliases import current_fields
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.runs.files import dump_json, utc_now

MOST_LABEL_CHARS = 40
MOST_NOTE_CHARS = 2_000
MOST_BYTES = 64 * 2**20

Key = tuple[str, int, str, int]
Row = dict[str, Any]
_writing = threading.Lock()


class Labels:
    """The labels of one run.

    The file is read again when it changed, whichever process wrote to it.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "labels.jsonl"
        self._stamp: tuple[int, int] | None = None
        self._rows: dict[tuple[Key, str], Row] = {}

    def all(self) -> list[Row]:
        """Return every present label, oldest first."""
        self._read()
        return list(self._rows.values())

    def of(self, key: Key) -> list[Row]:
        """Return the labels of a response given by kind, step, uid and sample index."""
        return [row for row in self.all() if response_key(row) == key]

    def by_response(self) -> dict[Key, list[str]]:
        """Return the label names of each response."""
        found: dict[Key, list[str]] = {}
        for row in self.all():
            found.setdefault(response_key(row), []).append(row["label"])
        return found

    def put(self, key: Key, label: str, note: str = "", remove: bool = False) -> None:
        """Add a label, or remove it.

        Raises:
            RequestError: for a text that cannot be a label, or a file that cannot be written.
        """
        label = label.strip()
        if not label or len(label) > MOST_LABEL_CHARS or not label.isprintable():
            raise RequestError(f"label must have 1 to {MOST_LABEL_CHARS} printable characters, got {label[:60]!r}")
        if len(note) > MOST_NOTE_CHARS:
            raise RequestError(f"note must have at most {MOST_NOTE_CHARS} characters, got {len(note)}")
        kind, step, uid, sample_index = key
        line = {"kind": kind, "step": step, "uid": uid, "sample_index": sample_index, "label": label}
        line |= {"note": note, **({"remove": True} if remove else {})}
        text = dump_json({**line, "time": utc_now()}) + "\n"
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        try:
            with _writing:
                descriptor = os.open(self._path, flags, 0o644)
                try:
                    size = os.fstat(descriptor).st_size
                    if size > MOST_BYTES:
                        raise RequestError(f"labels.jsonl must stay below {MOST_BYTES >> 20} MiB", 413)
                    torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
                    os.write(descriptor, ("\n" if torn else "").encode() + text.encode("utf-8", "replace"))
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise RequestError(f"the label could not be saved: {error.strerror}", 503) from error

    def _read(self) -> None:
        try:
            stat = self._path.lstat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp == self._stamp:
                return
            if self._path.is_symlink() or stat.st_size > 2 * MOST_BYTES:
                return
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            self._stamp, self._rows = None, {}
            return
        rows: dict[tuple[Key, str], Row] = {}
        for line in lines:
            row = _row(line)
            if row is None:
                continue
            name = (response_key(row), row["label"])
            rows.pop(name, None)
            if not row.pop("remove", False):
                rows[name] = row
        self._rows, self._stamp = rows, stamp


def response_key(row: Row) -> Key:
    """Return what identifies the response that a label belongs to."""
    return (row["kind"], row["step"], row["uid"], row["sample_index"])


def _row(line: str) -> Row | None:
    try:
        row = current_fields(json.loads(line))
        return {
            "kind": str(row["kind"]),
            "step": int(row["step"]),
            "uid": str(row["uid"]),
            "sample_index": int(row["sample_index"]),
            "label": str(row["label"]),
            "note": str(row.get("note") or ""),
            "time": row.get("time"),
            "remove": bool(row.get("remove")),
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
