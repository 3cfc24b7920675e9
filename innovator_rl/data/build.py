"""Build training files from recipes: read, check, split, render prompts, write.

The side of the split on which a problem is depends on its content alone (a hash of its group), never on a seed, a row
count or the order of a file. So a larger build, another seed or the other direction of a molecule task cannot move a
validation problem into training. `checks/` has what is tried on every row, `manifest.py` what is written about it.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from innovator_rl.data.build_lock import build_lock
from innovator_rl.data.checks.progress import RowProgress
from innovator_rl.data.difficulty import keep_by_difficulty
from innovator_rl.data.problem import Problem, lone_surrogate
from innovator_rl.data.readers import reader
from innovator_rl.data.recipe import RECIPE, SAMPLE, Recipe, find_dataset, load_recipe, make_recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.data.rendering import rewarder_of, to_rows
from innovator_rl.data.rows import write_rows
from innovator_rl.data.tasks import generate
from innovator_rl.data.templates import template_variables
from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from innovator_rl.data.checks.contamination import EvaluationIndex

SPLITS = ("train", "validation")
TEST, WORKED = "test", "worked"
BUILT = Path("data")  # `innovator data build` writes data/NAME/SPLIT.parquet
TASK_ROWS = 2000
FORMAT_VERSION = 2  # raise when the same recipe would give other files


@dataclass(frozen=True)
class BuildReport:
    """What a build wrote, and how many problems it left out by reason."""

    name: str
    files: dict[str, Path]
    rows: dict[str, int]
    rejected: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def open_recipe(name_or_file: str) -> tuple[Recipe, Path]:
    """Load a recipe by dataset name or file, and return it with its folder."""
    if name_or_file.endswith((".yaml", ".yml")):
        path = Path(name_or_file)
        return load_recipe(path), path.parent
    folder = find_dataset(name_or_file)
    return load_recipe(folder / RECIPE), folder


def build(
    recipe: Recipe,
    folder: Path,
    out_dir: Path = BUILT,
    *,
    workers: int = 2,
    progress: RowProgress | None = None,
) -> BuildReport:
    """Check every row, and write `out_dir/NAME/` with all splits, `dataset.json`, a card and the rows left out.

    The same recipe and source give the same rows.

    Args:
        recipe: The recipe.
        folder: The folder of the recipe, with its sample.
        out_dir: Where to write.
        workers: Reward workers that try the gold answers.
        progress: Where to report.

    Raises:
        UserError: A rewarder is unknown, an evaluation set is missing, there are too few problems to split, or another
            build of this set runs.
    """
    index = None
    if recipe.decontaminate:
        from innovator_rl.data.checks.contamination import load_index

        index = load_index(recipe.decontaminate)  # before anything else: a missing set stops the build at once
    with build_lock(out_dir / recipe.name):
        return _build(recipe, folder, out_dir, workers, progress or RowProgress(), index)


def _build(
    recipe: Recipe, folder: Path, out_dir: Path, workers: int, progress: RowProgress, index: "EvaluationIndex | None"
) -> BuildReport:
    from innovator_rl.data.checks.near import drop_near_duplicates
    from innovator_rl.data.manifest import Step, write_manifest

    started = time.monotonic()
    rejected = Rejections(recipe.error_budget)
    steps: list[Step] = []
    target = out_dir / recipe.name

    def step(name: str, run: Callable[[list[Problem]], list[Problem]], problems: list[Problem]) -> list[Problem]:
        before, at = dict(rejected), time.monotonic()
        found = run(problems)
        dropped = {reason: count - before.get(reason, 0) for reason, count in rejected.items()}
        dropped = {reason: count for reason, count in dropped.items() if count}
        steps.append(
            Step(name, len(problems) or len(found) + sum(dropped.values()), len(found), dropped, time.monotonic() - at)
        )
        return found

    problems = step("read", lambda _: read_problems(recipe, folder, rejected), [])
    problems = step("one row per question", lambda rows: unique(rows, recipe, rejected), problems)
    _require_rewarders(problems, recipe)
    if recipe.checks.near_duplicates:
        threshold = recipe.checks.near_duplicates
        problems = step(
            "near-duplicates", lambda rows: drop_near_duplicates(rows, threshold, rejected, progress), problems
        )
    if recipe.decontaminate and index:
        from innovator_rl.data.checks.contamination import drop_contaminated

        settings, found_index = recipe.decontaminate, index
        shown = template_variables(recipe.system) | template_variables(recipe.prompt)
        problems = step(
            "evaluation sets",
            lambda rows: drop_contaminated(rows, settings, found_index, rejected, progress, shown),
            problems,
        )
    if recipe.checks.gold:
        problems = step("gold answers", lambda rows: _check_golds(rows, recipe, rejected, workers, progress), problems)
    problems = step("draw", lambda rows: _draw(rows, recipe), problems)
    if recipe.difficulty:
        problems = step(
            "difficulty", lambda rows: keep_by_difficulty(rows, recipe, target, rejected, workers, progress), problems
        )
    parts = split_parts(problems, recipe, rejected)
    if recipe.checks.balance:
        problems = step("balance", lambda _: _balance_parts(parts, rejected), problems)
    files = {name: target / f"{name}.parquet" for name in parts}
    for name in {*SPLITS, TEST, WORKED} - parts.keys():  # of an earlier build: its rows may be in train now
        (target / f"{name}.parquet").unlink(missing_ok=True)
    mark = fingerprint(recipe, folder)
    rows = {name: write_rows(path, to_rows(parts[name], recipe, name), mark) for name, path in files.items()}
    write_manifest(target, recipe, steps, rejected, parts, index.sets if index else {})
    return BuildReport(recipe.name, files, rows, dict(rejected), time.monotonic() - started, _notes(parts))


def convert(recipe: Recipe, folder: Path, out_dir: Path, only: str) -> Path:
    """Write one split of a sample or generated task without the checks of a build, which the test suite makes on them.

    Raises:
        UserError: There are too few problems to split.
    """
    rejected = Rejections(recipe.error_budget)
    problems = _draw(unique(read_problems(recipe, folder, rejected), recipe, rejected), recipe)
    parts = split_parts(problems, recipe, rejected)
    path = out_dir / recipe.name / f"{only}.parquet"
    write_rows(path, to_rows(parts[only], recipe, only), fingerprint(recipe, folder))
    return path


def split_parts(problems: list[Problem], recipe: Recipe, rejected: Rejections) -> dict[str, list[Problem]]:
    """Split problems by the shares of the recipe, with the groups that it keeps together.

    Raises:
        UserError: There are too few problems to split, or a molecule is missing.
    """
    if len(problems) < 2:
        reasons = dict(rejected) or "none"
        raise UserError(f"recipe {recipe.name!r} gives {len(problems)} problems, a split needs 2; left out: {reasons}")
    from_sample = not (recipe.task or recipe.source or recipe.hub)
    if from_sample:
        return split(_grouped(problems, recipe), recipe.splits.sample)
    return split(_grouped(problems, recipe), recipe.splits.validation, recipe.splits.test, recipe.splits.worked)


def _grouped(problems: list[Problem], recipe: Recipe) -> list[Problem]:
    """Return the problems with the group that the recipe's split keeps together."""
    by = recipe.splits.by
    if by in ("molecule", "scaffold"):
        without = next((problem for problem in problems if not problem.smiles), None)
        if without is not None:
            raise UserError(
                f"recipe {recipe.name!r}: splits.by {by!r} needs a molecule on each row, and {without.place or without.id} "
                "has none: give a `smiles` column, or `splits: {by: content}`"
            )
    if by == "content" or not any(problem.smiles for problem in problems):
        return problems
    from innovator_rl.data.molecules import scaffold_key, skeleton_key

    key = scaffold_key if by == "scaffold" else skeleton_key
    return [
        replace(problem, group=key(problem.smiles) or problem.group) if problem.smiles else problem
        for problem in problems
    ]


def _balance_parts(parts: dict[str, list[Problem]], rejected: Rejections) -> list[Problem]:
    from innovator_rl.data.checks.balance import balance

    for name in parts:
        parts[name] = balance(parts[name], rejected)
    return [problem for rows in parts.values() for problem in rows]


def _require_rewarders(problems: Iterable[Problem], recipe: Recipe) -> None:
    from innovator_rl.scoring import registry

    for name, example in {rewarder_of(problem, recipe): problem for problem in problems}.items():
        where = example.place or example.id
        if not name:
            raise UserError(
                f"{where} names no rewarder, and domain {example.domain or recipe.domain!r} has none: add a column "
                f"`reward` or `domain`, or give `reward:` in the recipe, one of {', '.join(registry.names())}"
            )
        try:
            registry.require_known(name)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None


def _check_golds(
    problems: list[Problem], recipe: Recipe, rejected: Rejections, workers: int, progress: RowProgress
) -> list[Problem]:
    from innovator_rl.data.checks.golds import check_golds
    from innovator_rl.scoring.pool import ScoringPool

    names = [rewarder_of(problem, recipe) for problem in problems]
    texts = [row.prompt_text for row in to_rows(problems, recipe, "train")]
    with ScoringPool(workers, recipe.checks.timeout_seconds, warm=set(names)) as pool:
        kept = check_golds(problems, names, texts, rejected, pool, progress, mutants=recipe.checks.mutants)
    if problems and not kept:
        reasons = {
            reason: count for reason, count in rejected.items() if "answer" in reason or reason.startswith("bad_")
        }
        first = next((row for row in reversed(rejected.rows)), None)
        raise UserError(
            f"recipe {recipe.name!r}: no gold answer is scored correct by {', '.join(sorted(set(names)))} ({reasons}); "
            f"for example {first.place if first else ''}: {first.detail if first else ''}. Choose another `reward:`, or set "
            "`checks: {gold: false}` for a rewarder that compares with no gold answer"
        )
    return kept


def _notes(parts: dict[str, list[Problem]]) -> list[str]:
    answers = {problem.answer for rows in parts.values() for problem in rows}
    if len(answers) == 1:
        return [f"every answer is {next(iter(answers))!r}: a constant answer would be right"]
    return []


def overridden(recipe: Recipe, **changes: object) -> Recipe:
    """Return the recipe with every change that is not None, validated again."""
    given = {key: value for key, value in changes.items() if value is not None}
    if not given:
        return recipe
    return make_recipe({**recipe.model_dump(exclude_unset=True), **given}, f"recipe {recipe.name!r}")


def split(
    problems: Iterable[Problem], validation: float, test: float = 0.0, worked: float = 0.0
) -> dict[str, list[Problem]]:
    """Split problems into train, validation and, where asked for, more parts by a hash of their group.

    Args:
        problems: The problems.
        validation: The share to validate on, in (0, 1).
        test: The share to test on; 0 for no such split.
        worked: The share for worked solutions, which is not in train; 0 for no such split.

    Returns:
        The problems of each split; those to train and to validate on are not empty.

    Raises:
        UserError: All problems belong to one group.
    """
    parts: dict[str, list[Problem]] = {name: [] for name in SPLITS}
    start = validation
    aside: dict[str, tuple[float, float]] = {}
    for name, share in ((TEST, test), (WORKED, worked)):
        if share:
            aside[name] = (start, start + share)
            parts[name] = []
        start += share
    ordered = []
    for problem in problems:
        position = _position(problem.split_key)
        name = next((name for name, (low, high) in aside.items() if low <= position < high), "")
        if name:
            parts[name].append(problem)
            continue
        ordered.append(problem)
        parts["validation" if position < validation else "train"].append(problem)
    empty = next((name for name in SPLITS if not parts[name]), None)
    if empty:  # a few problems can all be on one side; the group nearest the border is moved
        nearest = min(ordered, key=lambda problem: abs(_position(problem.split_key) - validation)).split_key
        other = "train" if empty == "validation" else "validation"
        parts[empty] = [problem for problem in ordered if problem.split_key == nearest]
        parts[other] = [problem for problem in ordered if problem.split_key != nearest]
        if not parts[other]:
            raise UserError("all problems belong to one group (or are one question): nothing is left to validate on")
    return parts


def problems_to_evaluate(recipe: Recipe, folder: Path) -> list[Problem]:
    """Return the problems of a recipe that an evaluation may ask.

    Of a generated task these are the ones that training never sees, and validation neither where the recipe has a test
    split; files and samples are taken whole.
    """
    rejected = Rejections(recipe.error_budget)
    problems = unique(read_problems(recipe, folder, rejected), recipe, rejected)
    if not recipe.task:
        return problems
    return split_parts(problems, recipe, rejected)[TEST if recipe.splits.test else "validation"]


def read_problems(recipe: Recipe, folder: Path, rejected: Rejections) -> list[Problem]:
    """Read all problems of a recipe's task, source or sample."""
    if recipe.task:
        return generate(recipe.task, recipe.rows or TASK_ROWS, recipe.seed, recipe.parameters)
    if recipe.source or recipe.hub:
        assert recipe.reader
        source = recipe.source_path or recipe.hub
        assert source is not None
        found = list(_writable(reader(recipe.reader)(source, recipe, rejected), rejected))
        rejected.require_budget()
        return found
    sample = folder / SAMPLE
    if not sample.is_file():
        raise UserError(f"recipe {recipe.name!r} has no source: give --source PATH{_origin(recipe)}")
    plain = recipe.model_copy(update={"fields": {}})
    return list(_writable(reader("jsonl")(sample, plain, rejected), rejected))


def _writable(problems: Iterable[Problem], rejected: Rejections) -> Iterable[Problem]:
    """Yield the problems whose text a file can hold, and count the others as bad rows."""
    for problem in problems:
        if found := lone_surrogate(vars(problem)):
            message = f"{problem.place} has the lone surrogate {found}, half of a character: correct or remove the row"
            rejected.bad_row(problem.place, message)
        else:
            yield problem


def unique(problems: Iterable[Problem], recipe: Recipe, rejected: Rejections) -> list[Problem]:
    """Keep one problem per question.

    All copies of a question with several answers are dropped.

    Questions are compared with runs of white space folded into one space. Where a template or the row itself makes the
    prompt, the prompt is the question: two rows may differ in another column alone.
    """
    first: dict[str, Problem] = {}
    contradicted: set[str] = set()
    for problem in problems:
        key = " ".join(problem.question.split())
        if recipe.prompt or recipe.system or problem.messages:
            row = next(iter(to_rows([problem], recipe, SPLITS[0])))
            key = " ".join(row.prompt_text.split())
            problem = problem if problem.group else replace(problem, group=key)
        if key not in first:
            first[key] = problem
        else:
            rejected.add("duplicate question", problem.place or problem.id, f"of {first[key].id}")
            contradicted |= {key} if first[key].answer != problem.answer else set()
    if contradicted:
        for key in sorted(contradicted):
            rejected.add("one question, several answers", first[key].place or first[key].id)
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


def fingerprint(recipe: Recipe, folder: Path) -> str:
    """Return a hash of what a recipe's files depend on."""
    sample = folder / SAMPLE
    content = sample.read_bytes() if sample.is_file() and not (recipe.task or recipe.source) else b""
    parts = [FORMAT_VERSION, recipe.model_dump(mode="json"), hashlib.sha256(content).hexdigest()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _origin(recipe: Recipe) -> str:
    return f" (available from: {recipe.origin.strip()})" if recipe.origin else ""
