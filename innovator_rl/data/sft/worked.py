"""Turn the worked solutions of generated tasks into conversations.

The prompt is the one that reinforcement learning on the same data set uses, and the split is the same too: what a model is
fine-tuned on is never on the validation side of its later training. A data set with `splits.worked` keeps a share for these
rows that its training rows do not have. Every solution must be scored correct by the data set's own rewarder.
"""

from __future__ import annotations

from collections.abc import Sequence

from innovator_rl.data.build import WORKED, open_recipe, read_problems, split_parts, unique
from innovator_rl.data.problem import Problem
from innovator_rl.data.prompts import messages_of
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.data.rendering import rewarder_of
from innovator_rl.data.sft.recipe import Worked
from innovator_rl.data.sft.row import SftRow
from innovator_rl.errors import UserError
from innovator_rl.scoring import ScoreRequest, ScoringPool


def worked_rows(entries: Sequence[Worked], pool: ScoringPool, rejected: Rejections) -> dict[str, list[SftRow]]:
    """Return the rows of both splits, in the order of the entries.

    Args:
        entries: Which data sets, and how many rows of each.
        pool: Scores every solution.
        rejected: Counts solutions that are not scored correct.

    Raises:
        UserError: A data set is unknown, has no solutions, or has fewer rows.
    """
    found: dict[str, list[SftRow]] = {"train": [], "validation": []}
    for entry in entries:
        recipe, folder = open_recipe(entry.dataset)
        problems = unique(read_problems(recipe, folder, rejected), recipe, rejected)
        if not any(problem.solution for problem in problems):
            raise UserError(f"worked: dataset {entry.dataset!r} has no solutions; expected one with a generated task")
        solved = [problem for problem in problems if problem.solution]
        parts = fine_tuning_sides(solved, recipe, rejected)
        for name, wanted in (("train", entry.rows), ("validation", entry.validation_rows)):
            if wanted > len(parts[name]):
                raise UserError(
                    f"worked: dataset {entry.dataset!r} has {len(parts[name])} {name} rows, {wanted} are asked for"
                )
            found[name] += _scored(parts[name][:wanted], recipe, pool, rejected)
    return found


def fine_tuning_sides(problems: list[Problem], recipe: Recipe, rejected: Rejections) -> dict[str, list[Problem]]:
    """Return what a model may be fine-tuned on and validated on; the rest is kept for reinforcement learning and tests.

    Args:
        problems: The problems of a data set.
        recipe: Its recipe, whose split decides.
        rejected: What was left out of it, for the message.

    Raises:
        UserError: There are too few problems to split.
    """
    parts = split_parts(problems, recipe, rejected)
    return {"train": parts.get(WORKED, parts["train"]), "validation": parts["validation"]}


def _scored(problems: Sequence[Problem], recipe: Recipe, pool: ScoringPool, rejected: Rejections) -> list[SftRow]:
    rewarders = [rewarder_of(problem, recipe) for problem in problems]
    prompts = [prompt_of(problem, recipe) for problem in problems]
    requests = [
        ScoreRequest(reward, problem.solution, problem.answer, prompt[-1]["content"], dict(problem.info), recipe.name)
        for problem, reward, prompt in zip(problems, rewarders, prompts, strict=True)
    ]
    rows = []
    for problem, reward, prompt, score in zip(problems, rewarders, prompts, pool.map(requests), strict=True):
        if not score.correct:
            rejected.add("the solution is not scored correct", f"{recipe.name}/{problem.id}", score.reason)
            continue
        messages = (*prompt, {"role": "assistant", "content": problem.solution})
        rows.append(SftRow(f"{recipe.name}/{problem.id}", recipe.name, messages, problem.answer, reward))
    return rows


def prompt_of(problem: Problem, recipe: Recipe) -> tuple[dict[str, str], ...]:
    """Return the messages that ask a problem, as its data set's training rows do."""
    return messages_of(
        problem,
        domain=problem.domain or recipe.domain,
        style=recipe.prompt_style,
        system=recipe.system,
        prompt=recipe.prompt,
    )
