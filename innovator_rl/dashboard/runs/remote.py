"""Read runs from object storage: a read-only copy of a URL that fsspec can open, kept current by a thread.

Segments are immutable, so each is copied once, newest step first. The small files of all runs come before them, so that
the list of runs is there at once. Checkpoints and logs are not copied. The dashboard reads the copy as it reads any
folder of runs; nothing is ever written to the URL.

    with RemoteRuns("s3://bucket/runs", Path("/var/cache/runs")) as remote:    # needs the package s3fs
        create_app([remote.folder])
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.utils import get_protocol

from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.errors import UserError
from innovator_rl.runs.reading import MOST_BYTES

POLL_SECONDS = 10.0
SMALL_FILES = (
    *("run.json", "config.yaml", "verl.yaml", "metrics.jsonl", "labels.jsonl", "tags.json", "sinks.json"),
    "tokenizer.json",
)
DATASETS = ("rollouts", "updates", "tokens")
MARKER = ".read-only"
"""A file in a folder of copied runs; it contains their URL."""
SECRET = re.compile(r"//[^/@]*@")
STAMPS = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "updated", "created")

log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class RemoteFile:
    """A file of a run: `place` is its path below the folder of runs."""

    place: str
    path: str
    stamp: str
    size: int


def is_url(runs_dir: str) -> bool:
    """Return whether the runs are at a URL, not in a folder."""
    return "://" in runs_dir


class RemoteRuns:
    """A copy of the runs at a URL. Close it to end its thread."""

    def __init__(self, url: str, folder: Path) -> None:
        """Open the URL.

        Args:
            url: A folder of runs, or one run.
            folder: Where the copies are kept; it is created.

        Raises:
            UserError: The protocol is unknown, its package is absent, or the folder is not found.
        """
        self.url, self.folder = SECRET.sub("//", url.rstrip("/")), folder
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            package = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
            name = package.get(get_protocol(url))
            fix = f"pip install {name}" if name else str(error)
            raise UserError(
                f"RUNS_DIR={self.url!r}: a package for {get_protocol(url)}:// is not found; {fix}"
            ) from error
        except ValueError as error:
            raise UserError(f"RUNS_DIR={self.url!r}: unknown protocol; {error}") from error
        self._only: str | None = None
        self._copied: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="remote-runs", daemon=True)
        try:
            if self._files.isfile(f"{self._root}/run.json"):
                self._root, self._only = self._root.rstrip("/").rsplit("/", 1)
            found = self._files.isdir(self._root)
        except Exception as error:  # each file system has its own errors
            raise UserError(f"RUNS_DIR={self.url!r}: cannot be opened: {_sentence(error)}") from error
        if not found:
            raise UserError(f"RUNS_DIR={self.url!r}: folder not found")
        folder.mkdir(parents=True, exist_ok=True)
        self._earlier = {path.relative_to(folder).as_posix() for path in folder.glob("*/*/step=*/*.parquet")}
        (folder / MARKER).write_text(self.url, encoding="utf-8")

    def __enter__(self) -> RemoteRuns:
        """Copy the small files and start the thread."""
        self._copy(list(self._small()))
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=30)

    def sync(self) -> None:
        """Copy what is new or changed, and delete what is gone."""
        self._files.invalidate_cache()
        small, segments = list(self._small()), list(self._segments())
        self._copy(small)
        self._copy(sorted(segments, key=lambda file: PurePosixPath(file.place).parts[2], reverse=True))
        if self._stop.is_set():
            return
        for place in (set(self._copied) | self._earlier) - {file.place for file in (*small, *segments)}:
            (self.folder / place).unlink(missing_ok=True)
            self._copied.pop(place, None)
        self._earlier = set()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self.sync()
            except Exception as error:  # storage that does not answer now may answer later
                log.warning("the runs at %s were not updated: %s", self.url, _sentence(error))
            self._stop.wait(POLL_SECONDS)

    def _runs(self) -> Iterator[str]:
        for entry in self._files.ls(self._root, detail=True):
            name = entry["name"].rstrip("/").rsplit("/", 1)[-1]
            if entry["type"] == "directory" and _plain(name) and self._only in (None, name):
                yield name

    def _small(self) -> Iterator[RemoteFile]:
        for run in self._runs():
            for entry in self._files.ls(f"{self._root}/{run}", detail=True):
                name = entry["name"].rsplit("/", 1)[-1]
                if name in SMALL_FILES and entry["type"] == "file" and (entry.get("size") or 0) <= 4 * MOST_BYTES:
                    yield _file(f"{run}/{name}", entry)

    def _segments(self) -> Iterator[RemoteFile]:
        for run in self._runs():
            for dataset in DATASETS:
                top = f"{self._root}/{run}/{dataset}"
                for path, entry in self._files.find(top, detail=True).items():
                    parts = path.rsplit("/", 2)[1:]
                    if path.endswith(".parquet") and all(map(_plain, parts)) and path.count("/") == top.count("/") + 2:
                        yield _file("/".join((run, dataset, *parts)), entry)

    def _copy(self, files: list[RemoteFile]) -> None:
        for file in files:
            if self._stop.is_set():
                return
            if self._copied.get(file.place) == file.stamp:
                continue
            target = self.folder / file.place
            if file.place not in self._copied and file.place.endswith(".parquet") and _has(target, file.size):
                self._copied[file.place] = file.stamp  # from an earlier use of the folder
                continue
            part = target.with_name(f".{target.name}.tmp")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._files.get_file(file.path, str(part))
                os.replace(part, target)
                self._copied[file.place] = file.stamp
            except FileNotFoundError:  # merged away since it was listed
                part.unlink(missing_ok=True)


def place_of(root: Path) -> str:
    """Return what a folder of runs is called: its URL where it is a copy, else its path."""
    marker = root / MARKER
    return marker.read_text(encoding="utf-8") if marker.is_file() else str(root)


def require_writable(run_dir: Path) -> None:
    """Raise `RequestError` where a run is a copy: what is written there would be lost."""
    if (run_dir.parent / MARKER).is_file():
        raise RequestError(
            f"runs at {place_of(run_dir.parent)} are read-only here: open the run where it is stored", 403
        )


def _file(place: str, entry: dict[str, Any]) -> RemoteFile:
    size = int(entry.get("size") or 0)
    stamp = "|".join([str(size), *(str(entry[name]) for name in STAMPS if entry.get(name) is not None)])
    return RemoteFile(place, entry["name"], stamp, size)


def _plain(name: str) -> bool:
    """Return whether a name of the storage can be a file's name here, and nothing more."""
    return bool(name) and not name.startswith(".") and not any(c in name for c in "/\\\0")


def _has(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _sentence(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200] or type(error).__name__
