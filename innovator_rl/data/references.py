"""Leave out problems whose reference no answer could meet, or which a changed answer would meet.

A reward function may offer `reference_responses(answer, info)`: a response that repeats the reference, and one that
repeats it with a number, a letter or a word changed. The first must be correct and the second must not. Reward
functions without it are not asked.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from innovator_rl.data.problem import Problem
from innovator_rl.scoring import registry
from innovator_rl.scoring.api import ScoreRequest
from innovator_rl.scoring.invoke import call_rewarder

UNREADABLE = "reference cannot be read"
NOT_ITSELF = "reference is not right against itself"
TOO_LENIENT = "reference accepts a changed answer"


def usable(problems: Iterable[Problem], reward: str, rejected: Counter[str]) -> list[Problem]:
    """Return the problems whose reference can be used; the others are counted by reason.

    Args:
        problems: The problems of a recipe.
        reward: The name of their reward function.
        rejected: Counts of problems left out, by reason.
    """
    rewarder = registry.load(reward)
    if not hasattr(rewarder, "reference_responses"):
        return list(problems)
    kept = []
    for problem in problems:
        reason = fault(rewarder, problem)
        if reason:
            rejected[reason] += 1
        else:
            kept.append(problem)
    return kept


def fault(rewarder: Any, problem: Problem) -> str:
    """Return why a reference cannot be used, or nothing."""
    own, changed = rewarder.reference_responses(problem.answer, problem.info)
    score = call_rewarder(rewarder, _request(problem, own))
    if score.outcome == "abstained":
        return UNREADABLE
    if not score.correct:
        return NOT_ITSELF
    return TOO_LENIENT if changed and call_rewarder(rewarder, _request(problem, changed)).correct else ""


def _request(problem: Problem, response: str) -> ScoreRequest:
    return ScoreRequest("", prompt=problem.question, response=response, answer=problem.answer, info=dict(problem.info))
