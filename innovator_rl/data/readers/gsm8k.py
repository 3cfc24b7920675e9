"""Read GSM8K (MIT): grade-school word problems with the answer after `####`."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import field, json_lines, source_files
from innovator_rl.data.recipe import Recipe


def read(source: Path, recipe: Recipe, rejected: Counter[str]) -> Iterator[Problem]:
    """Yield each question with its final number, thousands separators removed."""
    for path in source_files(source, "*.jsonl", "*.jsonl.gz"):
        for number, record in json_lines(path):
            solution = str(field(record, "answer", path, number))
            _, mark, final = solution.rpartition("####")
            answer = final.strip().replace(",", "")
            if not mark or not answer:
                rejected["no answer after ####"] += 1
                continue
            yield Problem(f"gsm8k/{number}", str(field(record, "question", path, number)).strip(), answer)
