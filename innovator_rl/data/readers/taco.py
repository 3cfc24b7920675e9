"""Read TACO (BAAI/TACO, Apache-2.0, and TACO-verified) and APPS, which has the same columns: programs with tests.

`input_output` holds `inputs`, `outputs` and, for functions, `fn_name`, as JSON text or as an object; `solutions` is a list
of programs, the same. The first solution is the gold answer; a build tries it on the tests, and `parameters.tries`
(default 3) solutions are tried before a problem is dropped.
"""

import json
from collections.abc import Iterator
from typing import Any

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Record, Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import BadRow, Rejections


def read(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield each question with its first solution and its tests."""
    for record in records(source, rejected, ".jsonl", ".parquet", ".json"):
        with rejected.row(record.place):
            tests = _decoded(record, "input_output")
            solutions = _decoded(record, "solutions")
            if not isinstance(tests, dict) or not tests.get("inputs"):
                rejected.add("no tests", record.place)
                continue
            if isinstance(solutions, str):
                solutions = [solutions]
            programs = [text for text in solutions or [] if isinstance(text, str) and text.strip()]
            if not programs:
                rejected.add("no solution", record.place)
                continue
            starter = str(record.get("starter_code", "")).strip()
            question = record.text("question")
            if starter:
                question += f"\n\nStart from this code:\n```python\n{starter}\n```"
            identity = record.get("id", record.get("problem_id", record.number))
            tries = int(recipe.parameters.get("tries", 3))
            yield Problem(
                f"taco/{identity}",
                question,
                programs[0],
                {"tests": _tests(tests, starter, record)},
                columns={"solutions": programs[1:tries], "difficulty": record.get("difficulty", "")},
                place=record.place,
            )


def _decoded(record: Record, column: str) -> Any:
    value = record.need(column)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError) as error:
        if column == "solutions":
            return value  # one program as plain text
        raise BadRow(f"{record.place}: {column!r} is not JSON ({error})") from None


def _tests(tests: dict[str, Any], starter: str, record: Record) -> dict[str, Any]:
    inputs, outputs, name = tests["inputs"], tests.get("outputs"), tests.get("fn_name")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise BadRow(f"{record.place}: 'input_output' must have as many outputs as inputs")
    if not name:
        return {"type": "stdio", "inputs": [_lines(text) for text in inputs], "outputs": [_lines(o) for o in outputs]}
    entry = f"Solution().{name}" if "class Solution" in starter else str(name)
    cases = []
    for given, wanted in zip(inputs, outputs, strict=True):
        arguments = given if isinstance(given, list) else [given]
        # Some rows wrap the value in a list of one; both are accepted where the published graders accept both.
        wrapped = isinstance(wanted, list) and len(wanted) == 1
        cases.append({"args": arguments, "expected": {"any": [wanted, wanted[0]]} if wrapped else wanted})
    return {"type": "call", "entry_point": entry, "cases": cases}


def _lines(text: Any) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)
