"""Read LeetCodeDataset (Apache-2.0), functions tested by `check(candidate)`.

The gold answer is the published solution, so that a build's tests can be tried on it; the tests are in `info`.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import field, json_lines, source_files
from innovator_rl.data.recipe import Recipe


def read(source: Path, recipe: Recipe, rejected: Counter[str]) -> Iterator[Problem]:
    """Yield query, solution and info of type `check`.

    The tests' imports are its `prelude`.
    """
    for path in source_files(source, "*.jsonl", "*.jsonl.gz"):
        for number, record in json_lines(path):
            check = str(field(record, "test", path, number))
            if "def check(" not in check:
                rejected["no check function"] += 1
                continue
            info = {
                "type": "check",
                "entry_point": str(field(record, "entry_point", path, number)),
                "prelude": str(field(record, "prompt", path, number)),
                "check": check,
                "packages": ["sortedcontainers"],
            }
            question = str(field(record, "query", path, number)).strip()
            yield Problem(
                f"leetcode/{record['task_id']}", question, str(field(record, "completion", path, number)), info
            )
