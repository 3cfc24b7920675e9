"""Read published data sets, in their authors' formats, into problems.

A reader is a function `(source, recipe, rejected) -> Iterator[Problem]`; the source is a file, a folder or a data set of
the Hugging Face hub. What it cannot use it counts in `rejected` under a short reason, so that a build reports how much
was left out and why. Each format has one small module here.
"""

import difflib
import importlib
from collections.abc import Callable, Iterator

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Source
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.errors import UserError

Reader = Callable[[Source, Recipe, Rejections], Iterator[Problem]]

#: Name in a recipe -> "module:function"; modules are imported on use, because some import RDKit.
READERS: dict[str, str] = {
    "chebi20": "chebi20:read",
    "dapo": "math_sets:read_dapo",
    "deepscaler": "math_sets:read_deepscaler",
    "gsm8k": "gsm8k:read",
    "jsonl": "jsonl:read",
    "leetcode": "leetcode:read",
    "moleculenet": "moleculenet:read",
    "physics_phd": "physics_phd:read",
    "scibench": "scibench:read",
    "taco": "taco:read",
    "webinstruct": "webinstruct:read",
}


def reader(name: str) -> Reader:
    """Return a reader by name.

    Raises:
        UserError: The name is unknown; the message has similar names.
    """
    if name not in READERS:
        close = difflib.get_close_matches(name, READERS, n=1)
        guess = f", did you mean {close[0]!r}?" if close else ""
        raise UserError(f"unknown reader {name!r}{guess} Readers: {', '.join(READERS)}")
    module, function = READERS[name].split(":")
    found: Reader = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    return found
