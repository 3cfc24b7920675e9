"""Build training files from recipes: read, clean, split, render prompts, write.

The side of the split on which a problem is depends on its content alone (a hash of its group), never on a seed, a row
count or the order of a file. So a larger build, another seed or the other direction of a molecule task cannot move a
validation problem into training.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from innovator_rl.data.problem import Problem
from innovator_rl.data.prompts import Style, render
from innovator_rl.data.readers import reader
from innovator_rl.data.recipe import RECIPE, SAMPLE, Recipe, find_dataset, load_recipe
from innovator_rl.data.references import usable
from innovator_rl.data.rows import Row, check_columns, fingerprint_of, write_rows
from innovator_rl.data.tasks import generate
from innovator_rl.errors import UserError

SPLITS = ("train", "validation")
BUILT = Path("data")  # `innovator data build` writes data/NAME/SPLIT.parquet
TASK_ROWS = 2000
FORMAT_VERSION = 1  # raise when the same recipe would give other files


@dataclass(frozen=True)
class BuildReport:
    """What a build wrote, and how many problems it left out by reason."""

    name: str
    files: dict[str, Path]
    rows: dict[str, int]
    rejected: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def open_recipe(name_or_file: str) -> tuple[Recipe, Path]:
    """Load a recipe by dataset name or file, and return it with its folder."""
    if name_or_file.endswith((".yaml", ".yml")):
        path = Path(name_or_file)
        return load_recipe(path), path.parent
    folder = find_dataset(name_or_file)
    return load_recipe(folder / RECIPE), folder


def build(recipe: Recipe, folder: Path, out_dir: Path = BUILT, only: str | None = None) -> BuildReport:
    """Write `out_dir/NAME/{train,validation}.parquet`, or one of them.

    The same recipe and source give the same rows.

    Args:
        recipe: The recipe.
        folder: The folder of the recipe, with its sample.
        out_dir: Where to write.
        only: `train` or `validation`; None for both.

    Raises:
        UserError: There are too few problems to split.
    """
    started = time.monotonic()
    rejected: Counter[str] = Counter()
    problems = usable(_draw(_unique(_problems(recipe, folder, rejected), rejected), recipe), recipe.rewarder, rejected)
    if len(problems) < 2:
        reasons = dict(rejected) or "none"
        raise UserError(f"recipe {recipe.name!r} gives {len(problems)} problems, a split needs 2; left out: {reasons}")
    from_sample = not (recipe.task or recipe.source)
    parts = split(problems, recipe.splits.sample if from_sample else recipe.splits.validation)
    files = {name: out_dir / recipe.name / f"{name}.parquet" for name in SPLITS if only in (None, name)}
    mark = _fingerprint(recipe, folder)
    rows = {name: write_rows(path, to_rows(parts[name], recipe, name), mark) for name, path in files.items()}
    return BuildReport(recipe.name, files, rows, dict(rejected), time.monotonic() - started)


def materialize(
    entry: str | Path, out_dir: Path, split: str, seed: int | None = None, style: Style | None = None
) -> Path:
    """Return the Parquet file for an entry of `data.train` or `data.validation`.

    A `.parquet` path is returned as it is. A dataset's name means `data/NAME/SPLIT.parquet` where that was built.
    Otherwise the dataset's generated task or shipped sample is written to `out_dir/NAME/`, and reused while the recipe
    stays the same. Validation uses the recipe's own seed, so that runs with different seeds are compared on the same
    questions.

    Args:
        entry: A path or the name of a dataset.
        out_dir: Where to write generated files.
        split: `train` or `validation`.
        seed: Overrides the recipe's seed in a generated file for training.
        style: Overrides the recipe's prompt style in a generated file.

    Raises:
        UserError: The file cannot be used; the message has the path and the fix.
    """
    assert split in SPLITS, split
    text = str(entry)
    if text.endswith((".yaml", ".yml", ".jsonl", ".json", ".csv", ".tsv", ".gz")):
        command = text if text.endswith((".yaml", ".yml")) else f"RECIPE --source {text}"
        raise UserError(
            f"data entry {text!r} must be a .parquet file: run `innovator data build {command}` and give the file it writes"
        )
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
    if fingerprint_of(target) != _fingerprint(recipe, folder):
        build(recipe, folder, out_dir, only=split)
    return target


def overridden(recipe: Recipe, **changes: object) -> Recipe:
    """Return the recipe with every change that is not None, validated again."""
    given = {key: value for key, value in changes.items() if value is not None}
    return Recipe(**{**recipe.model_dump(exclude_unset=True), **given}) if given else recipe


def split(problems: Iterable[Problem], validation: float) -> dict[str, list[Problem]]:
    """Split problems into train and validation by a hash of their group.

    Args:
        problems: The problems.
        validation: The share to validate on, in (0, 1).

    Returns:
        The problems of each split; neither is empty.

    Raises:
        UserError: All problems belong to one group.
    """
    parts: dict[str, list[Problem]] = {name: [] for name in SPLITS}
    ordered = list(problems)
    for problem in ordered:
        parts["validation" if _position(problem.split_key) < validation else "train"].append(problem)
    empty = next((name for name in SPLITS if not parts[name]), None)
    if empty:  # a few problems can all be on one side; the group nearest the border is moved
        nearest = min(ordered, key=lambda problem: abs(_position(problem.split_key) - validation)).split_key
        other = "train" if empty == "validation" else "validation"
        parts[empty] = [problem for problem in ordered if problem.split_key == nearest]
        parts[other] = [problem for problem in ordered if problem.split_key != nearest]
        if not parts[other]:
            raise UserError("all problems belong to one group (or are one question): nothing is left to validate on")
    return parts


def to_rows(problems: Iterable[Problem], recipe: Recipe, split_name: str) -> Iterable[Row]:
    """Convert problems into rows with the recipe's prompt style."""
    for index, problem in enumerate(problems):
        yield Row(
            data_source=recipe.name,
            prompt=render(recipe.domain, recipe.style, problem.question),
            domain=recipe.domain,
            answer=problem.answer,
            reward=recipe.rewarder,
            id=problem.id,
            index=index,
            split=split_name,
            info=problem.info,
        )


def _problems(recipe: Recipe, folder: Path, rejected: Counter[str]) -> list[Problem]:
    if recipe.task:
        return generate(recipe.task, recipe.rows or TASK_ROWS, recipe.seed, recipe.parameters)
    if recipe.source:
        assert recipe.reader
        return list(reader(recipe.reader)(recipe.source.expanduser(), recipe, rejected))
    sample = folder / SAMPLE
    if not sample.is_file():
        raise UserError(f"recipe {recipe.name!r} has no source: give --source PATH{_origin(recipe)}")
    plain = recipe.model_copy(update={"fields": {}})
    return list(reader("jsonl")(sample, plain, rejected))


def _unique(problems: Iterable[Problem], rejected: Counter[str]) -> list[Problem]:
    """Keep one problem per question.

    All copies of a question with several answers are dropped.

    Questions are compared with runs of white space folded into one space.
    """
    first: dict[str, Problem] = {}
    contradicted: set[str] = set()
    for problem in problems:
        key = " ".join(problem.question.split())
        if key not in first:
            first[key] = problem
        else:
            rejected["duplicate question"] += 1
            contradicted |= {key} if first[key].answer != problem.answer else set()
    if contradicted:
        rejected["one question, several answers"] += len(contradicted)
    return [problem for key, problem in first.items() if key not in contradicted]


def _draw(problems: list[Problem], recipe: Recipe) -> list[Problem]:
    """Draw the recipe's number of rows by its seed, in the order of the source."""
    if recipe.rows is None or recipe.rows >= len(problems):
        return problems
    order = sorted(range(len(problems)), key=lambda i: _position(f"{recipe.seed}\n{problems[i].split_key}"))
    return [problems[i] for i in sorted(order[: recipe.rows])]


def _position(text: str) -> float:
    """Map a text to a position in [0, 1)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _fingerprint(recipe: Recipe, folder: Path) -> str:
    sample = folder / SAMPLE
    content = sample.read_bytes() if sample.is_file() and not (recipe.task or recipe.source) else b""
    parts = [FORMAT_VERSION, recipe.model_dump(mode="json"), hashlib.sha256(content).hexdigest()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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


def _origin(recipe: Recipe) -> str:
    return f" (available from: {recipe.origin.strip()})" if recipe.origin else ""
