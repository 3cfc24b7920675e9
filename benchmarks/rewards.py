"""Compare accuracy and speed of the answer rewards with the usual graders.

    python benchmarks/rewards.py [--data DIR] [--only accuracy|speed|growth]

`--data` holds `verify/*.jsonl` and `gsm8k/train.jsonl.gz` (default: `shared/data` next to the checkout). Three graders
answer the same rows: ours, math-verify as verl calls it, and verl's MATH grader by string. Each runs in a process of
its own that is killed after 12 s on one row, which then counts as wrong and slow. Times are processor seconds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]
# this file has the name of the package that it measures

ROW_SECONDS = 12.0
KILOBYTE = 1024
Grader = Callable[[str, str], bool]


def our_physics() -> Grader:
    """Return the physics reward function, on the bare answer."""
    from rewards.physics import Physics

    reward = Physics()
    return lambda response, gold: reward(response, gold, {}).correct


def our_mathematics() -> Grader:
    """Return the mathematics reward function."""
    from rewards.mathematics import Mathematics

    reward = Mathematics()
    return lambda response, gold: reward(response, gold).correct


def math_verify_as_verl() -> Grader:
    """math-verify with the extraction targets that verl 0.9.1 hands it."""
    from math_verify.metric import math_metric
    from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig

    metric = math_metric(
        gold_extraction_target=(LatexExtractionConfig(),),
        pred_extraction_target=(ExprExtractionConfig(), LatexExtractionConfig()),
    )

    def grade(response: str, gold: str) -> bool:
        said = response if "\\boxed" in response else f"\\boxed{{{response}}}"
        try:
            return bool(metric([f"\\boxed{{{gold}}}"], [said])[0] > 0)
        except Exception:  # a grader that raises has not accepted
            return False

    return grade


def verl_string() -> Grader:
    """Return verl's MATH grader, which compares normalized strings."""
    from verl.utils.reward_score import math_reward

    def grade(response: str, gold: str) -> bool:
        said = response if "\\boxed" in response else f"\\boxed{{{response}}}"
        return bool(math_reward.compute_score(said, gold))

    return grade


GRADERS: dict[str, Callable[[], Grader]] = {
    "physics": our_physics,
    "math": our_mathematics,
    "math-verify": math_verify_as_verl,
    "verl string": verl_string,
}


def _serve(pipe: Connection, name: str) -> None:
    logging.disable(logging.CRITICAL)  # math-verify logs the whole of what it gave up on
    grade = GRADERS[name]()
    pipe.send("ready")
    while True:
        response, gold = pipe.recv()
        began = time.process_time()
        result = grade(response, gold)
        pipe.send((result, time.process_time() - began))


class Child:
    """A grader in its own process, replaced when a row takes too long."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start()

    def start(self) -> None:
        """Start the process."""
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, self.name), daemon=True)
        self.process.start()
        if not self.pipe.poll(180):
            sys.exit(f"benchmarks/rewards.py: the grader {self.name!r} did not start within 180 s")
        self.pipe.recv()

    def grade(self, response: str, gold: str) -> tuple[bool, float]:
        """Return the result and its processor seconds."""
        self.pipe.send((response, gold))
        if self.pipe.poll(ROW_SECONDS):
            result, seconds = self.pipe.recv()
            return bool(result), float(seconds)
        self.stop()
        self.start()
        return False, ROW_SECONDS

    def stop(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.join()


def accuracy(rows: list[dict[str, Any]], name: str) -> None:
    """Print accuracy by category, false results, and the times of each grader."""
    by_category = sorted({row["cat"] for row in rows})
    print(f"\n{name}: {len(rows)} pairs")
    print("grader        accuracy  wrong refused/accepted   median ms  longest s   " + "  ".join(by_category))
    for grader in GRADERS:
        child = Child(grader)
        results = [child.grade(row["pred"], row["gold"]) for row in rows]
        child.stop()
        hits: dict[str, list[bool]] = defaultdict(list)
        for row, (said, _) in zip(rows, results, strict=True):
            hits[row["cat"]].append(said == row["equivalent"])
        right = sum(map(sum, hits.values()))
        refused = sum(row["equivalent"] and not said for row, (said, _) in zip(rows, results, strict=True))
        accepted = sum(said and not row["equivalent"] for row, (said, _) in zip(rows, results, strict=True))
        times = sorted(seconds for _, seconds in results)
        shares = "  ".join(f"{sum(hits[c])}/{len(hits[c])}" for c in by_category)
        print(
            f"{grader:12}  {right / len(rows):7.1%}  {refused:8} / {accepted:<8}  {times[len(times) // 2] * 1e3:10.2f}  "
            f"{times[-1]:9.2f}   {shares}",
            flush=True,
        )


def padded(answer: str, size: int) -> str:
    """Return a response of about `size` characters that ends in a boxed answer."""
    line = "Then 3 x 7 = 21, so we carry the two, and $x^2 + 1$ is left over; step {} follows.\n"
    body = "".join(line.format(k) for k in range(size // len(line) + 1))
    return f"{body[: max(0, size - 40)]}\nThe answer is \\boxed{{{answer}}}."


def speed(golds: list[str]) -> None:
    """Print scores per second of integer answers at the end of 1 KB, one process."""
    rows = [(padded(gold, KILOBYTE), gold) for gold in golds[:400]]
    print("\ninteger answers, 1 KB responses, one core")
    for name, limit in (("math", 400), ("physics", 400), ("math-verify", 200), ("verl string", 400)):
        grade = GRADERS[name]()
        assert all(grade(*row) for row in rows[:20]), name
        began = time.process_time()
        for row in rows[:limit]:
            grade(*row)
        seconds = time.process_time() - began
        print(f"{name:12}  {min(limit, len(rows)) / seconds:9.0f} per second", flush=True)


def growth() -> None:
    """Print milliseconds per score as the response grows.

    Flat once the answer is found from the end.
    """
    print("\nmilliseconds per score by response length, a formula in a box")
    sizes = (KILOBYTE, 10 * KILOBYTE, 100 * KILOBYTE, 1024 * KILOBYTE)
    print("grader        " + "  ".join(f"{size // KILOBYTE:6} KB" for size in sizes))
    for name in ("math", "physics"):
        grade = GRADERS[name]()
        times = []
        for size in sizes:
            response = padded(r"\frac{\sqrt{3}}{2}", size)
            grade(response, r"\sqrt{3}/2")
            began, count = time.process_time(), 20
            for _ in range(count):
                assert grade(response, r"\sqrt{3}/2")
            times.append((time.process_time() - began) / count * 1e3)
        print(f"{name:12}  " + "  ".join(f"{value:9.2f}" for value in times), flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = os.environ.get("INNOVATOR_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(beside), help="default: INNOVATOR_DATA")
    parser.add_argument("--only", choices=("accuracy", "speed", "growth"))
    arguments = parser.parse_args()
    files = sorted((arguments.data / "verify").glob("*.jsonl"))
    if not files:
        sys.exit(f"benchmarks/rewards.py: no verify/*.jsonl under --data {arguments.data}; name a folder that has them")
    if arguments.only in (None, "accuracy"):
        for file in files:
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            accuracy(rows, file.stem)
    if arguments.only in (None, "speed"):
        with gzip.open(arguments.data / "gsm8k" / "train.jsonl.gz", "rt") as lines:
            golds = [json.loads(line)["answer"].rsplit("####", 1)[1].strip() for line in lines]
        speed([gold for gold in golds if gold.isdigit()])
    if arguments.only in (None, "growth"):
        growth()


if __name__ == "__main__":
    main()
