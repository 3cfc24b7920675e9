"""Turn an entry of `data.train` or `data.validation` into a training file.

An entry is a Parquet file, the folder of a built set, a file of one's own with questions and answers, or the name of a dataset.
"""

import hashlib
import re
from pathlib import Path

from innovator_rl.data.build import (
    BUILT,
    SPLITS,
    convert,
    fingerprint,
    open_recipe,
    overridden,
    read_problems,
    unique,
)
from innovator_rl.data.build import split as split_by_content
from innovator_rl.data.prompts import Style
from innovator_rl.data.readers.files import COMPRESSED
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.data.rendering import to_rows
from innovator_rl.data.rows import check_columns, fingerprint_of, write_rows
from innovator_rl.errors import UserError

OWN_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")


def materialize(
    entry: str | Path,
    out_dir: Path,
    split: str,
    seed: int | None = None,
    style: Style | None = None,
    *,
    whole: bool = True,
) -> Path:
    """Return the Parquet file for an entry of `data.train` or `data.validation`.

    A `.parquet` path is returned as it is. A file of one's own (JSON lines, JSON, CSV or TSV with questions and answers)
    is converted to `out_dir/STEM-HASH/SPLIT.parquet`. A folder that `innovator data build` left means the file of the split
    in it, and a dataset's name means `data/NAME/SPLIT.parquet` where that was built.
    Otherwise the dataset's generated task or shipped sample is written to `out_dir/NAME/`, and reused while the recipe
    stays the same. Validation uses the recipe's own seed, so that runs with different seeds are compared on the same
    questions.

    Args:
        entry: A path or the name of a dataset.
        out_dir: Where to write generated files.
        split: `train` or `validation`.
        seed: Overrides the recipe's seed in a generated file for training.
        style: Overrides the recipe's prompt style in a generated file.
        whole: Take all rows of a file of one's own; false for a file that is both trained on and validated on, which
            is split by content.

    Raises:
        UserError: The file cannot be used; the message has the path and the fix.
    """
    assert split in SPLITS, split
    text = str(entry)
    if text.endswith((".yaml", ".yml")):
        raise UserError(
            f"data entry {text!r} must be a .parquet file: run `innovator data build {text}` and give the file it writes"
        )
    if is_own_file(text):
        return _materialize_own(Path(text).expanduser(), out_dir, split, whole)
    in_folder = Path(text).expanduser() / f"{split}.parquet"
    if "/" in text and in_folder.is_file():
        check_columns(in_folder)
        return in_folder
    if text.endswith(".parquet") or "/" in text:
        _check_file(Path(text))
        return Path(text)
    built = BUILT / text / f"{split}.parquet"
    if built.is_file():
        check_columns(built)
        return built
    recipe, folder = open_recipe(text)
    recipe = overridden(recipe, seed=seed if split == "train" else None, style=style)
    target = out_dir / recipe.name / f"{split}.parquet"
    if fingerprint_of(target) != fingerprint(recipe, folder):
        convert(recipe, folder, out_dir, only=split)
    return target


def is_own_file(entry: str) -> bool:
    """Return whether an entry is a file of rows with questions and answers, which are converted before training."""
    name = entry.lower()
    for packed in COMPRESSED:
        name = name.removesuffix(packed)
    return name.endswith(OWN_SUFFIXES)


def own_recipe(path: Path) -> Recipe:
    """Return the recipe of a file of one's own: its rows name domain, rewarder and data source, or a run's routes do."""
    stem = re.sub(r"[^a-z0-9_-]+", "-", path.name.partition(".")[0].lower()).strip("-_") or "own"
    return Recipe(name=stem, domain="own", license="yours", style="bare", reader="jsonl", source=path)


def _materialize_own(path: Path, out_dir: Path, part: str, whole: bool) -> Path:
    recipe = own_recipe(path)
    rejected = Rejections()
    problems = unique(read_problems(recipe, path.parent, rejected), recipe, rejected)
    if not problems:
        raise UserError(f"data file {str(path)!r} has no rows to train on; left out: {dict(rejected) or 'none'}")
    kept = problems if whole else split_by_content(problems, recipe.splits.validation)[part]
    # Two files of one name in different folders must not overwrite each other.
    folder = out_dir / f"{recipe.name}-{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:8]}"
    target = folder / f"{part}.parquet"
    write_rows(target, to_rows(kept, recipe, part))
    return target


def _check_file(path: Path) -> None:
    folder = path if path.is_dir() else path.parent
    if not path.is_file() and folder.is_dir():
        near = sorted(p.name for p in folder.glob("*.parquet"))
        if near:
            what = "is a folder" if path.is_dir() else "not found"
            raise UserError(
                f"data file {str(path)!r} {what}; {str(folder)!r} has {', '.join(near)}: choose one of them"
            )
    if check_columns(path) == 0:
        raise UserError(f"data file {str(path)!r} has no rows: build it again with a source that has some")
