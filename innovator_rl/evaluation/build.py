"""Build the tasks of a suite, and name what is wrong with it before anything starts."""

from __future__ import annotations

import functools
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from innovator_rl.data.recipe import Recipe
from innovator_rl.errors import UserError
from innovator_rl.evaluation.harness import HarnessTask
from innovator_rl.evaluation.harness_index import require_task
from innovator_rl.evaluation.local_data import hub_copy
from innovator_rl.evaluation.scored import Sampling, ScoredTask
from innovator_rl.evaluation.sets import SETS, entities, molecules, recipes, sciassess
from innovator_rl.evaluation.suite import Suite, SuiteRow
from innovator_rl.evaluation.task import EvalTask
from innovator_rl.scoring import ScoringPool, registry

MAX_NEW_TOKENS = 2048
"""The bound of Qwen2.5-Math's evaluation, where a row gives none."""


def check_suite(suite: Suite) -> None:
    """Check every name in a suite: tasks, sets, recipes, rewarders.

    Raises:
        UserError: One line per unknown name, with the near ones.
    """
    mistakes = []
    for row in suite.rows:
        try:
            _check_row(row)
        except UserError as error:
            mistakes.append(f"suite {suite.name}, row {row.name}: {error}")
    if mistakes:
        raise UserError("\n".join(mistakes))


def _check_row(row: SuiteRow) -> None:
    if row.task:
        require_task(row.task)
    if row.set and row.set not in SETS:
        near = get_close_matches(row.set, SETS, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(sorted(SETS))}"
        raise UserError(f"unknown set {row.set!r}: {hint}")
    if row.recipe:
        recipes.load(row.recipe, row.style)
    if row.sciassess and row.sciassess not in sciassess.TASKS:
        near = get_close_matches(row.sciassess, sciassess.TASKS, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(sciassess.TASKS)}"
        raise UserError(f"unknown task of SciAssess {row.sciassess!r}: {hint}")
    if row.rewarder:
        registry.require_known(row.rewarder)


def build_task(row: SuiteRow, root: Path, pool: ScoringPool, max_new_tokens: int | None = None) -> EvalTask:
    """Build the task of a row.

    Args:
        row: The row.
        root: The data root.
        pool: The worker pool for tasks with a rewarder.
        max_new_tokens: Bound on every response, in place of the row's.
    """
    if row.task:
        return HarnessTask(
            name=row.name,
            task=row.task,
            metric=row.metric,
            filter=row.filter,
            shots=row.shots,
            chat=row.format == "chat",  # the harness's default is raw text
            max_new_tokens=max_new_tokens or row.max_new_tokens,
            local=functools.partial(hub_copy, root),
        )
    sampling = Sampling(
        samples=row.samples,
        temperature=row.temperature,
        top_p=row.top_p,
        max_new_tokens=max_new_tokens or row.max_new_tokens or MAX_NEW_TOKENS,
        stop=row.stop,
    )
    common: dict[str, Any] = {
        "name": row.name,
        "form": row.format,
        "sampling": sampling,
        "pool": pool,
        "headline": row.metric,
    }
    if row.sciassess:
        return _sciassess(row, root, common)
    if row.set:
        rewarder, read = SETS[row.set]
        return ScoredTask(
            load=functools.partial(read, root), rewarder=row.rewarder or rewarder, domain="math", **common
        )
    recipe, folder = recipes.load(row.recipe, row.style)
    return ScoredTask(
        load=functools.partial(recipes.recipe_questions, root, recipe, folder, row.sources, _published(row, recipe)),
        rewarder=row.rewarder or recipe.rewarder,
        domain=recipe.domain,
        extra=molecules.EXTRAS.get(recipe.domain),
        **common,
    )


def _sciassess(row: SuiteRow, root: Path, common: dict[str, Any]) -> ScoredTask:
    task = sciassess.TASKS[row.sciassess]
    extra, headline, remark = task.official, row.metric, ""
    if task.parts:
        embed = entities.embedder(root)
        if embed is not None:
            extra = functools.partial(entities.official_f1, parts=task.parts, embed=embed)
        elif headline == "official_f1":
            headline, remark = "mean", f"exact spelling: the official F1 needs {entities.MODEL} below the data folder"
    if task.needs_pdf:
        lost = sciassess.without_paper(root, row.sciassess)
        remark = f"the text of papers without figures; {lost} rows left out, whose paper is not here"
    return ScoredTask(
        load=functools.partial(sciassess.questions, root, row.sciassess),
        rewarder=row.rewarder or task.rewarder or "none",
        domain=row.sciassess.partition("_")[0].lower(),
        extra=extra,
        grade=task.grade,
        remark=remark,
        **{**common, "headline": headline},
    )


def _published(row: SuiteRow, recipe: Recipe) -> str:
    return row.hub or recipe.origin or recipe.name
