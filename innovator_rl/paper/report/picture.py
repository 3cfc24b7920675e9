"""Draw what training changed as one SVG: the difference of each task, its interval, and each seed as a dot.

The page's style decides no color here, so that the file can be opened by itself: dark marks on white.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence

from innovator_rl.paper.report.claims import Change, Finding

ROW, LEFT, WIDTH, TOP = 22, 320, 460, 40
COLORS = {"higher": "#1b7f4d", "lower": "#b5483a"}
UNDECIDED = "#555"
STEP = 10
"""Points between two lines of the axis, where the axis has few of them."""


def forest(found: Sequence[Finding]) -> str:
    """Return the picture of all differences; empty without any.

    Args:
        found: What each training changed, in the order to draw.
    """
    changes = [change for finding in found for change in finding.changes]
    if not changes:
        return ""
    edges = [0.0] + [100 * value for change in changes for value in (*(change.interval or ()), *change.seeds)]
    step = STEP * max(1, math.ceil((max(edges) - min(edges)) / (8 * STEP)))
    low, high = step * math.floor(min(edges) / step), step * math.ceil(max(edges) / step)
    scale = WIDTH / max(high - low, step)
    groups = [(finding.compared, section, own) for finding in found for section, own in finding.sections().items()]
    rows = len(changes) + len(groups)
    parts = [_axis(low, high, step, scale, rows)]
    place = 0
    for compared, section, own in groups:
        title = f"{compared.label}, from {compared.start}" + (f": {section}" if section else "")
        parts.append(f'<text x="8" y="{TOP + place * ROW + 15}" font-weight="bold">{html.escape(title)}</text>')
        place += 1
        for change in own:
            parts.append(_row(change, TOP + place * ROW, lambda points: LEFT + (points - low) * scale))
            place += 1
    height = TOP + rows * ROW + 28
    legend = "points; line: 95 % interval; dots: seeds; green: higher, red: lower"
    parts.append(f'<text x="8" y="{height - 8}">{legend}</text>')
    return svg(LEFT + WIDTH + 40, height, "Difference of every task with its interval", parts)


def svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    """Return a picture on white that can be opened by itself.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        label: What the picture shows, for readers that cannot see it.
        parts: Its elements.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{width}" height="{height}" '
        f'font-family="system-ui,sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _row(change: Change, top: float, x: Callable[[float], float]) -> str:
    color = COLORS.get(change.outcome, UNDECIDED)
    middle = top + 11
    name = f"{change.task}: {100 * change.before:.0f} to {100 * change.after:.0f} %"
    parts = [f'<text x="{LEFT - 10}" y="{top + 15}" text-anchor="end">{html.escape(name)}</text>']
    if change.interval:
        first, last = (x(100 * edge) for edge in change.interval)
        parts.append(f'<path d="M{first:.1f} {middle}H{last:.1f}" stroke="{color}" stroke-width="2"/>')
    point = x(100 * (change.after - change.before))
    parts.append(f'<rect x="{point - 4:.1f}" y="{middle - 4}" width="8" height="8" fill="{color}"/>')
    if len(change.seeds) > 1:
        dots = (f'<circle cx="{x(100 * seed):.1f}" cy="{middle + 6}" r="2" fill="#111"/>' for seed in change.seeds)
        parts.extend(dots)
    return "".join(parts)


def _axis(low: int, high: int, step: int, scale: float, rows: int) -> str:
    lines = []
    for points in range(low, high + 1, step):
        x = LEFT + (points - low) * scale
        color = "#111" if points == 0 else "#ddd"
        lines.append(
            f'<path d="M{x:.1f} {TOP - 8}V{TOP + rows * ROW}" stroke="{color}"/>'
            f'<text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle">{f"{points:+d}" if points else "0"}</text>'
        )
    return "".join(lines)
