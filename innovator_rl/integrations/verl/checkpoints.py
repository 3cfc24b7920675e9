"""Mark complete checkpoints, find the newest and delete older ones.

verl names the newest checkpoint in a tracker file before all of it may be on the disk, trains from scratch without a
message when the named folder is missing, and deletes the old checkpoint before the new one is written. Here a checkpoint
counts once its marker `complete.json` exists, which is written last and atomically. A run resumes from the newest
complete checkpoint, and older ones are deleted only after a newer one is complete.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

MARKER = "complete.json"
FOLDER = re.compile(r"global_step_(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder of verl's layout and the step it was taken after."""

    step: int
    path: Path

    @property
    def complete(self) -> bool:
        """Whether every part reached the disk with the size that the marker lists."""
        try:
            files = json.loads((self.path / MARKER).read_text())["files"]
        except (OSError, ValueError, KeyError):
            return False
        return all(
            (self.path / name).is_file() and (self.path / name).stat().st_size == size for name, size in files.items()
        )


def checkpoints(folder: Path) -> list[Checkpoint]:
    """List all checkpoints under `folder`, oldest first, complete or not."""
    if not folder.is_dir():
        return []
    found = [(FOLDER.fullmatch(entry.name), entry) for entry in folder.iterdir() if entry.is_dir()]
    return sorted((Checkpoint(int(match.group(1)), entry) for match, entry in found if match), key=lambda c: c.step)


def latest_complete(folder: Path) -> Checkpoint | None:
    """Return the newest complete checkpoint; None if there is none."""
    return next((c for c in reversed(checkpoints(folder)) if c.complete), None)


def mark_complete(checkpoint: Path) -> None:
    """Write the marker with names and sizes of all files, in one atomic step."""
    files = {
        str(path.relative_to(checkpoint)): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != MARKER
    }
    draft = checkpoint / f".{MARKER}"
    draft.write_text(json.dumps({"files": files}, indent=1))
    draft.replace(checkpoint / MARKER)


def prune(folder: Path, keep: int) -> list[Path]:
    """Delete old checkpoints.

    All but the newest `keep` complete ones go, and incomplete ones older than the newest complete one. An incomplete
    checkpoint that is newer than every complete one stays: it may still be being written.

    Args:
        folder: the run's checkpoint folder.
        keep: number of complete checkpoints to keep, at least 1.

    Returns:
        The deleted folders.
    """
    every = checkpoints(folder)
    whole = [c for c in every if c.complete]
    if not whole:
        return []
    kept = {c.step for c in whole[-max(1, keep) :]}
    deleted = [c.path for c in every if c.step not in kept and c.step < whole[-1].step]
    for path in deleted:
        shutil.rmtree(path, ignore_errors=True)
    return deleted
