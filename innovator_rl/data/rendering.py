"""Turn problems into the rows of a training file: the recipe's prompt, the rewarder, the columns."""

from collections.abc import Iterable

from innovator_rl.data.problem import DOMAINS, Problem
from innovator_rl.data.prompts import Style, messages_of
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rows import Message, Row


def prompt_of(problem: Problem, recipe: Recipe) -> tuple[Message, ...]:
    """Return the messages that ask a problem of a recipe."""
    domain = problem.domain or recipe.domain
    style: Style = recipe.prompt_style if domain in DOMAINS or recipe.style else "bare"
    return messages_of(problem, domain=domain, style=style, system=recipe.system, prompt=recipe.prompt)


def to_rows(problems: Iterable[Problem], recipe: Recipe, split_name: str) -> Iterable[Row]:
    """Convert problems into rows with the recipe's prompt."""
    for index, problem in enumerate(problems):
        yield Row(
            data_source=problem.data_source or recipe.name,
            prompt=prompt_of(problem, recipe),
            domain=problem.domain or recipe.domain,
            answer=problem.answer,
            reward=rewarder_of(problem, recipe),
            id=problem.id,
            index=index,
            split=split_name,
            info=problem.info,
        )


def rewarder_of(problem: Problem, recipe: Recipe) -> str:
    """Return the rewarder of a problem: its own, its own domain's, or the recipe's; empty where none is named."""
    return problem.reward or (DOMAINS.get(problem.domain, "") if problem.domain else "") or recipe.rewarder
