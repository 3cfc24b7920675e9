"""Keep what a path found, without its weights: one small file, for another machine or for others.

A machine may be gone tomorrow, and weights take gigabytes. The pack of a path holds the records of its complete stages and
what the report reads of them. Unpacked elsewhere, these stages are complete there too. One whose weights a new stage reads
is made again first.

    pack(runner, Path("small.tar.xz"))
    unpack(runner_on_another_machine, Path("small.tar.xz"))
"""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from innovator_rl.errors import UserError
from innovator_rl.paper.runner import Runner
from innovator_rl.paper.stage import Stage, read_record, read_started, stage_states, write_record
from innovator_rl.runs.files import dump_json, write_atomic

FORMAT = 1
CONTENTS = "pack.json"
LARGEST_BYTES = 1_000_000
"""Size of the largest file that is kept; weights, token shards and stored responses are larger."""
LEFT_OUT = frozenset(("checkpoints", "tokens", "updates", "logs", "tensorboard"))
"""Folders of a run that the report does not read."""
TEXTS = frozenset((".json", ".jsonl", ".yaml", ".md"))
"""Files in which folders of the machine are replaced by their names."""


@dataclass(frozen=True)
class Packed:
    """What was packed or unpacked.

    Attributes:
        stages: Names of the stages.
        others: Names of the stages that were left out: not complete, or already begun on the machine that unpacks.
    """

    stages: tuple[str, ...]
    others: tuple[str, ...]


def pack(runner: Runner, out: Path) -> Packed:
    """Write the records and small files of all complete stages.

    Args:
        runner: The path.
        out: File to write, a tar archive with xz compression.

    Raises:
        UserError: No stage is complete.
    """
    runs_dir = runner.run.path.parent
    contents: dict[str, list[str]] = {}
    files: dict[str, bytes] = {}
    others = []
    for decision in runner.decide():
        stage = decision.stage
        if decision.runs:
            others.append(stage.name)
            continue
        paths = [runner.record_path(stage), *_small_files(stage, runs_dir)]
        contents[stage.name] = [path.relative_to(runs_dir).as_posix() for path in paths]
        files |= {path.relative_to(runs_dir).as_posix(): _read(path, runner) for path in paths}
    if not contents:
        raise UserError(f"{runner.run.path}: no stage is complete; run the path first")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        _add(archive, CONTENTS, dump_json({"format": FORMAT, "stages": contents}, indent=1).encode())
        for name, data in sorted(files.items()):
            _add(archive, name, data)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, buffer.getvalue())
    return Packed(tuple(contents), tuple(others))


def unpack(runner: Runner, source: Path) -> Packed:
    """Take over the stages of a pack that this machine has not begun.

    Args:
        runner: The path.
        source: A file that `pack` wrote, of a path of the same name.

    Raises:
        UserError: The file cannot be read, or is not a pack of this path.
    """
    contents, files = _archive(source)
    runs_dir = runner.run.path.parent
    known = {stage.name: stage for stage in runner.stages}
    taken, others = [], []
    for name, members in contents.items():
        stage = known.get(name)
        if stage is None or _begun(runner, stage):
            others.append(name)
            continue
        record_name = runner.record_path(stage).relative_to(runs_dir).as_posix()
        if record_name not in members:
            raise UserError(
                f"{source}: stage {name!r} is of a path of another name: give the configuration that was packed"
            )
        for member in members:
            _write(runs_dir / member, files[member], runner)
        record = read_record(runner.record_path(stage))
        if record is None:
            raise UserError(f"{source}: the record of stage {name!r} cannot be read; pack the path again")
        here = {**record.files, **stage_states(stage)}
        write_record(runner.record_path(stage), replace(record, files=here, from_start=True))
        taken.append(name)
    return Packed(tuple(taken), tuple(others))


def _begun(runner: Runner, stage: Stage) -> bool:
    """Return whether this machine has a record of a stage, or work of it."""
    records = read_record(runner.record_path(stage)), read_started(runner.started_path(stage))
    return any(records) or any(path.exists() for path in (stage.result, *stage.also, *stage.clean))


def _small_files(stage: Stage, runs_dir: Path) -> Iterator[Path]:
    """Yield the files of a stage that the report reads, each once."""
    found: dict[Path, None] = {}
    for place in (stage.result, *stage.also, *stage.clean):
        if runs_dir in place.parents:
            found |= dict.fromkeys([place] if place.is_file() else sorted(place.rglob("*")))
    for path in found:
        parts = path.relative_to(runs_dir).parts
        trained_on = "rollouts" in parts and not path.name.startswith("validation")
        left_out = trained_on or LEFT_OUT.intersection(parts) or path.name.endswith(".lock")
        if path.is_file() and not left_out and path.stat().st_size <= LARGEST_BYTES:
            yield path


def _read(path: Path, runner: Runner) -> bytes:
    data = path.read_bytes()
    return _renamed(data, runner.places.short) if path.suffix in TEXTS else data


def _write(path: Path, data: bytes, runner: Runner) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, _renamed(data, runner.places.long) if path.suffix in TEXTS else data)


def _renamed(data: bytes, rename: Callable[[str], str]) -> bytes:
    return rename(data.decode(errors="surrogateescape")).encode(errors="surrogateescape")


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
            files = {member.name: handle.read() for member in members if (handle := archive.extractfile(member))}
        found = json.loads(files.pop(CONTENTS))
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}, expected {FORMAT}")
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
