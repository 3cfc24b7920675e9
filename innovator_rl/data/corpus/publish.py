"""Put finished files and folders under their final names, so that no reader ever sees an unfinished one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any


def sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name and rename it when it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def publish_json(path: Path, value: Any) -> None:
    """Write a JSON file as `publish_text` does."""
    publish_text(path, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def publish_folder(temporary: Path, final: Path) -> None:
    """Rename a folder to its final name when all its files are on disk.

    Where the final name exists, another process finished the same work first; its files are equal, and these are removed.
    """
    for path in sorted(temporary.rglob("*")):
        sync(path)
    sync(temporary)
    try:
        temporary.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(temporary)
    sync(final.parent)


def publish_file(source: Path, final: Path) -> None:
    """Make `final` the same file as `source`, as a hard link where the file system allows one."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
        sync(temporary)
    temporary.replace(final)
