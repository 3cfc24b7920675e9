"""Define a stage, its fingerprint, and the record that makes a complete stage skippable.

A stage is one command with inputs and one result, a file or folder. Its fingerprint covers the command, the content of
the input files and the content of the results of the stages that it needs. The record of a complete stage holds the
fingerprint and the checksum of the result, so a second run repeats a stage only if something that it depends on changed,
and can say what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from innovator_rl.runs.files import dump_json, read_json, write_atomic

RECORD_FORMAT = 1
BLOCK = 1 << 20


@dataclass(frozen=True)
class Stage:
    """One command of the path.

    Attributes:
        name: Unique name, also that of its log and record.
        title: What the stage does, a short phrase for people.
        command: Words after `innovator`.
        result: File or folder that the command leaves; its content is what later stages depend on.
        also: Further files or folders that it leaves and later stages read.
        needs: Names of the stages whose results it reads.
        inputs: Files besides those results, such as configurations.
        facts: What else its result depends on, by name, such as the folder of published sets.
        disk_bytes: Free space that must be there before it starts.
        hours: How long it takes by the configuration, for estimates; 0 where that is unknown.
        clean: Files and folders that are removed before the command runs if what is in them is out of date.
        kind: Stages of one kind take about as long, such as the seeds of an arm; empty where it stands alone.
        launcher: Words before the command, such as `srun` and its options, for a stage on several hosts.
    """

    name: str
    title: str
    command: tuple[str, ...]
    result: Path
    also: tuple[Path, ...] = ()
    needs: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    disk_bytes: int = 0
    hours: float = 0.0
    clean: tuple[Path, ...] = ()
    kind: str = ""
    launcher: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """Return the command as it is run by hand."""
        return (*self.launcher, "innovator", *self.command)


@dataclass(frozen=True)
class FileState:
    """Size, time and checksum of one file of a result; an unchanged size and time spare the checksum."""

    size: int
    modified_ns: int
    checksum: str


@dataclass(frozen=True)
class StageRecord:
    """What is kept of a complete stage.

    Attributes:
        name: The stage.
        parts: What the fingerprint covers: part -> checksum.
        files: Every file of the result, by its path below the result.
        seconds: How long the command took, attempts that were interrupted included.
        finished: When it ended, UTC.
        command: The words that ran.
        revision: Revision of the code, with `+` if files differed from it; empty where there was no checkout.
        cores: Processor cores of the machine.
    """

    name: str
    parts: Mapping[str, str]
    files: Mapping[str, FileState]
    seconds: float
    finished: str
    command: tuple[str, ...] = field(default=())
    revision: str = ""
    cores: int = 0

    @property
    def checksum(self) -> str:
        """Return one checksum of the result's content."""
        return content_checksum(self.files)


def content_checksum(files: Mapping[str, FileState]) -> str:
    """Return one checksum of the names and contents of files."""
    lines = [f"{name} {state.checksum}" for name, state in sorted(files.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_states(result: Path, known: Mapping[str, FileState] | None = None) -> dict[str, FileState]:
    """Return the state of every file of a result.

    Args:
        result: A file or a folder; one that is not there has no files.
        known: States recorded earlier; a file of the same size and time keeps its recorded checksum.
    """
    known = known or {}
    states = {}
    for path in _files(result):
        name = path.relative_to(result).as_posix() if result.is_dir() else path.name
        found = path.stat()
        before = known.get(name)
        if before and (before.size, before.modified_ns) == (found.st_size, found.st_mtime_ns):
            states[name] = before
        else:
            states[name] = FileState(found.st_size, found.st_mtime_ns, _checksum(path))
    return states


def stage_states(stage: Stage, known: Mapping[str, FileState] | None = None) -> dict[str, FileState]:
    """Return the state of every file that a stage leaves; none where one of its results has no files.

    Args:
        stage: The stage. Files of `stage.also` are named with the folder that they are in.
        known: States recorded earlier, as in `file_states`.
    """
    known = known or {}
    found = file_states(stage.result, known)
    for path in stage.also:
        start = f"{path.name}/"
        more = file_states(path, {key.removeprefix(start): known[key] for key in known if key.startswith(start)})
        if not more:
            return {}
        found |= {start + name: state for name, state in more.items()}
    return found


def fingerprint_parts(stage: Stage, results: Mapping[str, str], version: str) -> dict[str, str]:
    """Return what a stage's result depends on, part by part.

    Args:
        stage: The stage.
        results: Checksum of the result of each stage that it needs.
        version: Version of the software; a new one repeats every stage.
    """
    parts = {"command": hashlib.sha256(json.dumps(stage.command).encode()).hexdigest(), "version": version}
    for path in stage.inputs:
        parts[f"file {path}"] = _checksum(path) if path.is_file() else "not found"
    parts |= {name: hashlib.sha256(value.encode()).hexdigest() for name, value in stage.facts.items()}
    return parts | {f"result of {name}": results[name] for name in stage.needs}


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the parts that differ."""
    return [name for name in dict.fromkeys((*now, *before)) if before.get(name) != now.get(name)]


def read_record(path: Path) -> StageRecord | None:
    """Return the record in a file, or None where there is none that can be read."""
    found = read_json(path)
    if found is None or found.get("format") != RECORD_FORMAT:
        return None
    try:
        files = {name: FileState(**state) for name, state in found["files"].items()}
        return StageRecord(
            found["name"],
            found["parts"],
            files,
            found["seconds"],
            found["finished"],
            tuple(found["command"]),
            found.get("revision", ""),
            found.get("cores", 0),
        )
    except (KeyError, TypeError, AttributeError):
        return None


def write_record(path: Path, record: StageRecord) -> None:
    """Write a record in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, dump_json({"format": RECORD_FORMAT, **asdict(record)}, indent=1))


@dataclass(frozen=True)
class StartedStage:
    """What is kept of a stage that started and did not end.

    Attributes:
        parts: Its fingerprint.
        seconds: How long it has run in all.
        process: The process id of its latest attempt; 0 before one started.
    """

    parts: Mapping[str, str]
    seconds: float = 0.0
    process: int = 0


def read_started(path: Path) -> StartedStage | None:
    """Return what is kept of an unfinished stage, or None where it did not start."""
    found = read_json(path)
    parts = found.get("parts") if found and found.get("format") == RECORD_FORMAT else None
    if found is None or not isinstance(parts, dict):
        return None
    return StartedStage(parts, float(found.get("seconds", 0.0)), int(found.get("process", 0)))


def write_started(path: Path, started: StartedStage) -> None:
    """Note the fingerprint of a stage that starts, so that what it leaves unfinished is never used for another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, dump_json({"format": RECORD_FORMAT, **asdict(started)}, indent=1))


def _files(result: Path) -> Iterable[Path]:
    if result.is_file():
        return [result]
    return sorted(path for path in result.rglob("*") if path.is_file()) if result.is_dir() else []


def _checksum(path: Path) -> str:
    checksum = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(BLOCK):
            checksum.update(block)
    return checksum.hexdigest()
