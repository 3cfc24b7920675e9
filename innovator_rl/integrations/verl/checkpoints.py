"""Checkpoints that are either whole or ignored.

verl names the newest checkpoint in a tracker file before all of it may be on the disk, trains from scratch without a word when the
named folder is missing, and deletes the old checkpoint before the new one is written. Here a checkpoint counts once its marker
`complete.json` is there (written last, atomically), the newest such one is resumed from, and older ones go only after that.
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
        """Whether every part reached the disk: the marker lists the files and they have the sizes it says."""
        try:
            files = json.loads((self.path / MARKER).read_text())["files"]
        except (OSError, ValueError, KeyError):
            return False
        return all(
            (self.path / name).is_file() and (self.path / name).stat().st_size == size for name, size in files.items()
        )


def checkpoints(folder: Path) -> list[Checkpoint]:
    """All checkpoints under `folder`, oldest first, whole or not."""
    if not folder.is_dir():
        return []
    found = [(FOLDER.fullmatch(entry.name), entry) for entry in folder.iterdir() if entry.is_dir()]
    return sorted((Checkpoint(int(match.group(1)), entry) for match, entry in found if match), key=lambda c: c.step)


def latest_complete(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint; None if there is none."""
    return next((c for c in reversed(checkpoints(folder)) if c.complete), None)


def mark_complete(checkpoint: Path) -> None:
    """Write the marker: names and sizes of all files, in one atomic step."""
    files = {
        str(path.relative_to(checkpoint)): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != MARKER
    }
    draft = checkpoint / f".{MARKER}"
    draft.write_text(json.dumps({"files": files}, indent=1))
    draft.replace(checkpoint / MARKER)


def prune(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` whole checkpoints, and broken ones older than the newest whole one.

    Returns the folders deleted. Never touches a broken checkpoint newer than every whole one: it may be in the writing.
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
