"""Find the files that an entry of `data.train` or `data.validation` of a fine-tuning run stands for."""

from __future__ import annotations

from pathlib import Path

from innovator_rl.data.build import BUILT
from innovator_rl.data.sft.build import build_sft
from innovator_rl.data.sft.recipe import is_sft_recipe, load_sft_recipe
from innovator_rl.errors import UserError
from innovator_rl.packaged_files import find_config


def resolve_entry(entry: str, split: str, cache: Path) -> list[Path]:
    """Return the files of an entry.

    Args:
        entry: A file, a folder with SPLIT.parquet, the name of a set below data/, or a recipe that needs no endpoint,
            which is built into `cache`.
        split: `train` or `validation`.
        cache: Where recipes are built.

    Raises:
        UserError: There is no such entry, or its recipe needs endpoints.
    """
    if entry.endswith((".yaml", ".yml")):
        path = find_config(entry, "data")
        if not is_sft_recipe(path):
            raise UserError(
                f"data entry {entry!r} must be a recipe with `kind: sft`, or a file of rows with `messages`"
            )
        recipe = load_sft_recipe(path)
        if recipe.refine:
            raise UserError(f"data entry {entry!r} asks models: run `innovator data build {entry}` and name its folder")
        build_sft(recipe, path.parent, cache)
        return [cache / recipe.name / f"{split}.parquet"]
    place = Path(entry).expanduser()
    folders = [place, BUILT / entry]
    for folder in folders:
        if (folder / f"{split}.parquet").is_file():
            return [folder / f"{split}.parquet"]
    if place.is_file():
        return [place]
    raise UserError(
        f"data entry {entry!r} not found: expected a Parquet or JSON-lines file, a folder with {split}.parquet, "
        "a set built by `innovator data build`, or a recipe"
    )
