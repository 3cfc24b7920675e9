"""Keep what a path found, without its weights: one small file, for another machine or for others.

A machine may be gone tomorrow, and weights take gigabytes. The pack of a path holds the records of its complete stages and
what the report reads of them. Unpacked elsewhere, these stages are complete there too. One whose weights a new stage reads
is made again first.

    pack(Decisions(run, stages), Path("small.tar.xz"))
    unpack(Decisions(run_on_another_machine, stages), Path("small.tar.xz"))
"""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from innovator_rl.errors import UserError
from innovator_rl.paper.contents import named_files
from innovator_rl.paper.decisions import Decisions
from innovator_rl.paper.places import TEXTS, Places
from innovator_rl.paper.stage import Stage, read_started, record_of, write_record
from innovator_rl.runs.files import dump_json, write_atomic
from innovator_rl.runs.reading import parse_json

FORMAT = 1
CONTENTS = "pack.json"
REPORTED = frozenset(("config.yaml", "manifest.json", "metrics.jsonl", "run.json"))
"""Files in the folders of a stage that the report reads, whatever their size."""
LARGEST_BYTES = 1_000_000
"""Size of the largest other file that is kept, such as training rows; weights and token shards are larger."""
MOST_BYTES = 4_000_000_000
"""Bytes of all files of a pack, which are in memory at once."""
LEFT_OUT = frozenset(("checkpoints", "tokens", "updates", "logs", "tensorboard"))
"""Folders of a run that the report does not read."""
OF_A_MACHINE = (
    "host",
    "machine",
    "pid",
    "process_started",
    "command",
    "ray_job_id",
    "ray_submission_id",
    "ray_dashboard",
)
"""Fields of run.json that say where a run was."""


@dataclass(frozen=True)
class Packed:
    """What was packed or unpacked.

    Attributes:
        stages: Names of the stages.
        others: Names of the stages that were left out: not complete, or already begun on the machine that unpacks.
    """

    stages: tuple[str, ...]
    others: tuple[str, ...]


def pack(decisions: Decisions, out: Path) -> Packed:
    """Write the records and small files of all complete stages.

    Args:
        decisions: The path.
        out: File to write, a tar archive with xz compression.

    Raises:
        UserError: No stage is complete, or a file cannot be read or written.
    """
    runs_dir = decisions.run.path.parent
    contents: dict[str, list[str]] = {}
    files: dict[str, bytes] = {}
    others = []
    try:
        for decision in decisions.all():
            stage = decision.stage
            if not decision.complete:
                others.append(stage.name)
                continue
            paths = [decisions.record_path(stage), *_kept_files(stage, runs_dir)]
            contents[stage.name] = [path.relative_to(runs_dir).as_posix() for path in paths]
            files |= {path.relative_to(runs_dir).as_posix(): _read(path, decisions.places) for path in paths}
        if not contents:
            raise UserError(f"{decisions.run.path}: no stage is complete; run the path first")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
            _add(archive, CONTENTS, dump_json({"format": FORMAT, "stages": contents}, indent=1).encode())
            for name, data in sorted(files.items()):
                _add(archive, name, data)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, buffer.getvalue())
    except OSError as error:
        raise UserError(
            f"{error.filename2 or error.filename or out}: {error.strerror or error}; free some space, or name another file than {out}"
        ) from None
    return Packed(tuple(contents), tuple(others))


def unpack(decisions: Decisions, source: Path) -> Packed:
    """Take over the stages of a pack that this machine has not begun.

    Args:
        decisions: The path.
        source: A file that `pack` wrote, of a path of the same name.

    Raises:
        UserError: The file cannot be read, or is not a pack of this path, or the path runs now, or a file cannot be written.
    """
    contents, files = _archive(source)
    run = decisions.run
    if run.state().live:
        raise UserError(
            f"run {run.name!r} is being written now: wait until `innovator paper run` has ended, then unpack"
        )
    known = {stage.name: stage for stage in decisions.stages}
    taken, others = [], []
    for name, members in contents.items():
        stage = known.get(name)
        if stage is None:
            others.append(name)
            continue
        packed = {run.path.parent / member: files[member] for member in members}
        # A fingerprint names folders as the pack does: they stay as they are.
        record = record_of(parse_json(packed.pop(decisions.record_path(stage), b""))[0])
        own = {path: _here(path, data, decisions.places) for path, data in packed.items()}
        if record is None or not all(_is_of(stage, path) for path in own):
            raise UserError(
                f"{source}: stage {name!r} is of a path of another name or version: give the configuration that was packed"
            )
        if _begun(decisions, stage, own):
            others.append(name)
            continue
        try:
            for path, data in own.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, data)
            # The last: what has a record is whole.
            command = tuple(map(decisions.places.long, record.command))
            write_record(decisions.record_path(stage), replace(record, command=command, from_start=True))
        except OSError as error:
            raise UserError(
                f"{error.filename or run.path}: {error.strerror or error}; free some space or correct the folder, then unpack again"
            ) from None
        taken.append(name)
    return Packed(tuple(taken), tuple(others))


def _is_of(stage: Stage, path: Path) -> bool:
    """Return whether a file is in one of a stage's folders, or in the run of one of its parts, which is next to them."""
    places = (stage.result, *stage.also, *stage.clean)
    inside = any(path == place or place in path.parents or str(path).startswith(f"{place}.") for place in places)
    return inside and ".." not in path.parts


def _begun(decisions: Decisions, stage: Stage, packed: Mapping[Path, bytes]) -> bool:
    """Return whether this machine has a record of a stage, or other files of it than those of the pack."""
    if decisions.record(stage) or read_started(decisions.started_path(stage)):
        return True
    places = (stage.result, *stage.also, *stage.clean, *packed)
    found = {path for place in places for _, path in named_files(place) if not path.name.endswith(".tmp")}
    return any(path not in packed or path.read_bytes() != packed[path] for path in found)


def _kept_files(stage: Stage, runs_dir: Path) -> Iterator[Path]:
    """Yield the files of a stage that the report reads, and small ones, each once."""
    places = [place for place in (stage.result, *stage.also, *stage.clean) if runs_dir in place.parents]
    for path in dict.fromkeys(path for place in places for _, path in named_files(place)):
        parts = path.relative_to(runs_dir).parts
        if LEFT_OUT.intersection(parts) or path.name.endswith(".lock") or ".sqlite" in path.name:
            continue
        validates = stage.weights is not None and path.name.startswith("validation")
        reported = path == stage.result or path.name in REPORTED or "held_out" in parts
        if validates if "rollouts" in parts else reported or path.stat().st_size <= LARGEST_BYTES:
            yield path


def _read(path: Path, places: Places) -> bytes:
    data = path.read_bytes()
    if path.name == "run.json" and isinstance(found := parse_json(data)[0], dict):
        data = dump_json({name: value for name, value in found.items() if name not in OF_A_MACHINE}, indent=1).encode()
    return places.short_bytes(data) if path.suffix in TEXTS else data


def _here(path: Path, data: bytes, places: Places) -> bytes:
    return places.long_bytes(data) if path.suffix in TEXTS else data


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _archive(source: Path) -> tuple[dict[str, list[str]], dict[str, bytes]]:
    """Return the stages of a pack with their files, and the content of every file.

    Raises:
        UserError: It is not a pack, or a file in it would be written outside the folder of the runs.
    """
    try:
        with tarfile.open(source, mode="r:xz") as archive:
            members = [tarfile.data_filter(member, "/nowhere") for member in archive if member.isfile()]
            if (size := sum(member.size for member in members)) > MOST_BYTES:
                raise ValueError(f"its files have {size:,} bytes, expected at most {MOST_BYTES:,}")
            files = {member.name: handle.read() for member in members if (handle := archive.extractfile(member))}
        found, why = parse_json(files.pop(CONTENTS))
        if why or found["format"] != FORMAT:
            raise ValueError(why or f"format {found['format']}, expected {FORMAT}")
        contents = {str(name): [str(member) for member in names] for name, names in found["stages"].items()}
        if missing := next((one for names in contents.values() for one in names if one not in files), None):
            raise ValueError(f"{missing} is missing")
    except FileNotFoundError:
        raise UserError(f"{source}: file not found; `innovator paper pack` writes it") from None
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        tarfile.TarError,
        KeyError,
        TypeError,
        AttributeError,
        ValueError,
    ) as error:
        raise UserError(f"{source}: not a pack of `innovator paper pack` ({error})") from None
    return contents, files
