"""Read questions through the recipes of training data, with the prompts of training.

A generated task gives its test split, or the validation split where it has none; a file that a suite names (`source`) is taken whole.
"""

from __future__ import annotations

from pathlib import Path

from innovator_rl.data.build import open_recipe, overridden, problems_to_evaluate
from innovator_rl.data.prompts import Style
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rendering import prompt_of
from innovator_rl.evaluation.local_data import find
from innovator_rl.evaluation.questions import Question
from innovator_rl.packaged_files import config_names, find_config


def recipe_questions(root: Path, recipe: Recipe, folder: Path, sources: tuple[str, ...], hub: str) -> list[Question]:
    """Return the questions of a recipe.

    Args:
        root: The data root.
        recipe: The recipe.
        folder: The folder of the recipe, with its sample.
        sources: The places of its file below the data root; empty for a generated task or the shipped sample.
        hub: Where the file is published.

    Raises:
        TaskUnavailable: The file is not here.
    """
    used = overridden(recipe, source=find(root, sources, hub)) if sources else recipe
    return [
        Question(
            id=problem.id,
            messages=tuple(dict(message) for message in prompt_of(problem, used)),
            answer=problem.answer,
            info=problem.info,
            core=problem.question,
            group=problem.group,
            kind=problem.kind,
        )
        for problem in problems_to_evaluate(used, folder)
    ]


def load(name: str, style: Style | None) -> tuple[Recipe, Path]:
    """Open a recipe by the name of its dataset, the name of a shipped recipe (`configs/data/`), or its file.

    Raises:
        UserError: There is none.
    """
    if name in config_names("data"):
        name = str(find_config(name, "data"))
    recipe, folder = open_recipe(name)
    return overridden(recipe, style=style), folder
