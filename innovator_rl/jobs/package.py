"""Measure what a Ray job would upload from a directory.

Ray zips the working directory, leaving out what `.gitignore`, `.rayignore` and the runtime environment's `excludes`
name, and refuses half a gigabyte with an HTTP error; a checkpoint left in the wrong place is found out after minutes.
Here the same walk is done first, with Ray's own functions, and an error names the files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from innovator_rl.errors import UserError

LIMIT_BYTES = 50 * 10**6  # the code and configurations are about a megabyte; fifty are a mistake
NAMED_FILES = 5
# The same patterns as .rayignore, for working directories that have none. Gitignore syntax.
EXCLUDES = (
    *("/.git", "/.venv", "/venv", "/build", "__pycache__", ".*_cache", ".hypothesis"),
    *("/runs", "/models", "/data", "/checkpoints", "/wandb", "step=*", "global_step_*"),
    *("*.safetensors", "*.gguf", "*.pt", "*.pth", "*.ckpt", "*.distcp", "pytorch_model*.bin", "*.onnx"),
)


@dataclass(frozen=True)
class Upload:
    """The files of an upload, relative to `root`, with their sizes in bytes."""

    root: Path
    files: dict[str, int]

    @property
    def size(self) -> int:
        """Return the number of bytes before compression."""
        return sum(self.files.values())

    def biggest(self, count: int = NAMED_FILES) -> list[tuple[str, int]]:
        """Return the largest files, largest first."""
        return sorted(self.files.items(), key=lambda item: -item[1])[:count]

    def includes(self, path: Path) -> bool:
        """Return whether a file, or anything inside a directory, is uploaded."""
        try:
            relative = path.absolute().relative_to(self.root).as_posix()
        except ValueError:
            return False
        return relative in self.files or any(name.startswith(f"{relative}/") for name in self.files)

    def require_size(self, limit: int = LIMIT_BYTES) -> None:
        """Raise `UserError` with the largest files if the upload exceeds `limit` bytes."""
        if self.size <= limit:
            return
        named = "\n".join(f"  {megabytes(size)}  {name}" for name, size in self.biggest())
        raise UserError(
            f"{self.root} would upload {megabytes(self.size)} in {len(self.files)} files, more than "
            f"{megabytes(limit)}; the biggest:\n{named}\nadd them to .rayignore or move them elsewhere"
        )


def megabytes(size: float) -> str:
    """Format a number of bytes: `12.3 MB`."""
    return f"{size / 1e6:.1f} MB"


def measure(root: Path, excludes: Sequence[str] = EXCLUDES) -> Upload:
    """List what Ray would upload from `root`; only names and sizes are read."""
    from ray._private import ray_constants
    from ray._private.runtime_env import packaging

    root = root.absolute()
    files: dict[str, int] = {}

    def note(path: Path) -> None:
        if path.is_file():
            files[path.relative_to(root).as_posix()] = path.stat().st_size

    # Ray's own walk: a copy of its rules would be wrong the day they change. The test compares with the zip it makes.
    patterns = [*ray_constants.get_runtime_env_default_excludes(), *excludes]
    respect = os.environ.get(ray_constants.RAY_RUNTIME_ENV_IGNORE_GITIGNORE, "0") != "1"
    quiet = logging.getLogger(f"{__name__}.walk")
    quiet.setLevel(logging.WARNING)
    packaging._dir_travel(
        root, [packaging._get_excludes(root, patterns)], note, include_gitignore=respect, logger=quiet
    )
    return Upload(root, files)
