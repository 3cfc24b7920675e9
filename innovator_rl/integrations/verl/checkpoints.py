"""Mark complete checkpoints, find the newest intact one and delete older ones.

verl names the newest checkpoint in a tracker file before all of it may be on the disk, trains from scratch without a
message when the named folder is missing, and deletes the old checkpoint before the new one is written. Here a checkpoint
counts once its marker `complete.json` exists. Every file is synced to the disk first, and the marker, written last and
atomically, lists sizes and checksums: bytes that changed afterwards are noticed before anything is loaded from them. A run
resumes from the newest intact checkpoint, and older ones are deleted only after a newer one is complete.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from innovator_rl.errors import UserError
from innovator_rl.runs.files import write_atomic

MARKER = "complete.json"
BEST = "best.json"
FOLDER = re.compile(r"global_step_(\d+)")
SHARD = re.compile(r"model_world_size_(\d+)_rank_\d+\.pt")
BLOCK = 1 << 22
FULL_BYTES = 1 << 20
"""With less than this free after a failed save, the disk counts as full."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder of verl's layout and the step it was taken after."""

    step: int
    path: Path

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """Size and checksum of each file that the marker lists; empty without a readable marker.

        Markers of earlier releases have sizes alone.
        """
        try:
            files = json.loads((self.path / MARKER).read_text())["files"]
            return {name: entry if isinstance(entry, dict) else {"size": entry} for name, entry in files.items()}
        except (OSError, ValueError, KeyError, AttributeError):
            return {}

    @property
    def complete(self) -> bool:
        """Whether every part reached the disk with the size that the marker lists."""
        files = self.files
        return bool(files) and all(
            (self.path / name).is_file() and (self.path / name).stat().st_size == entry["size"]
            for name, entry in files.items()
        )

    @property
    def has_checksums(self) -> bool:
        """Whether the marker lists a checksum of every file."""
        files = self.files
        return bool(files) and all("xxh3" in entry for entry in files.values())

    @property
    def ranks(self) -> int | None:
        """Number of ranks that wrote the model; None where no shard is there."""
        names = (SHARD.fullmatch(Path(name).name) for name in self.files)
        return next((int(match.group(1)) for match in names if match), None)

    def damage(self) -> str:
        """Read every file; return the name of the first that differs from its checksum, empty where none does."""
        if not self.complete:
            return MARKER
        for name, entry in self.files.items():
            if "xxh3" in entry and checksum(self.path / name) != entry["xxh3"]:
                return name
        return ""


def checksum(path: Path) -> str:
    """Compute the checksum of a file (XXH3, 128 bits): it notices damage, not forgery."""
    state = xxhash.xxh3_128()
    with path.open("rb") as handle:
        while block := handle.read(BLOCK):
            state.update(block)
    return state.hexdigest()


def checkpoints(folder: Path) -> list[Checkpoint]:
    """List all checkpoints under `folder`, oldest first, complete or not."""
    if not folder.is_dir():
        return []
    found = [(FOLDER.fullmatch(entry.name), entry) for entry in folder.iterdir() if entry.is_dir()]
    return sorted((Checkpoint(int(match.group(1)), entry) for match, entry in found if match), key=lambda c: c.step)


def latest_complete(folder: Path) -> Checkpoint | None:
    """Return the newest complete checkpoint; None if there is none."""
    return next((c for c in reversed(checkpoints(folder)) if c.complete), None)


def newest_intact(folder: Path) -> tuple[Checkpoint | None, list[tuple[Checkpoint, str]]]:
    """Find the checkpoint to resume from, after reading all of it.

    Returns:
        The newest one whose files equal their checksums, None if there is none; and the newer complete ones that are damaged,
        each with the file that differs.
    """
    damaged: list[tuple[Checkpoint, str]] = []
    for found in reversed(checkpoints(folder)):
        if not found.complete:
            continue
        name = found.damage()
        if not name:
            return found, damaged
        damaged.append((found, name))
    return None, damaged


def at(path: Path) -> Checkpoint:
    """Return the intact checkpoint that a user names: its folder, or a run's directory for the newest one.

    Raises:
        UserError: there is none, it is damaged, or its checksums are missing. Loading a checkpoint runs what its files say, so
            one from another folder is loaded only as it was written.
    """
    match = FOLDER.fullmatch(path.name)
    if match:
        found: Checkpoint | None = Checkpoint(int(match.group(1)), path)
    else:
        found = latest_complete(path / "checkpoints") or latest_complete(path)
    if found is None or not found.complete:
        raise UserError(
            f"schedule.resume={path}: no complete checkpoint found; expected a run's directory or a global_step_N"
        )
    if not found.has_checksums:
        raise UserError(
            f"schedule.resume={found.path}: its {MARKER} must list checksums; resume and save it once in its own run"
        )
    if name := found.damage():
        raise UserError(f"schedule.resume={found.path}: {name} must be as it was saved and differs from its checksum")
    return found


def mark_complete(checkpoint: Path) -> None:
    """Sync every file to the disk, then write the marker with names, sizes and checksums in one atomic step."""
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(checkpoint.rglob("*")):
        if path.is_dir() or path.name == MARKER:
            continue
        _sync(path)
        files[str(path.relative_to(checkpoint))] = {"size": path.stat().st_size, "xxh3": checksum(path)}
    for folder in (*(entry for entry in checkpoint.rglob("*") if entry.is_dir()), checkpoint):
        _sync(folder)
    write_atomic(checkpoint / MARKER, json.dumps({"files": files}, indent=1))


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoint_bytes(folder: Path) -> int:
    """Return the size of the newest complete checkpoint, 0 where there is none."""
    found = latest_complete(folder)
    return sum(int(entry["size"]) for entry in found.files.values()) if found else 0


def disk_full(checkpoint: Path, usual_bytes: int, error: BaseException) -> str:
    """Say in a sentence that a checkpoint failed for want of space; empty where there is enough.

    torch reports a full disk as a failed check of its zip writer. What was written of the checkpoint is deleted.

    Args:
        checkpoint: the folder that was being written.
        usual_bytes: size of an earlier checkpoint, 0 where unknown.
        error: what ended the attempt.
    """
    written = sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file())
    free = shutil.disk_usage(checkpoint.parent).free
    named = "No space left" in str(error) or getattr(error, "errno", None) == errno.ENOSPC
    if not named and free > max(usual_bytes - written, FULL_BYTES):
        return ""
    shutil.rmtree(checkpoint, ignore_errors=True)
    need = f"needs {usual_bytes / 2**20:,.0f} MiB" if usual_bytes else f"needs more than {written / 2**20:,.0f} MiB"
    return f"no space left on {checkpoint.parent}: the checkpoint {checkpoint.name} {need}, {free / 2**20:,.0f} MiB are free"


def note_best(folder: Path, step: int, value: float) -> bool:
    """Remember the checkpoint of `step` where none before had a larger value; `prune` keeps it.

    Returns:
        Whether it is the best.
    """
    if not Checkpoint(step, folder / f"global_step_{step}").complete:
        return False
    before = best(folder)
    if before is not None and before[1] >= value:
        return False
    write_atomic(folder / BEST, json.dumps({"step": step, "value": value}))
    return True


def best(folder: Path) -> tuple[int, float] | None:
    """Return step and value of the best checkpoint; None where none was noted."""
    try:
        found = json.loads((folder / BEST).read_text())
        return int(found["step"]), float(found["value"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def prune(folder: Path, keep: int, step: int | None = None) -> list[Path]:
    """Delete old checkpoints.

    All but the newest `keep` complete ones and the best go, and incomplete ones older than the newest complete one. An incomplete
    checkpoint that is newer than every complete one stays: it may still be being written.

    Args:
        folder: the run's checkpoint folder.
        keep: number of complete checkpoints to keep, at least 1.
        step: the step that was saved last. Later ones are of an attempt whose checkpoint was damaged: they stay, and count for
            nothing. None: there are none.

    Returns:
        The deleted folders.
    """
    every = checkpoints(folder)
    whole = [c for c in every if c.complete and (step is None or c.step <= step)]
    if not whole:
        return []
    kept = {c.step for c in whole[-max(1, keep) :]}
    if (noted := best(folder)) is not None:
        kept.add(noted[0])
    deleted = [c.path for c in every if c.step not in kept and c.step < whole[-1].step]
    for path in deleted:
        shutil.rmtree(path, ignore_errors=True)
    return deleted
