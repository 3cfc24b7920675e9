"""Keep what a complete stage left until its new result exists.

Before a complete stage runs again, its files and folders get another name next to their own. The new result replaces them
once it is there; a stage that makes none gets them back.

    set_aside(stage.clean)
    put_back(stage.clean)  # or, with the new result there, drop(stage.clean)
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

SET_ASIDE = ".changed"
"""Ending of the name of what is kept."""


def aside(path: Path) -> Path:
    """Return where a file or folder is kept."""
    return path.with_name(path.name + SET_ASIDE)


def set_aside(paths: Iterable[Path]) -> None:
    """Give each file and folder that is there its other name; what is kept already stays, and what is in its place goes."""
    for path in paths:
        if aside(path).exists():  # kept
            remove(path)
        elif path.exists():
            path.rename(aside(path))


def put_back(paths: Iterable[Path]) -> None:
    """Let what is kept take the place of what is there."""
    for path in paths:
        if aside(path).exists():
            remove(path)
            aside(path).rename(path)


def drop(paths: Iterable[Path]) -> None:
    """Remove what is kept."""
    for path in paths:
        remove(aside(path))


def own_name(path: Path) -> Path:
    """Return the place of a file or folder that may be one that is kept."""
    return path.with_name(path.name.removesuffix(SET_ASIDE))


def remove(path: Path) -> None:
    """Remove a file or a folder; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def bytes_in(path: Path) -> int:
    """Return the bytes of a file or of the files in a folder; 0 where there is none."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.lstat().st_size for file in files if file.is_file())
