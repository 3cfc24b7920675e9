"""Read GSM8K (MIT): grade-school word problems with the answer after `####`."""

from collections.abc import Iterator

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections


def read(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield each question with its final number, thousands separators removed."""
    for record in records(source, rejected, ".jsonl", ".parquet"):
        with rejected.row(record.place):
            _, mark, final = record.text("answer").rpartition("####")
            answer = final.strip().replace(",", "")
            if not mark or not answer:
                rejected.add("no answer after ####", record.place)
                continue
            yield Problem(f"gsm8k/{record.number}", record.text("question"), answer, place=record.place)
