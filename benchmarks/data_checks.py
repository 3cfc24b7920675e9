"""Rows per second of the checks that `innovator data build` makes, next to reading and hashing the same rows.

    python -m benchmarks.data_checks --source gsm8k.jsonl.gz --evaluation eval/math/math500.json.gz --rows 2000

Every check sees the same rows in one run: reading with a hash (the floor), near-duplicates, comparison with an evaluation
set, and gold and wrong answers through the reward workers. With --rows larger than the file, rows are repeated with other
numbers, so that none is a copy.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from innovator_rl.data.checks.contamination import drop_contaminated, load_index
from innovator_rl.data.checks.golds import check_golds
from innovator_rl.data.checks.near import drop_near_duplicates
from innovator_rl.data.checks.progress import RowProgress
from innovator_rl.data.problem import Problem
from innovator_rl.data.readers import reader
from innovator_rl.data.recipe import Decontamination, EvaluationFile, Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.scoring.pool import ScoringPool


def read_and_hash(source: Path, recipe: Recipe) -> list[Problem]:
    """Read all problems and hash each question and answer."""
    found = list(reader(recipe.reader or "jsonl")(source, recipe, Rejections()))
    for problem in found:
        hashlib.sha256(f"{problem.question}\n{problem.answer}".encode()).digest()
    return found


def repeated(problems: list[Problem], rows: int) -> list[Problem]:
    """Return `rows` problems; those beyond the file carry a number of their own."""
    size = len(problems)
    return [
        problems[i] if i < size else replace(problems[i % size], question=f"{i // size}. {problems[i % size].question}")
        for i in range(rows)
    ]


def timed(name: str, rows: int, floor: float | None, run: Callable[[], object]) -> float:
    """Run a step, print its rate and its ratio to the floor, and return its seconds."""
    started = time.perf_counter()
    run()
    seconds = time.perf_counter() - started
    ratio = f", {seconds / floor:6.1f} times the floor" if floor else ""
    print(f"{name:<28} {rows / seconds:>10,.0f} rows/s{ratio}", flush=True)
    return seconds


def main() -> None:
    """Measure each check on the same rows and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reader", default="gsm8k")
    parser.add_argument("--domain", default="math")
    parser.add_argument("--reward", default="math")
    parser.add_argument("--evaluation", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    recipe = Recipe(name="bench", domain=options.domain, reward=options.reward, license="-", reader=options.reader)
    whole = read_and_hash(options.source, recipe)
    read = timed("read and hash (floor)", len(whole), None, lambda: read_and_hash(options.source, recipe))
    rows = repeated(whole, options.rows)
    floor = read * len(rows) / len(whole)
    settings = Decontamination(against=(EvaluationFile(name="e", path=str(options.evaluation)),))
    index = load_index(settings)
    quiet = RowProgress()
    timed("near-duplicates", len(rows), floor, lambda: drop_near_duplicates(rows, 0.8, Rejections(), quiet))
    timed("evaluation set", len(rows), floor, lambda: drop_contaminated(rows, settings, index, Rejections(), quiet))
    names, prompts = [options.reward] * len(rows), [problem.question for problem in rows]
    with ScoringPool(options.workers, warm={options.reward}) as pool:
        check_golds(rows[:8], names[:8], prompts[:8], Rejections(), pool, quiet)  # starts the workers
        timed(
            f"gold and wrong, {options.workers} workers",
            len(rows),
            floor,
            lambda: check_golds(rows, names, prompts, Rejections(), pool, quiet),
        )
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
