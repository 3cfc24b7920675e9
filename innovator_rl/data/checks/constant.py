"""Measure what saying the same thing every time is worth, by the rewarders themselves.

A score says little without it: a set whose references are True in 60 % of the rows gives 60 % to a model that reads no
question. `innovator data probe` and the reports of evaluations print it next to accuracies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from innovator_rl.data.checks.mutants import response_of

TRIED = 8
"""The most frequent answers that are tried."""


def best_constant(
    answers: Iterable[str], rewarder: str, score: Callable[[str], float], least: int = 1, tried: int = TRIED
) -> tuple[float, str] | None:
    """Return the score of the best constant response, and its answer.

    Args:
        answers: The references of all rows.
        rewarder: The rewarder, for the form of a response.
        score: Returns the mean score of a response that is given to every row.
        least: How many rows an answer must be the reference of; 2 leaves out sets in which every answer is different.
        tried: How many of the most frequent answers are tried.

    Returns:
        None where no answer is frequent enough, or none can be scored.
    """
    best: tuple[float, str] | None = None
    for answer, count in Counter(answers).most_common(tried):
        if count >= least:
            share = score(response_of(rewarder, answer))
            if share == share and (best is None or share > best[0]):  # not a number: nothing was scored
                best = (share, answer)
    return best
