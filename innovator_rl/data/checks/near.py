"""Drop prompts that are near copies of an earlier one.

Candidates come from MinHash bands and are decided by the exact Jaccard similarity of their word runs, as for corpora.
Two prompts are copies only if they have the same numbers in the same order and the same answer: exercises that differ in
a number, or ask for something else in the same words, are different exercises. Prompts with a molecule are left to the
exact comparison, because the words of two SELFIES overlap by nature.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from innovator_rl.data.checks.progress import RowProgress
from innovator_rl.data.corpus.steps.near import MAX_BUCKET, DropNearDuplicates
from innovator_rl.data.molecules import SELFIES_RUN
from innovator_rl.data.problem import Problem
from innovator_rl.data.rejections import Rejections

NUMBER = re.compile(r"\d+(?:\.\d+)?")
NGRAM = 3  # a problem is short: with runs of five words one changed word already costs ten of them


def drop_near_duplicates(
    problems: Sequence[Problem], threshold: float, rejected: Rejections, progress: RowProgress
) -> list[Problem]:
    """Return the problems without near copies; the first of several is kept."""
    step = DropNearDuplicates(threshold=threshold, ngram=NGRAM, bands=24, rows=8)
    buckets: dict[tuple[int, int], list[int]] = {}
    runs: dict[int, np.ndarray] = {}
    kept: list[Problem] = []
    for problem in progress.over(problems, len(problems), "near-duplicates"):
        if problem.smiles or SELFIES_RUN.search(_text(problem)):
            kept.append(problem)
            continue
        text = _text(problem)
        shingles = step.shingles(text)
        keys = [(band, int(value)) for band, value in enumerate(step.signature(shingles))]
        numbers = NUMBER.findall(text)
        candidates = {number for key in keys for number in buckets.get(key, ())}
        copy = next(
            (
                number
                for number in sorted(candidates)
                if kept[number].answer == problem.answer
                and NUMBER.findall(_text(kept[number])) == numbers
                and _similarity(runs[number], shingles) >= threshold
            ),
            None,
        )
        if copy is not None:
            rejected.add("near-duplicate prompt", problem.place or problem.id, f"of {kept[copy].id}")
            continue
        runs[len(kept)] = shingles
        for key in keys:
            bucket = buckets.setdefault(key, [])
            if len(bucket) < MAX_BUCKET:
                bucket.append(len(kept))
        kept.append(problem)
    return kept


def _text(problem: Problem) -> str:
    return "\n".join(message["content"] for message in problem.messages) or problem.question


def _similarity(first: np.ndarray, second: np.ndarray) -> float:
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / max(len(first) + len(second) - shared, 1)
