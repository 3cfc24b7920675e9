"""Read JSON lines with `question`, `answer` and optional keys.

The optional keys are `id`, `info` and `group`.

`fields` in the recipe renames them. This is the format of every `sample.jsonl` in datasets/.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import field, json_lines, source_files
from innovator_rl.data.recipe import Recipe
from innovator_rl.errors import UserError

FIELDS = ("id", "question", "answer", "info", "group")


def read(source: Path, recipe: Recipe, rejected: Counter[str]) -> Iterator[Problem]:
    """Yield every line with a question and an answer.

    The id defaults to file and line.
    """
    unknown = sorted(set(recipe.fields) - set(FIELDS))
    if unknown:
        raise UserError(f"recipe {recipe.name!r}: fields.{unknown[0]} must be one of {', '.join(FIELDS)}")
    column = {name: recipe.fields.get(name, name) for name in FIELDS}
    for path in source_files(source, "*.jsonl", "*.jsonl.gz"):
        for number, record in json_lines(path):
            question = str(field(record, column["question"], path, number)).strip()
            answer = str(field(record, column["answer"], path, number)).strip()
            if not question or not answer:
                rejected["empty question or answer"] += 1
                continue
            info = record.get(column["info"]) or {}
            if not isinstance(info, dict):
                raise UserError(f"{path}, line {number}: {column['info']!r} is not a JSON object")
            identity = str(record.get(column["id"]) or f"{path.name}:{number}")
            yield Problem(identity, question, answer, info, str(record.get(column["group"]) or ""))
