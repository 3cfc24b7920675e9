"""Store the labels of responses in `labels.jsonl` of the run directory.

The file is append-only; the last line about a response and a label decides. Lines of older versions stay readable.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

from innovator_rl.dashboard.runs.remote import require_writable
from innovator_rl.dashboard.web.aliases import current_fields
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.runs.files import dump_json, utc_now
from innovator_rl.runs.reading import as_text, as_whole, read_json_lines

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
        self.unreadable = 0
        """Lines of the file that are no label."""

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

    def put(self, key: Key, label: str, note: str = "", remove: bool = False, author: str = "") -> None:
        """Add a label, or remove it; `author` is the name that the reader gave.

        Raises:
            RequestError: for a text that cannot be a label, or a file that cannot be written.
        """
        require_writable(self._path.parent)
        label = label.strip()
        if not label or len(label) > MOST_LABEL_CHARS or not label.isprintable():
            raise RequestError(f"label must have 1 to {MOST_LABEL_CHARS} printable characters, got {label[:60]!r}")
        if len(note) > MOST_NOTE_CHARS:
            raise RequestError(f"note must have at most {MOST_NOTE_CHARS} characters, got {len(note)}")
        if len(author) > MOST_LABEL_CHARS or not author.isprintable():
            raise RequestError(f"author must have at most {MOST_LABEL_CHARS} printable characters, got {author[:60]!r}")
        kind, step, uid, sample_index = key
        line = {"kind": kind, "step": step, "uid": uid, "sample_index": sample_index, "label": label}
        line |= {"note": note, **({"author": author} if author else {}), **({"remove": True} if remove else {})}
        text = dump_json({**line, "time": utc_now()}) + "\n"
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        try:
            with _writing:
                descriptor = os.open(self._path, flags, 0o644)
                try:
                    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                        raise RequestError("the label could not be saved: labels.jsonl is not a regular file", 503)
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
            status = self._path.lstat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            if self._path.is_symlink() or status.st_size > 2 * MOST_BYTES:
                return
        except OSError:
            self._stamp, self._rows = None, {}
            return
        rows: dict[tuple[Key, str], Row] = {}
        self.unreadable = 0
        for line in read_json_lines(self._path):
            row = None if line is None else _row(line)
            if row is None:
                self.unreadable += 1
                continue
            name = (response_key(row), row["label"])
            rows.pop(name, None)
            if not row.pop("remove", False):
                rows[name] = row
        self._rows, self._stamp = rows, stamp


def response_key(row: Row) -> Key:
    """Return what identifies the response that a label belongs to."""
    return (row["kind"], row["step"], row["uid"], row["sample_index"])


def _row(line: Row) -> Row | None:
    """Return a line as a label, or None where a field is missing or has another type."""
    row = current_fields(line)
    kind, uid, label = (as_text(row.get(name)) for name in ("kind", "uid", "label"))
    step, sample_index = as_whole(row.get("step")), as_whole(row.get("sample_index"))
    if kind is None or uid is None or not label or step is None or sample_index is None:
        return None
    return {
        "kind": kind,
        "step": step,
        "uid": uid,
        "sample_index": sample_index,
        "label": label,
        "note": as_text(row.get("note")) or "",
        "author": as_text(row.get("author")) or "",
        "time": as_text(row.get("time")),
        "remove": bool(row.get("remove")),
    }
