"""Commands behind `innovator data` for rows of supervised fine-tuning: build and show."""

from __future__ import annotations

import sys
from pathlib import Path


def is_recipe(what: str) -> bool:
    """Return whether a command's argument is the recipe of such rows."""
    from innovator_rl.data.sft.recipe import is_sft_recipe

    return what.endswith((".yaml", ".yml")) and is_sft_recipe(Path(what))


def built_folder(what: str, out: Path = Path("data")) -> Path | None:
    """Return the folder of built rows that a name, recipe or folder stands for; None for anything else."""
    from innovator_rl.data.sft.build import load_sft_manifest
    from innovator_rl.data.sft.recipe import load_sft_recipe

    if is_recipe(what):
        return out / load_sft_recipe(Path(what)).name
    return next((folder for folder in (Path(what), out / what) if load_sft_manifest(folder)), None)


def build(recipe: Path, out: Path, workers: int) -> None:
    """Build the rows with progress on standard error, and print what came out."""
    from innovator_rl.data.sft.build import build_sft
    from innovator_rl.data.sft.recipe import load_sft_recipe

    loaded = load_sft_recipe(recipe)
    build_sft(loaded, recipe.parent, out, sys.stderr, workers)
    show(out / loaded.name, examples=0)


def show(folder: Path, examples: int) -> None:
    """Print the counts of a built set and its first conversations.

    Raises:
        UserError: It is not built.
    """
    import pyarrow.parquet as pq
    from rich.console import Console

    from innovator_rl.data.sft.build import DROPPED, load_sft_manifest
    from innovator_rl.errors import UserError

    manifest = load_sft_manifest(folder)
    if manifest is None:
        raise UserError(f"{folder}: not found; build it with `innovator data build RECIPE`")
    console = Console(highlight=False, soft_wrap=True)
    for name, rows in manifest.rows.items():
        console.print(f"{folder / name}.parquet  {rows} rows", markup=False)
    for reason, count in manifest.dropped.items():
        console.print(f"dropped {count}: {reason} ({folder / DROPPED})", markup=False)
    for row in pq.read_table(folder / "train.parquet").slice(0, examples).to_pylist():
        console.rule(row["id"])
        for message in row["messages"]:
            console.print(f"{message['role']}: {message['content']}", markup=False)
