"""Know whether files changed by their content, and read a large one only where its size or time did.

A copy of the same bytes, on another disk or with another time, changes nothing: weeks of stages hang on it.

    contents = Contents(run.path / "contents.json")
    contents.checksum([Path("/data/textbooks"), Path("/models/Qwen2.5-7B")])
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from innovator_rl.config.load import parse_yaml
from innovator_rl.paper.places import TEXTS, Places
from innovator_rl.runs.files import dump_json, read_json, write_atomic

FORMAT = 1
NOT_COUNTED = frozenset((".lock", ".store", "logs"))
"""Files and folders of a result that no later stage reads: locks, what a build keeps for the next one, logs."""
SECONDS = "seconds"
"""Key of JSON results with the time that a step took; it differs from build to build of the same bytes."""
LONG_BYTES = 4_000_000_000
"""Bytes whose reading takes seconds and is announced."""


@dataclass(frozen=True)
class FileState:
    """Size, time and checksum of a file; an unchanged size and time spare the checksum."""

    size: int
    modified_ns: int
    checksum: str


class Contents:
    """Checksums of files that stages read and no stage makes.

    Args:
        path: File that keeps them from run to run; None keeps them in memory.
        say: Receives a line before a long time of reading.
    """

    def __init__(self, path: Path | None = None, say: Callable[[str], None] = lambda line: None) -> None:
        self.path = path
        self.say = say
        self._known = _read(path) if path else {}
        self._saved = dict(self._known)

    def checksum(self, places: Sequence[Path]) -> str:
        """Return one checksum of the names and contents of files, and of the files of folders.

        A name is that below its folder, or the last part of a file's own: where the folder is does not count.

        Raises:
            OSError: A file cannot be read.
        """
        self._announce(places)
        lines = []
        for place in places:
            states = {name: self._state(path) for name, path in named_files(place)}
            lines.append(content_checksum(states))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def save(self) -> None:
        """Keep what is known for the next run."""
        if self.path and self._known != self._saved:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files = {name: asdict(state) for name, state in self._known.items()}
            write_atomic(self.path, dump_json({"format": FORMAT, "files": files}, indent=1))
            self._saved = dict(self._known)

    def _state(self, path: Path) -> FileState:
        key = str(path.absolute())
        self._known[key] = state_of(path, self._known.get(key))
        return self._known[key]

    def _announce(self, places: Sequence[Path]) -> None:
        new = [
            path.stat().st_size
            for place in places
            for _, path in named_files(place)
            if not _is_same(path, self._known.get(str(path.absolute())))
        ]
        if sum(new) > LONG_BYTES:
            self.say(f"reads {len(new):,} files ({sum(new) / 1e9:,.1f} GB), to know later whether they changed")


def state_of(path: Path, known: FileState | None = None, checksum: Callable[[Path], str] | None = None) -> FileState:
    """Return the state of a file, which is not read if it has the size and time of its known state.

    Args:
        path: The file.
        known: Its state as it was recorded earlier.
        checksum: What reads it; all of its bytes count without one.
    """
    if known and _is_same(path, known):
        return known
    found = path.stat()  # before reading: a change meanwhile has a later time
    return FileState(found.st_size, found.st_mtime_ns, (checksum or file_checksum)(path))


def file_states(
    result: Path, known: Mapping[str, FileState] | None = None, places: Places | None = None
) -> dict[str, FileState]:
    """Return the state of every file of a result that later stages depend on, by its name.

    Args:
        result: A file or a folder; one that is not there has no files.
        known: States recorded earlier; a file of the same size and time keeps its recorded checksum.
        places: The folders of this machine; where they are does not count in a text.
    """
    checksum = partial(result_checksum, places=places)
    files = [(name, path) for name, path in named_files(result) if counts(name)]
    return {name: state_of(path, (known or {}).get(name), checksum) for name, path in files}


def counts(name: str) -> bool:
    """Return whether a file of a result, by its path below it, is one that later stages depend on."""
    parts = PurePosixPath(name).parts
    return not (NOT_COUNTED.intersection(parts) or parts[-1].endswith(".log"))


def result_checksum(path: Path, places: Places | None = None) -> str:
    """Return the SHA-256 of a file of a result, of a JSON file without the times that it took to make.

    Folders of the machine count by their names, so that a text is the same on another one.
    """
    if path.suffix not in TEXTS:
        return file_checksum(path)
    data = path.read_bytes()
    data = places.short_bytes(data) if places else data
    if path.suffix == ".json":
        with contextlib.suppress(ValueError):  # no JSON: its bytes count
            data = json.dumps(_without_times(json.loads(data)), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_times(part) for key, part in value.items() if key != SECONDS}
    return [_without_times(part) for part in value] if isinstance(value, list) else value


def named_files(place: Path) -> Iterable[tuple[str, Path]]:
    """Return the files of a folder by their paths below it, or a file by its name; nothing where there is none."""
    if place.is_file():
        return [(place.name, place)]
    files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else []
    return [(path.relative_to(place).as_posix(), path) for path in files]


def content_checksum(files: Mapping[str, FileState]) -> str:
    """Return one checksum of the names and contents of files."""
    lines = [f"{name} {state.checksum}" for name, state in sorted(files.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def input_checksum(path: Path) -> str:
    """Return the SHA-256 of a file, or of the values in a YAML file, so that comments and layout do not count.

    The order of keys counts: that of the disciplines of upcycling is the order of the experts.
    """
    if path.suffix in (".yaml", ".yml"):
        with contextlib.suppress(OSError, ValueError):  # not YAML: its bytes count, and its command names the mistake
            values = json.dumps(parse_yaml(path.read_text(encoding="utf-8"), str(path)), default=str)
            return hashlib.sha256(values.encode()).hexdigest()
    return file_checksum(path)


def _is_same(path: Path, known: FileState | None) -> bool:
    found = path.stat()
    return known is not None and (known.size, known.modified_ns) == (found.st_size, found.st_mtime_ns)


def _read(path: Path) -> dict[str, FileState]:
    found = read_json(path) or {}
    try:
        return {name: FileState(**state) for name, state in found["files"].items()} if found["format"] == FORMAT else {}
    except (KeyError, TypeError, AttributeError):
        return {}
