"""Read SciBench (MIT): college problems with a number and a unit.

There is one JSON array per textbook. The published number is in the published unit, which may include a power of ten
(`10^{-19} J`). Without the unit a right answer would look wrong, so the question names it, as the benchmark's own
prompts do.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import field, open_text, source_files
from innovator_rl.data.recipe import Recipe
from innovator_rl.errors import UserError

NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def read(source: Path, recipe: Recipe, rejected: Counter[str]) -> Iterator[Problem]:
    """Yield each problem with "Give the answer in UNIT." and its value with that unit."""
    for path in source_files(source, "*.json"):
        with open_text(path) as stream:
            try:
                records = json.load(stream)
            except ValueError as error:
                raise UserError(f"{path} is not JSON ({error}): fetch the file again") from None
        for number, record in enumerate(records):
            value = str(field(record, "answer_number", path, number)).strip().replace("−", "-").replace(",", "")
            question = str(field(record, "problem_text", path, number)).strip()
            if not question or not NUMBER.fullmatch(value):
                rejected["answer is not one number"] += 1
                continue
            unit = " ".join(str(record.get("unit") or "").replace("$", " ").split())
            ask = f"{question}\nGive the answer in ${unit}$." if unit else question
            identity = f"scibench/{path.stem}/{number}:{str(record.get('problemid', '')).strip()}"
            yield Problem(identity, ask, _gold(value.removeprefix("+"), unit))


def _gold(value: str, unit: str) -> str:
    if not unit:
        return value
    power = re.match(r"(?:\\mathrm\{)?10\^", unit)
    return f"{value} \\times {unit}" if power else f"{value} \\ {unit}"
