"""Readers: published files as their authors publish them, turned into problems.

A reader is a function `(source, recipe, rejected) -> Iterator[Problem]`. What it cannot use it counts in `rejected` under a
short reason, so that a build says how much of a file was left out and why. Each format has one small file here.
"""

import difflib
import importlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from innovator_rl.data.problem import Problem
from innovator_rl.data.recipe import Recipe
from innovator_rl.errors import UserError

Reader = Callable[[Path, Recipe, Counter[str]], Iterator[Problem]]

#: Name in a recipe -> "module:function"; modules load on use, since some bring RDKit with them.
READERS: dict[str, str] = {
    "chebi20": "chebi20:read",
    "gsm8k": "gsm8k:read",
    "jsonl": "jsonl:read",
    "leetcode": "leetcode:read",
    "moleculenet": "moleculenet:read",
    "physics_phd": "physics_phd:read",
    "scibench": "scibench:read",
}


def reader(name: str) -> Reader:
    """The reader `name`. Raises `UserError` with the near names."""
    if name not in READERS:
        close = difflib.get_close_matches(name, READERS, n=1)
        guess = f", did you mean {close[0]!r}?" if close else ""
        raise UserError(f"reader {name!r} does not exist{guess} Readers: {', '.join(READERS)}")
    module, function = READERS[name].split(":")
    found: Reader = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    return found
