"""Write a small project: configuration, questions, a rewarder, golden cases.

innovator init my-project
cd my-project
innovator train train.yaml --dry-run
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.errors import UserError

TEMPLATE = Path(__file__).with_name("new_project")


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; it must be new or empty.")],
) -> None:
    """Write a small project into a new folder."""
    for path in write_project(folder):
        typer.echo(str(path))
    typer.echo(f"next: cd {folder} && innovator train train.yaml --dry-run")


def write_project(folder: Path) -> list[Path]:
    """Write the project and return its files.

    Args:
        folder: Where to write it; parents are made.

    Raises:
        UserError: The folder has files, or cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} must be a new or empty folder: choose another one")
        shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from error
    return sorted(path for path in folder.rglob("*") if path.is_file())
