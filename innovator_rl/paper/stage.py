"""Define a stage, its fingerprint, and the record that makes a complete stage skippable.

A stage is one command with inputs and one result, a file or folder. Its fingerprint covers the command, the content of
the input files and the content of the results of the stages that it needs. The record of a complete stage holds the
fingerprint and the checksum of the result, so a second run repeats a stage only if something that it depends on changed,
and can say what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from innovator_rl.paper.contents import Contents, FileState, content_checksum, counts, file_states, input_checksum
from innovator_rl.paper.places import Places
from innovator_rl.runs.files import dump_json, read_json, write_atomic

RECORD_FORMAT = 1


@dataclass(frozen=True)
class Stage:
    """One command of the path.

    Attributes:
        name: Unique name, also that of its log and record.
        title: What the stage does, a short phrase for people.
        command: Words after `innovator`.
        result: File or folder that the command leaves; its content is what later stages depend on.
        also: Further files or folders that it leaves and later stages read.
        weights: Folder besides its result that a later stage reads, such as the checkpoints of a training run.
        needs: Names of the stages whose results it reads.
        inputs: Files besides those results, such as configurations.
        reads: Files and folders besides, by what they are to it, such as the raw text of a corpus; large, and made elsewhere.
        facts: What else its result depends on, by name, such as the folder of published sets that a suite reads.
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
    weights: Path | None = None
    needs: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    reads: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
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
        from_start: Whether its folders hold no work that could continue, as where they were unpacked: its command starts again.
    """

    name: str
    parts: Mapping[str, str]
    files: Mapping[str, FileState]
    seconds: float
    finished: str
    command: tuple[str, ...] = field(default=())
    revision: str = ""
    cores: int = 0
    from_start: bool = False

    @property
    def checksum(self) -> str:
        """Return one checksum of the result's content."""
        return content_checksum(self.files)


@dataclass(frozen=True)
class Decision:
    """Whether a stage runs, and why.

    Attributes:
        stage: The stage.
        runs: Whether its command has to run.
        reason: Why, a phrase for people.
        seconds: How long it took last time, if it ran before.
        checksum: Checksum of its result where it is complete.
        record: What is kept of its last complete run.
        replaces: Files and folders that its run replaces.
        gone: What later stages would read and is not here; the stage runs again only for one of them.
        comes_back: Whether its result was set aside for a run that did not end, and the path takes it back.
    """

    stage: Stage
    runs: bool
    reason: str
    seconds: float | None = None
    checksum: str = ""
    record: StageRecord | None = None
    replaces: tuple[Path, ...] = ()
    gone: Path | None = None
    comes_back: bool = False

    @property
    def complete(self) -> bool:
        """Return whether the figures of the stage are here, also where its weights have to be made again for another stage."""
        return not self.comes_back and (not self.runs or self.gone is not None)


def stage_states(stage: Stage, places: Places, known: Mapping[str, FileState] | None = None) -> dict[str, FileState]:
    """Return the state of every file that a stage leaves; none where one of its results has no files.

    Args:
        stage: The stage. Files of `stage.also` are named with the folder that they are in.
        places: The folders of this machine, where they are does not count.
        known: States recorded earlier, as in `file_states`.
    """
    known = known or {}
    found = file_states(stage.result, known, places)
    for path in stage.also:
        start = f"{path.name}/"
        own = {key.removeprefix(start): known[key] for key in known if key.startswith(start)}
        more = file_states(path, own, places)
        if not more:
            return {}
        found |= {start + name: state for name, state in more.items()}
    return found


def fingerprint_parts(
    stage: Stage, results: Mapping[str, str], version: str, contents: Contents, places: Places
) -> dict[str, str]:
    """Return what a stage's result depends on, part by part.

    Args:
        stage: The stage.
        results: Checksum of the result of each stage that it needs.
        version: Version of the software; a new one repeats every stage.
        contents: The checksums of what stages read.
        places: The folders of this machine, where they are does not count.
    """
    words = json.dumps([places.short(word) for word in stage.command])
    parts = {"command": hashlib.sha256(words.encode()).hexdigest(), "version": version}
    for path in stage.inputs:
        parts[f"file {places.short(str(path))}"] = input_checksum(path) if path.is_file() else "not found"
    parts |= {name: contents.checksum(files) for name, files in stage.reads.items() if files}
    facts = {name: places.short(value) for name, value in stage.facts.items() if value}
    parts |= {name: hashlib.sha256(value.encode()).hexdigest() for name, value in facts.items()}
    return parts | {f"result of {name}": results[name] for name in stage.needs}


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the parts that differ."""
    return [name for name in dict.fromkeys((*now, *before)) if before.get(name) != now.get(name)]


def read_record(path: Path) -> StageRecord | None:
    """Return the record in a file, or None where there is none that can be read."""
    return record_of(read_json(path))


def record_of(found: Mapping[str, Any] | None) -> StageRecord | None:
    """Return the record that a JSON object holds, or None where it holds none of this format."""
    if found is None or found.get("format") != RECORD_FORMAT:
        return None
    try:
        files = {name: FileState(**state) for name, state in found["files"].items() if counts(name)}
        return StageRecord(
            str(found["name"]),
            dict(found["parts"]),
            files,
            float(found["seconds"]),
            str(found["finished"]),
            tuple(map(str, found["command"])),
            str(found.get("revision", "")),
            int(found.get("cores", 0)),
            bool(found.get("from_start", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
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
