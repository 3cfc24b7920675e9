"""Decide when upcycling pays: a mixture against dense training at each side's best rate, over budgets, on ten textbooks.

    INNOVATOR_DATA=FOLDER python -m benchmarks.upcycle_scaling [--quick] [--folder runs/scaling] [--out docs/results]

1. Build the corpus of the textbooks (four disciplines and general text) with a tokenizer of its own, and pre-train a base
   model of 0.4 M parameters.
2. Try the same learning rates on both sides, and some for stage 1; each then trains at its own best. Rates are chosen on
   held-out sequences that no reported figure reads.
3. Train mixture and dense model with a constant rate and end it by a decay at 3, 6, 12 and 24 million tokens (the axis of
   the paper's Fig. 3); at 6 million also two more seeds and a dense model of twice the width.
4. Split the same experts in every way of the paper's Table 4, as printed and with equal totals, and compare copies of the
   base model's network, whole and half redrawn (drop-upcycling), on 2 million tokens each; two of these ways with two
   more seeds.

The report begins with the paper's own claim: general ability, by loss and by small tasks, kept by the mixture and lost by
dense training; every claim has its interval and whether it holds. Losses stand over tokens and over operations. Two processes share
the jobs; what is finished is skipped and what was interrupted continues, so the command may be repeated, also with other
settings. Two cores take about two and a half hours, `--quick` under ten minutes: the same jobs on five books with a few
percent of the tokens, which shows that all parts run and decides nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from benchmarks.scaling_jobs import FULL, QUICK, Study
from benchmarks.scaling_report import NAMES, report, row_of

HEAD = """# Mixture against dense training

`python -m benchmarks.upcycle_scaling` writes this page. A base model of 0.4 million parameters, pre-trained on the same ten
textbooks, is upcycled in four stages into a mixture of four disciplines' fine experts, and trained further as it is, each at
its own best learning rate. Losses are nats per token of held-out text. "Science" is the mean of the four disciplines.

![Held-out loss over tokens and over operations](upcycle-scaling.png)

"""


def run_all(study: Study, processes: int, deadline: float, quick: bool) -> list[str]:
    """Run every unfinished job once its predecessors are done.

    Returns:
        The jobs that were not started before the deadline, or that failed.
    """
    waiting = [job for job in study.names if study.result(job) is None]
    running: dict[Future[int], str] = {}
    failed: set[str] = set()
    with ThreadPoolExecutor(processes) as pool:
        while waiting or running:
            ready = [job for job in waiting if all(study.result(one) is not None for one in study.names[job])]
            free = processes - len(running) if time.monotonic() < deadline else 0
            for job in ready[:free]:
                waiting.remove(job)
                running[pool.submit(_start, study, job, quick)] = job
                print(f"{job}: started, {len(waiting)} more wait", flush=True)
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                if future.result():
                    failed.add(job)
                    print(f"{job}: failed, see {study.folder / 'logs' / job}.txt", flush=True)
    return [*sorted(failed), *waiting]


def _start(study: Study, job: str, quick: bool) -> int:
    log = study.folder / "logs" / f"{job}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.upcycle_scaling", "--job", job, "--folder", str(study.folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with log.open("a") as file:
        return subprocess.run(
            [*command, *(["--quick"] if quick else [])], stdout=file, stderr=subprocess.STDOUT, env=environment
        ).returncode


def draw(study: Study, target: Path) -> None:
    """Draw the losses over tokens and over operations."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 6), sharey="row")
    for line, name in zip(axes, ("science", "general"), strict=True):
        for axis, key, unit in zip(line, ("tokens", "flops"), (1e6, 1e12), strict=True):
            for kind, color in (("dense", "tab:orange"), ("wide", "tab:red"), ("mixture", "tab:blue")):
                rows = (study.result(f"{kind}-0") or {"rows": []})["rows"]
                points = [(row[key] / unit, row[f"val/loss/{name}"]) for row in rows]
                if points:
                    axis.plot(*zip(*points, strict=True), "o-", color=color, label=NAMES[kind])
            base = row_of(study, "base", 0)
            if base:
                axis.axhline(base[f"val/loss/{name}"], color="0.6", linestyle=":", label="base model")
            axis.set_title(f"{name}, held out")
            axis.set_xlabel("million tokens" if key == "tokens" else "10^12 operations")
            axis.grid(alpha=0.3)
    axes[0][0].legend(frameon=False)
    axes[0][0].set_ylabel("loss (nats per token)")
    figure.tight_layout()
    figure.savefig(target, dpi=150)


def main() -> None:
    """Run what is missing and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="all jobs with a few percent of the tokens")
    parser.add_argument("--folder", type=Path, help="by default runs/scaling, or runs/scaling-quick")
    parser.add_argument("--out", type=Path, help="also write upcycle-scaling.json, .md and .png there")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--budget-minutes", type=float, default=1e6, help="no job starts later; repeat to go on")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.folder or Path("runs/scaling-quick" if options.quick else "runs/scaling")
    study = Study(folder.absolute(), QUICK if options.quick else FULL)
    if options.job:
        study.run(options.job)
        return
    started = time.monotonic()
    left = run_all(study, options.processes, started + 60 * options.budget_minutes, options.quick)
    text = report(study)
    print(f"\n{text}\n\n{(time.monotonic() - started) / 60:.1f} minutes; left: {', '.join(left) or 'nothing'}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        results = {job: study.result(job) for job in study.names}
        (options.out / "upcycle-scaling.json").write_text(json.dumps(results, indent=1) + "\n")
        (options.out / "upcycle-scaling.md").write_text(HEAD + text + "\n")
        draw(study, options.out / "upcycle-scaling.png")
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
