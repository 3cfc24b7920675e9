"""Decide when upcycling pays: a mixture against dense training at each side's best rate, over budgets, on ten textbooks.

    INNOVATOR_DATA=FOLDER python -m benchmarks.upcycle_scaling [--quick] [--folder runs/scaling] [--out docs/results]

1. Build the corpus of the textbooks (four disciplines and general text) with a tokenizer of its own, and pre-train a base
   model of 0.4 M parameters.
2. Try the same learning rates on both sides; each then trains at its own best.
3. Train mixture and dense model with a constant rate and end it by a decay at 3, 6, 12 and 24 million tokens (the axis of
   the paper's Fig. 3); at 6 million also two more seeds and a dense model of twice the width.
4. Split the same experts in every way of the paper's Table 4, as printed and with equal totals, and compare copies of the
   base model's network, whole and half redrawn (drop-upcycling), on 2 million tokens each.

The report begins with verdicts, the paper's own claim first: general ability, by loss and by small tasks, kept by the
mixture and lost by dense training. Losses stand over tokens and over operations, differences with their intervals. Two
processes of one thread share the jobs (`--processes 1`: one); what is finished is skipped and what was interrupted continues,
so the command may be killed at any time and repeated. Changed settings use another subfolder. Two idle cores take about two
hours, `--quick` under ten minutes: the same jobs on five books with a few percent of the tokens, which shows that all parts
run and decides nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from benchmarks.scaling_jobs import FULL, QUICK, Study
from benchmarks.scaling_report import draw, report
from innovator_rl.runs.files import duration, write_atomic

BEAT = 60.0  # seconds between progress lines


def run_all(study: Study, processes: int, deadline: float, arguments: Sequence[str]) -> list[str]:
    """Run every unfinished job once its predecessors are done.

    Args:
        study: The jobs.
        processes: Jobs that run at once.
        deadline: When no job starts any more, by `time.monotonic`.
        arguments: Options by which a job's own process finds the same study.

    Returns:
        The jobs that were not started before the deadline, or that failed.
    """
    waiting = [job for job in study.names if study.result(job) is None]
    running: dict[Future[int], tuple[str, float]] = {}
    failed: set[str] = set()
    with ThreadPoolExecutor(processes) as pool:
        while waiting or running:
            ready = [job for job in waiting if all(study.result(one) is not None for one in study.names[job])]
            free = processes - len(running) if time.monotonic() < deadline else 0
            for job in ready[:free]:
                waiting.remove(job)
                running[pool.submit(_start, study, job, arguments)] = job, time.monotonic()
                print(f"{job}: started, {len(waiting)} more wait", flush=True)
            if not running:
                break
            done = wait(running, timeout=BEAT, return_when=FIRST_COMPLETED).done
            for future in done:
                job, began = running.pop(future)
                if future.result():
                    failed.add(job)
                    print(f"{job}: failed, see {study.folder / 'logs' / job}.txt", flush=True)
                else:
                    print(f"{job}: done in {duration(time.monotonic() - began)}", flush=True)
            print(progress(study, dict(running.values()), processes), flush=True)
    return [*sorted(failed), *waiting]


def progress(study: Study, running: dict[str, float], processes: int) -> str:
    """Return one line: what is done of the whole work, the time left, and what the running jobs last said.

    Args:
        study: The jobs.
        running: When each running job began, by `time.monotonic`.
        processes: Jobs that run at once.
    """
    results = {job: found for job in study.names if (found := study.result(job)) is not None}
    timed = [job for job in results if study.work(job) and results[job].get("seconds")]
    done, whole = sum(map(study.work, results)), sum(map(study.work, study.names))
    parts = [f"{len(results)} of {len(study.names)} jobs"]
    if timed:
        rate = sum(map(study.work, timed)) / sum(results[job]["seconds"] for job in timed)  # of one process
        done += sum(min(study.work(job), (time.monotonic() - began) * rate) for job, began in running.items())
        parts += [f"{done / whole:.0%}", f"{duration((whole - done) / rate / processes)} left"]
    for job in running:
        log = study.folder / "logs" / f"{job}.txt"
        said = log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
        parts.append(f"{job}: {said[0][:100]}" if said else job)
    return " | ".join(parts)


def _start(study: Study, job: str, arguments: Sequence[str]) -> int:
    log = study.folder / "logs" / f"{job}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.upcycle_scaling", "--job", job, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with log.open("a") as file:
        return subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment).returncode


def write(study: Study, out: Path, text: str) -> None:
    """Write the report, the figures without those of single sequences, and the plot."""
    out.mkdir(parents=True, exist_ok=True)
    results = {job: _without_sequences(study.result(job)) for job in study.names}
    write_atomic(out / "upcycle-scaling.json", json.dumps(results, indent=1) + "\n")
    write_atomic(out / "upcycle-scaling.md", text + "\n")
    draw(study, out / "upcycle-scaling.png")


def _without_sequences(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sequences(inner) for key, inner in value.items() if key != "sequences"}
    return [_without_sequences(inner) for inner in value] if isinstance(value, list) else value


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
    study = Study.of(folder, QUICK if options.quick else FULL)
    if options.job:
        study.run(options.job)
        return
    started = time.monotonic()
    print(f"folder {study.folder}\n{progress(study, {}, options.processes)}", flush=True)
    arguments = ["--folder", str(folder), *(["--quick"] if options.quick else [])]
    left = run_all(study, options.processes, started + 60 * options.budget_minutes, arguments)
    text = report(study)
    print(f"\n{text}\n\n{(time.monotonic() - started) / 60:.1f} minutes; left: {', '.join(left) or 'nothing'}")
    if options.out:
        write(study, options.out, text)
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main()
