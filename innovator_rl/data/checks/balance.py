"""Keep as many True as False answers, so that a constant answer earns half and no more.

A constant "False" is right on 94 % of ClinTox: a model learns to say it, and the reward rises without any chemistry. The
surplus of the more frequent class is dropped per data source and property, by a hash of the row, so that equal sources
give equal rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from innovator_rl.data.problem import Problem
from innovator_rl.data.rejections import Rejections

CLASSES = ("True", "False")
REASON = "surplus of the more frequent class"


def balance(problems: Sequence[Problem], rejected: Rejections) -> list[Problem]:
    """Return the problems, with equal numbers of True and False in each data source and property."""
    groups: dict[tuple[str, str], dict[str, list[int]]] = {}
    for index, problem in enumerate(problems):
        if problem.answer in CLASSES:
            key = (problem.data_source, str(problem.columns.get("property", "")))
            groups.setdefault(key, {name: [] for name in CLASSES})[problem.answer].append(index)
    dropped: set[int] = set()
    for members in groups.values():
        least = min(map(len, members.values()))
        if not least:
            continue  # one class only: nothing to balance with, and the manifest shows it
        for indices in members.values():
            dropped |= set(sorted(indices, key=lambda index: _position(problems[index]))[least:])
    for index in sorted(dropped):
        rejected.add(REASON, problems[index].place or problems[index].id, problems[index].answer)
    return [problem for index, problem in enumerate(problems) if index not in dropped]


def _position(problem: Problem) -> bytes:
    return hashlib.sha256(f"balance\n{problem.split_key}\n{problem.question}".encode("utf-8", "surrogatepass")).digest()
