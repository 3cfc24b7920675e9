"""Compare the simulation of steps with recorded runs, and draw where simulated GPUs spend their time.

    python -m benchmarks.simulation runs/demo            # simulated / recorded seconds, by part of a step
    python -m benchmarks.simulation --draw scale.json scale.png

The costs are fitted to one half of a run's warm steps, and the other half is predicted (`planning/calibration.py`). The
file to draw is what `innovator train simulate CONFIG --json` prints.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from innovator_rl.planning.calibration import check

PARTS = {
    "generate": ("generate", "#2b6cb0"),
    "idle": ("replicas idle", "#a3c4e8"),
    "scores": ("scores awaited", "#6b46c1"),
    "log_probs": ("log-probabilities", "#38a169"),
    "update": ("update", "#dd6b20"),
    "imbalance": ("waiting for the busiest rank", "#f6c9a0"),
    "network": ("network", "#c53030"),
    "sync": ("weight sync", "#4a5568"),
    "checkpoint": ("checkpoint", "#b7791f"),
}
"""Part of a step -> its name and color."""


def draw(scales: list[dict[str, Any]], target: Path) -> None:
    """Draw one bar per simulated scale, cut into the parts of a step."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8.5, 0.55 * len(scales) + 1.8))
    names = [f"{one['gpus']} GPUs, {'synchronous' if not one['max_staleness'] else 'staleness 1'}" for one in scales]
    left = [0.0] * len(scales)
    for part, (name, color) in PARTS.items():
        shares = [100 * one["times"][part] / one["step_seconds"] for one in scales]
        if max(shares) >= 0.1:
            axis.barh(names, shares, left=left, label=name, color=color)
            left = [start + share for start, share in zip(left, shares, strict=True)]
    for number, one in enumerate(scales):
        axis.text(101, number, f"{one['step_seconds']:,.0f} s", va="center")
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("share of a step (%); seconds of a step on the right")
    axis.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.45, -0.2), fontsize=8)
    figure.savefig(target, dpi=150, bbox_inches="tight")


def main() -> None:
    """Print a comparison per run, or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="run directories")
    parser.add_argument("--draw", nargs=2, type=Path, metavar=("JSON", "PNG"))
    words = parser.parse_args()
    for run in words.runs:
        found = check(run)
        print(f"{run}: fitted to steps {found.fitted[0]} to {found.fitted[-1]}, predicting those after them")
        print("\n".join(found.lines()))
        print(f"ratio of a step, simulated / recorded: {found.ratio('step'):.2f}")
    if words.draw:
        source, target = words.draw
        draw(json.loads(source.read_text())["scales"], target)


if __name__ == "__main__":
    main()
