"""Compare the curriculum with uniform draws: steps and generated groups until held-out accuracy reaches a target.

    python -m benchmarks.curriculum [--seeds 0,1,2] [--rows 60] [--target 0.5] [--out docs/results] [key=value ...]

Trains `configs/train/learn.yaml` twice per seed, with `data.curriculum` off and on, on the first `--rows` rows of each
data set: a curriculum can only skip prompts that come again, so the rows must be few enough for several epochs.
Validation keeps all its rows. Runs are `runs/curriculum-...`; one that is done is taken as it is and one that was
interrupted goes on, so the same command resumes. Writes `curriculum.json` and prints, per seed and as a mean with a 95 %
interval (Student's t over the paired seeds), where the mean accuracy of the sources first reaches the target. It is
interpolated between validations; a run that never reaches the target counts as one that needs more than its steps.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq
from scipy import stats

from benchmarks.learn import curve, train
from innovator_rl.config import load
from innovator_rl.data.materialize import materialize
from innovator_rl.runs.run_dir import RunDir, resolve_runs_dir

ARMS = ("uniform", "curriculum")


@dataclass(frozen=True)
class Reached:
    """What a run had used when it reached the target; None where it did not.

    Attributes:
        steps: Training steps, interpolated.
        groups: Groups generated, dropped ones included, interpolated.
        last: Mean accuracy at the last validation.
    """

    steps: float | None
    groups: float | None
    last: float


def reached(accuracy: Mapping[int, float], groups: Sequence[float], target: float) -> Reached:
    """Find where an accuracy curve first reaches a target.

    Args:
        accuracy: Step -> accuracy.
        groups: Groups that each step generated, from step 1 on.
        target: The accuracy to reach.
    """
    total = [0.0]
    for count in groups:
        total.append(total[-1] + count)
    points = sorted(accuracy.items())
    last = points[-1][1]
    for (left, low), (right, high) in zip([(points[0][0], -math.inf), *points[:-1]], points, strict=True):
        if high >= target:
            share = (target - low) / (high - low) if math.isfinite(low) else 1.0
            at = left + share * (right - left)
            whole, part = divmod(at, 1.0)
            used = total[int(whole)] + (part * (total[int(whole) + 1] - total[int(whole)]) if part else 0.0)
            return Reached(at, used, last)
    return Reached(None, None, last)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the half-width of its 95 % interval; infinite for fewer than two values."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, math.inf
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))


def report(found: Mapping[str, Mapping[int, Reached]], steps: int, target: float) -> str:
    """Return the comparison as lines of text.

    Args:
        found: Arm -> seed -> what it needed.
        steps: Steps of each run.
        target: The accuracy to reach.
    """
    lines = [f"mean held-out accuracy of {target:.0%} is reached after"]
    for arm, seeds in found.items():
        for seed, result in seeds.items():
            need = (
                f"more than {steps} steps"
                if result.steps is None
                else f"{result.steps:.1f} steps, {result.groups:.0f} groups"
            )
            lines.append(f"  {arm:10} seed {seed}: {need} (at the end {result.last:.1%})")
    first, second = (found[arm] for arm in ARMS)
    pairs = [(first[seed], second[seed]) for seed in first if seed in second]
    for name, digits in (("steps", 1), ("groups", 0)):
        differences = [
            getattr(b, name) - getattr(a, name)
            for a, b in pairs
            if getattr(a, name) is not None and getattr(b, name) is not None
        ]
        if not differences:
            lines.append(f"no pair of runs reached it: nothing to compare in {name}")
            continue
        mean, half = interval(differences)
        lines.append(
            f"curriculum - uniform: {mean:+.{digits}f} ± {half:.{digits}f} {name} ({len(differences)} of {len(pairs)} seeds)"
        )
    return "\n".join(lines)


def first_rows(sources: Sequence[str], count: int, folder: Path) -> list[str]:
    """Write the first rows of each data set's training side, in the order of the set; return the files."""
    files = []
    for source in sources:
        target = folder / f"{source}-{count}.parquet"
        if not target.is_file():
            whole = pq.read_table(materialize(source, folder, "train"))
            draft = target.with_suffix(".draft")
            pq.write_table(whole.slice(0, count), draft)
            draft.replace(target)
        files.append(str(target))
    return files


def measure(run: RunDir, steps: int, target: float) -> Reached:
    """Read what a finished run needed."""
    sources = list(curve(run, steps).values())
    shared = set.intersection(*(set(points) for points in sources))
    accuracy = {step: sum(points[step] for points in sources) / len(sources) for step in shared}
    rows = {int(row["step"]): row for row in run.metrics()}
    groups = [float(rows[step]["sampling/started_groups"]) for step in range(1, steps + 1)]
    return reached(accuracy, groups, target)


def main() -> None:
    """Train both arms with each seed and print the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rows", type=int, default=60, help="training rows of each data set")
    parser.add_argument("--target", type=float, default=0.5, help="mean held-out accuracy")
    parser.add_argument("--config", default="configs/train/learn.yaml")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    if options.rows < 1 or not 0 < options.target <= 1:
        parser.error("--rows must be 1 or more, --target above 0 and at most 1")
    config = load(options.config, options.overrides)
    steps, runs = config.schedule.steps, resolve_runs_dir(config.logging.runs_dir)
    files = first_rows(config.data.train, options.rows, runs / "curriculum-data")
    found: dict[str, dict[int, Reached]] = {arm: {} for arm in ARMS}
    for seed in [int(word) for word in options.seeds.split(",")]:
        for arm in ARMS:
            settings = [
                f"data.train=[{', '.join(files)}]",
                f"data.curriculum={str(arm == 'curriculum').lower()}",
                *options.overrides,
            ]
            run = train(options.config, seed, steps, settings, name=f"curriculum-{arm}-seed{seed}")
            found[arm][seed] = measure(run, steps, options.target)
    print(report(found, steps, options.target))
    options.out.mkdir(parents=True, exist_ok=True)
    figures = {arm: {seed: asdict(result) for seed, result in seeds.items()} for arm, seeds in found.items()}
    document = {"target": options.target, "rows": options.rows, "steps": steps, **figures}
    (options.out / "curriculum.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
