"""Read SciBench (MIT): college problems with a number and a unit.

There is one JSON array per textbook. The published number is in the published unit, which may include a power of ten
(`10^{-19} J`). Without the unit a right answer would look wrong, so the question names it, as the benchmark's own
prompts do.
"""

import re
from collections.abc import Iterator

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections

NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def read(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield each problem with "Give the answer in UNIT." and its value with that unit."""
    for record in records(source, rejected, ".json", ".jsonl", ".parquet"):
        with rejected.row(record.place):
            value = record.text("answer_number").replace("−", "-").replace(",", "")
            question = record.text("problem_text")
            if not question or not NUMBER.fullmatch(value):
                rejected.add("answer is not one number", record.place)
                continue
            unit = " ".join(str(record.get("unit", "")).replace("$", " ").split())
            ask = f"{question}\nGive the answer in ${unit}$." if unit else question
            book = record.file.partition(".")[0]
            identity = f"scibench/{book}/{record.number}:{str(record.get('problemid', '')).strip()}"
            yield Problem(identity, ask, _gold(value.removeprefix("+"), unit), place=record.place)


def _gold(value: str, unit: str) -> str:
    if not unit:
        return value
    power = re.match(r"(?:\\mathrm\{)?10\^", unit)
    return f"{value} \\times {unit}" if power else f"{value} \\ {unit}"
