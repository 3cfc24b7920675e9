"""Measure held-out accuracy over training steps for several seeds (`make learn`).

    python -m benchmarks.learn [--seeds 0,1,2] [--config configs/train/learn.yaml] [--out docs/results] [key=value ...]

Each seed is a run of its own (`runs/learn-seedN`), started one after the other through the `innovator` command. A run that
is done is taken as it is, and so is one that ended because nothing was left to learn; one that was interrupted goes on from
its last checkpoint (`schedule.save_every`). Writes `learning.json` (the figures) and `learning.png` (the curve); for
another configuration, `NAME-seedN` and `learning-NAME`.
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

ACCURACY = re.compile(r"val-core/(?P<source>[^/]+)/acc/mean@\d+")
NOTHING_LEFT = "NoLearningSignal"
"""How the cause of a run begins whose data no longer teach anything."""


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


def done(run: RunDir, steps: int) -> bool:
    """Return whether a run was validated at its last step, or ended before because nothing was left to learn."""
    state = run.state()
    if state.status == "failed" and state.detail.startswith(NOTHING_LEFT):
        return True
    return any(steps in points for points in curve(run, steps).values())


def train(config: str, seed: int, steps: int, overrides: list[str], name: str = "") -> RunDir:
    """Run or finish one seed; take it as it is where it is done.

    Args:
        config: The configuration's file.
        seed: The seed of the run.
        steps: Its steps.
        overrides: Settings that differ from the configuration.
        name: Name of the run; the configuration's with `-seedN` by default.
    """
    settings = load(config, overrides)
    name = name or f"{settings.name}-seed{seed}"
    run = RunDir(resolve_runs_dir(settings.logging.runs_dir) / name)
    if done(run, steps):
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
    ended = subprocess.run(command, check=False).returncode
    if not done(run, steps):
        raise SystemExit(f"{name} ended with {ended} before step {steps}; the same command goes on")
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
    axes[0][0].set_ylabel("held-out accuracy (%)")
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
    settings = load(arguments.config, arguments.overrides)
    steps, stem = settings.schedule.steps, "learning" if settings.name == "learn" else f"learning-{settings.name}"
    for seed in [int(word) for word in arguments.seeds.split(",")]:
        curves[seed] = curve(train(arguments.config, seed, steps, arguments.overrides), steps)
        for source, points in sorted(curves[seed].items()):
            first, last = points[min(points)], points[max(points)]
            gain = 100 * (last - first)
            print(
                f"seed {seed} {source}: {first:.1%} at step {min(points)}, {last:.1%} at step {max(points)} ({gain:+.1f} points)"
            )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{stem}.json").write_text(json.dumps(curves, indent=1) + "\n")
    draw(curves, arguments.out / f"{stem}.png")


if __name__ == "__main__":
    main()
