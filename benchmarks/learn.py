"""Measure held-out accuracy over training steps for several seeds (`make learn`).

    python -m benchmarks.learn [--seeds 0,1,2] [--config configs/train/learn.yaml] [--out docs/results] [key=value ...]

Each seed is a run of its own (`runs/learn-seedN`), started one after the other through the `innovator` command; a run
that is done is taken as it is, one that was interrupted goes on. Writes `learning.json` (the figures) and
`learning.png` (the curve).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from innovator_rl.config import load
from innovator_rl.runs.run_dir import RunDir, resolve_runs_dir

ACCURACY = re.compile(r"val-core/(?P<source>[^/]+)/acc/mean@1")


def curve(run: RunDir, steps: int) -> dict[str, dict[int, float]]:
    """Return the share of right validation answers by source and step.

    Steps after `steps` are left out.
    """
    found: dict[str, dict[int, float]] = {}
    for row in run.metrics():
        if int(row["step"]) > steps:
            continue
        for key, value in row.items():
            match = ACCURACY.fullmatch(key)
            if match:
                found.setdefault(match["source"], {})[int(row["step"])] = float(value)
    return found


def train(config: str, seed: int, steps: int, overrides: list[str], name: str = "") -> RunDir:
    """Run or finish one seed.

    One that has been validated at the last step is taken as it is.

    Args:
        config: The configuration's file.
        seed: The seed of the run.
        steps: Its steps.
        overrides: Settings that differ from the configuration.
        name: Name of the run; `learn-seedN` by default.
    """
    name = name or f"learn-seed{seed}"
    run = RunDir(resolve_runs_dir(load(config, overrides).logging.runs_dir) / name)
    if any(steps in points for points in curve(run, steps).values()):
        return run
    command = [
        sys.executable,
        "-m",
        "innovator_rl.cli.main",
        "train",
        config,
        f"name={name}",
        f"data.seed={seed}",
        *overrides,
    ]
    subprocess.run(command, check=True)
    return run


def draw(curves: dict[int, dict[str, dict[int, float]]], target: Path) -> None:
    """Draw one panel per task and one line per seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sources = sorted({source for per_seed in curves.values() for source in per_seed})
    figure, axes = plt.subplots(1, len(sources), figsize=(4.5 * len(sources), 3.2), sharey=True, squeeze=False)
    for axis, source in zip(axes[0], sources, strict=True):
        for seed, per_seed in curves.items():
            steps = sorted(per_seed.get(source, {}))
            axis.plot(steps, [100 * per_seed[source][s] for s in steps], marker="o", label=f"seed {seed}")
        axis.set_title(source)
        axis.set_xlabel("training step")
        axis.set_ylim(0, 100)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("held-out accuracy, greedy (%)")
    axes[0][-1].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(target, dpi=150)


def main() -> None:
    """Train the seeds, print the gains, write the curve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--config", default="configs/train/learn.yaml")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    curves = {}
    steps = load(arguments.config, arguments.overrides).schedule.steps
    for seed in [int(word) for word in arguments.seeds.split(",")]:
        curves[seed] = curve(train(arguments.config, seed, steps, arguments.overrides), steps)
        for source, points in sorted(curves[seed].items()):
            first, last = points[min(points)], points[max(points)]
            gain = 100 * (last - first)
            print(
                f"seed {seed} {source}: {first:.1%} at step {min(points)}, {last:.1%} at step {max(points)} ({gain:+.1f} points)"
            )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "learning.json").write_text(json.dumps(curves, indent=1) + "\n")
    draw(curves, arguments.out / "learning.png")


if __name__ == "__main__":
    main()
