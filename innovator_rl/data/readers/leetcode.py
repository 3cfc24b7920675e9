"""Read LeetCodeDataset (Apache-2.0), functions tested by `check(candidate)`.

The gold answer is the published solution, so that a build's tests can be tried on it; the tests are in `info`.
"""

from collections.abc import Iterator

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections


def read(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield query, solution and info of type `check`.

    The tests' imports are its `prelude`.
    """
    for record in records(source, rejected, ".jsonl", ".parquet"):
        with rejected.row(record.place):
            check = str(record.need("test"))
            if "def check(" not in check:
                rejected.add("no check function", record.place)
                continue
            info = {
                "type": "check",
                "entry_point": record.text("entry_point"),
                "prelude": str(record.need("prompt")),
                "check": check,
                "packages": ["sortedcontainers"],
            }
            name = f"leetcode/{record.text('task_id')}"
            yield Problem(name, record.text("query"), str(record.need("completion")), info, place=record.place)
