"""Kill a run at random points and compare it with one that nothing interrupted: parameters must be equal bit for bit.

Trains the tiny mixture of experts on a CPU with dynamic sampling on a reward that depends on each response's text. One
run is left alone. The other gets SIGKILL at random moments (its trainer process alone, as the kernel's memory killer would
do) and is started again by the same command until it ends: every other time while it starts and resumes, else in or after
its first step. Prints what differs:

    parameters   tensors of the last checkpoint that are not equal bit for bit
    prompts      positions of the prompt order that were skipped or trained twice
    responses    responses of the record that differ
    metrics      steps whose line is missing from metrics.jsonl, or whose figures differ

    python -m benchmarks.repeatability [--kills 20] [--steps 60] [--seed 0] [--folder runs/repeatability]

The same command goes on where it was interrupted: `--folder` keeps both runs and the number of kills so far. Remove the
folder to measure again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from innovator_rl.rollouts.store import Store
from innovator_rl.runs.files import write_atomic
from innovator_rl.runs.run_dir import RunDir

ROOT = Path(__file__).resolve().parents[1]
LIMIT_SECONDS = 1800.0
START_SECONDS = 40.0
"""Kills while an attempt starts fall into this time, until an attempt was seen to take another until its first step."""
WINDOW_STEPS = 2.0
"""Kills after a step fall into the time of this many steps, one of which saves a checkpoint."""

EQUAL = (
    *("actor/grad_norm", "actor/pg_loss", "critic/score/mean", "response_length/mean"),
    *("sampling/started_groups", "sampling/generated_groups"),
)
"""Metrics that two runs of one seed have in common."""

REWARD = '''"""Score a response by its text: a quarter of the groups are all wrong, the others mixed."""

import zlib


def score(prompt, response):
    if zlib.crc32(str(prompt).encode()) % 4 == 0:
        return 0.0
    return float(zlib.crc32(response.encode()) % 2)
'''


@dataclass(frozen=True)
class Difference:
    """What differs between two runs; all zero where they are one run."""

    parameters: int
    prompts: int
    responses: int
    metrics: int


@dataclass(frozen=True)
class Kills:
    """The kills of a run so far, and how long its latest attempt took until its first step (seconds)."""

    sent: int = 0
    start_seconds: float = START_SECONDS


def command(folder: Path, name: str, steps: int) -> list[str]:
    """Return the command of a run, and write its reward function."""
    reward = folder / "reward.py"
    reward.write_text(REWARD)
    return [
        *(sys.executable, "-m", "innovator_rl.cli.main", "train", str(ROOT / "configs/train/moe.yaml")),
        f"name={name}",
        f"logging.runs_dir={folder}",
        "logging.tensorboard=false",
        f"schedule.steps={steps}",
        "schedule.save_every=2",
        "schedule.validate_every=0",
        "schedule.validate_before=false",
        "algorithm.prompts_per_step=4",
        "algorithm.learning_rate=1e-4",  # the hash can be learned, and a run that has learned it would end
        "algorithm.dynamic_sampling.enabled=true",
        "rollout.samples_per_prompt=4",
        "rollout.max_response_tokens=16",
        f"reward.routes={{unit-arithmetic: '{reward}:score'}}",
    ]


def train(folder: Path, name: str, steps: int, kills: int = 0, seed: int = 0) -> int:
    """Train to the end, with SIGKILL at `kills` random moments; return how many hit the run before its end.

    Args:
        folder: Where the run, its log and the kills so far are kept.
        name: Name of the run.
        steps: Its steps.
        kills: Kills to send.
        seed: Decides the moments.
    """
    environment = {**os.environ, "INNOVATOR_PLATFORM": "cpu"}
    deadline = time.monotonic() + LIMIT_SECONDS * (1 + kills)
    counted = folder / f"{name}-kills.json"
    hit = Kills(**json.loads(counted.read_text())) if counted.exists() else Kills()
    while time.monotonic() < deadline:
        state = RunDir(folder / name).state()
        if (state.status, state.step) == ("finished", steps):
            return hit.sent
        with (folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                command(folder, name, steps), cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                if hit.sent < kills:
                    hit = _kill(RunDir(folder / name), process, hit, random.Random(f"{seed} {hit.sent}"))
                    write_atomic(counted, json.dumps(asdict(hit)))
                    print(f"{hit.sent} of {kills} kills", flush=True)
                code = process.wait(LIMIT_SECONDS)
            finally:
                process.kill()  # one that this script leaves behind would hold the run
        if code > 0:
            raise SystemExit(f"the run ended with {code}:\n{(folder / f'{name}.log').read_text()[-3000:]}")
    raise SystemExit(f"{name} did not end in time")


def _kill(run: RunDir, process: subprocess.Popen[bytes], before: Kills, moments: random.Random) -> Kills:
    """Kill an attempt at a random moment; count it where the attempt had not ended by then."""
    start_seconds = before.start_seconds
    if before.sent % 2 == 0:
        started = time.monotonic()
        _wait_for_a_step(run, process)
        start_seconds = time.monotonic() - started
        moment = moments.uniform(0.0, WINDOW_STEPS * _step_seconds(run))
    else:
        moment = moments.uniform(0.0, start_seconds)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return Kills(before.sent + 1, start_seconds)
    return Kills(before.sent, start_seconds)


def _wait_for_a_step(run: RunDir, process: subprocess.Popen[bytes]) -> None:
    """Wait until this attempt has completed a step or ended."""
    size = run.metrics_jsonl.stat().st_size if run.metrics_jsonl.exists() else 0
    while process.poll() is None and (run.metrics_jsonl.stat().st_size if run.metrics_jsonl.exists() else 0) <= size:
        time.sleep(0.1)


def _step_seconds(run: RunDir) -> float:
    """Return what the latest steps took."""
    seconds = [float(row["timing_s/step"]) for row in run.metrics() if row.get("timing_s/step")]
    return statistics.median(seconds[-5:]) if seconds else 1.5


def compare(whole: Path, killed: Path, steps: int) -> Difference:
    """Compare two finished runs."""
    weights = [
        torch.load(path / f"checkpoints/global_step_{steps}/actor/model_world_size_1_rank_0.pt", weights_only=False)
        for path in (whole, killed)
    ]
    parameters = sum(not torch.equal(_local(weights[0][key]), _local(weights[1][key])) for key in weights[0])
    answers = [_responses(path, steps) for path in (whole, killed)]
    asked = {(step, uid) for step, uid, _ in answers[1]}  # a prompt of two steps counts twice
    positions = Counter(int(uid.rpartition("p")[2]) for _, uid in asked)
    expected = Counter(range(len({uid for _, uid, _ in answers[0]})))
    lines = [
        {int(row["step"]): [row.get(name) for name in EQUAL] for row in RunDir(p).metrics()} for p in (whole, killed)
    ]
    return Difference(
        parameters=parameters,
        prompts=sum((expected - positions).values()) + sum((positions - expected).values()),
        responses=sum(answers[0].get(key) != answers[1].get(key) for key in answers[0].keys() | answers[1].keys()),
        metrics=sum(step not in lines[1] or lines[0].get(step) != lines[1][step] for step in range(1, steps + 1)),
    )


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _responses(run: Path, steps: int) -> dict[tuple[int, str, int], str]:
    """Return (step, prompt, sample) -> response of the attempt that trained each step."""
    last = {int(row["step"]): int(row["attempt"]) for row in RunDir(run).metrics()}
    store = Store(str(run))
    rows = store.rollouts(steps=list(range(1, steps + 1)), kind="train", with_text=True, limit=100_000)
    return {
        (row["step"], row["prompt_uid"], row["sample"]): row["response"]
        for row in rows
        if row["attempt"] == last.get(row["step"])
    }


def measure(folder: Path, kills: int, steps: int, seed: int) -> tuple[int, Difference]:
    """Train both, or what is missing of them; return the kills that hit, and what differs."""
    folder.mkdir(parents=True, exist_ok=True)
    train(folder, "whole", steps)
    hit = train(folder, "killed", steps, kills, seed)
    return hit, compare(folder / "whole", folder / "killed", steps)


def main() -> None:
    """Print the differences and end with 1 where there are any, or where the run ended before all kills."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=0, help="steps of each run; 3 per kill by default, at least 8")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/repeatability"))
    options = parser.parse_args()
    if options.kills < 1:
        parser.error("--kills must be 1 or more")
    steps = options.steps or max(8, 3 * options.kills)
    hit, found = measure(options.folder.resolve(), options.kills, steps, options.seed)
    print(f"after {hit} kills: {found}")
    missed = options.kills - hit
    if missed:
        print(f"the run ended before {missed} of the {options.kills} kills; set more --steps")
    raise SystemExit(bool(missed or found.parameters or found.prompts or found.responses or found.metrics))


if __name__ == "__main__":
    main()
