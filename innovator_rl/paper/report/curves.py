"""Draw how often the samples of each arm were right, over its steps: one panel per arm, one line per task.

A step asks tens of questions per task, so a line pools the samples of several steps and of all seeds; a dot is one seed. All
samples of training questions count, those of dropped groups too.
The questions change from step to step. What training changed on questions that it never saw is in `picture.py`.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from innovator_rl.paper.config import PaperConfig
from innovator_rl.paper.plan import run_name
from innovator_rl.paper.report.picture import svg
from innovator_rl.runs.run_dir import RunDir

CURVES_PICTURE = "learning.svg"
POOLED = 5
"""Steps whose samples one point pools."""

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#555")
LEFT, WIDTH, HEIGHT, TOP, GAP, LABELS, LINE = 48, 460, 150, 34, 62, 190, 14

Point = tuple[float, float]
"""The mean step of the pooled samples, and the share of them that is right."""


@dataclass(frozen=True)
class Panel:
    """One arm.

    Attributes:
        title: The arm and the model that it started from.
        steps: Steps of its longest run.
        lines: Task -> points over all seeds.
        dots: Task -> points of every single seed; empty with one seed.
    """

    title: str
    steps: int
    lines: Mapping[str, Sequence[Point]]
    dots: Mapping[str, Sequence[Point]]


def panels(config: PaperConfig) -> list[Panel]:
    """Read the arms whose runs recorded samples by task."""
    found = []
    for arm in config.learning.arms if config.learning else ():
        names = [run_name(config, f"{arm.name}-{seed}") for seed in arm.seeds]
        seeds = [rows for name in names if (rows := RunDir(config.runs_dir / name).metrics())]
        tasks = sorted({task for rows in seeds for row in rows for task in _tasks(row)})
        if tasks:
            steps = max(int(row["step"]) for rows in seeds for row in rows)
            lines = {task: pooled([row for rows in seeds for row in rows], task) for task in tasks}
            several = seeds if len(seeds) > 1 else []
            dots = {task: [point for rows in several for point in pooled(rows, task)] for task in tasks}
            found.append(Panel(f"{arm.name}, from {arm.model}", steps, lines, dots))
    return found


def pooled(rows: Sequence[Mapping[str, Any]], task: str) -> list[Point]:
    """Return the share of right samples among the scored ones of a task, over `POOLED` steps at a time.

    Args:
        rows: The metrics of steps, of one or more runs.
        task: The task.
    """
    sums: dict[int, list[float]] = {}
    for row in rows:
        n = float(row.get(f"source/{task}/responses") or 0) * (1 - float(row.get(f"source/{task}/unscored") or 0))
        correct = row.get(f"source/{task}/correct")
        if n and isinstance(correct, (int, float)):
            one = sums.setdefault((int(row["step"]) - 1) // POOLED, [0.0, 0.0, 0.0])
            for place, value in enumerate((n, n * float(correct), n * int(row["step"]))):
                one[place] += value
    return [(steps / n, right / n) for _, (n, right, steps) in sorted(sums.items())]


def curves(found: Sequence[Panel]) -> str:
    """Return the picture of all arms; empty without any.

    Args:
        found: The panels, in the order to draw.
    """
    if not found:
        return ""
    parts: list[str] = []
    top = float(TOP)
    for panel in found:
        height = max(HEIGHT, LINE * len(panel.lines))
        parts += _panel(panel, top, height)
        top += height + GAP
    legend = f"share of samples that are right, %, by step; lines pool {POOLED} steps of all seeds so far, dots are single seeds"
    parts.append(f'<text x="8" y="{top}">{legend}</text>')
    return svg(LEFT + WIDTH + LABELS, top + 8, "Share of right samples of every arm by step", parts)


def _panel(panel: Panel, top: float, height: float) -> list[str]:
    def place(point: Point) -> tuple[float, float]:
        return round(LEFT + point[0] / max(panel.steps, 1) * WIDTH, 1), round(top + height * (1 - point[1]), 1)

    parts = [f'<text x="8" y="{top - 14}" font-weight="bold">{html.escape(panel.title)}</text>']
    for share in (0, 25, 50, 75, 100):
        y = top + height * (1 - share / 100)
        parts.append(f'<path d="M{LEFT} {y}H{LEFT + WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{share}</text>')
    for step in range(0, panel.steps + 1, POOLED * max(1, panel.steps // (8 * POOLED))):
        x = LEFT + step / max(panel.steps, 1) * WIDTH
        parts.append(f'<text x="{x:.1f}" y="{top + height + 16}" text-anchor="middle">{step}</text>')
    ends = []
    for color, (task, line) in zip(itertools.cycle(COLORS), panel.lines.items(), strict=False):
        if not line:
            continue
        dots = [place(point) for point in panel.dots[task]]
        parts += [f'<circle cx="{x}" cy="{y}" r="2" fill="{color}" fill-opacity=".45"/>' for x, y in dots]
        points = [place(point) for point in line]
        path = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>' for x, y in points]
        ends.append((points[-1][1], f"{task} {100 * line[0][1]:.0f} to {100 * line[-1][1]:.0f}", color))
    ends.sort()
    for y, (_, words, color) in zip(spread([y for y, _, _ in ends], top + height), ends, strict=True):
        parts.append(f'<text x="{LEFT + WIDTH + 8}" y="{y + 4:.1f}" fill="{color}">{html.escape(words)}</text>')
    return parts


def spread(places: Sequence[float], last: float) -> list[float]:
    """Move labels apart so that none touches another or lies below `last`.

    Args:
        places: Where the labels belong, from top to bottom.
        last: The lowest place of a label.
    """
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + LINE) if found else place)
    for number in reversed(range(len(found))):
        found[number] = min(found[number], last - LINE * (len(found) - 1 - number))
    return found


def _tasks(row: Mapping[str, Any]) -> list[str]:
    """Return the tasks that a step recorded samples of."""
    first, last = "source/", "/responses"
    return [key[len(first) : -len(last)] for key in row if key.startswith(first) and key.endswith(last)]
