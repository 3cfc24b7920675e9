"""Draw the scores of an evaluation as one SVG: a bar per task, its interval, and the paper's number as a mark."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

ROW, LEFT, WIDTH = 26, 240, 520


def bars(document: Mapping[str, Any]) -> str:
    """Return the picture of the tasks that were measured as a share; empty without any."""
    rows = [row for row in document["rows"] if row["score"] is not None and row.get("main") and row.get("share")]
    if not rows:
        return ""
    column = next(iter(document["columns"]), "")
    parts = [_axis(len(rows))]
    for place, row in enumerate(rows):
        top = 24 + place * ROW
        parts.append(f'<text x="{LEFT - 8}" y="{top + 14}" text-anchor="end">{html.escape(row["title"][:36])}</text>')
        parts.append(f'<rect x="{LEFT}" y="{top + 3}" width="{row["score"] * WIDTH:.1f}" height="14" fill="#3a78b5"/>')
        if row["interval"]:
            low, high = (LEFT + edge * WIDTH for edge in row["interval"])
            parts.append(f'<path d="M{low:.1f} {top + 10}H{high:.1f}" stroke="#111" stroke-width="1.5"/>')
        if row.get("constant") is not None:
            mark = LEFT + row["constant"] * WIDTH
            parts.append(
                f'<path d="M{mark:.1f} {top}V{top + 20}" stroke="#777" stroke-width="2" stroke-dasharray="3 2"/>'
            )
        if column in row["paper"]:
            mark = LEFT + row["paper"][column] / 100 * WIDTH
            parts.append(f'<path d="M{mark:.1f} {top}V{top + 20}" stroke="#b5483a" stroke-width="2.5"/>')
    legend = "score with 95% interval; dashed: best constant answer" + (
        f"; red: {column} in the paper" if column else ""
    )
    height = 24 + len(rows) * ROW + 24
    parts.append(f'<text x="{LEFT}" y="{height - 6}">{html.escape(legend)}</text>')
    style = 'font-family="system-ui,sans-serif" font-size="12"'
    label = "Scores by task with intervals"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{LEFT + WIDTH + 30}" '
        f'height="{height}" {style}>{"".join(parts)}</svg>'
    )


def _axis(rows: int) -> str:
    lines = []
    for percent in (0, 25, 50, 75, 100):
        x = LEFT + percent / 100 * WIDTH
        lines.append(
            f'<path d="M{x} 18V{24 + rows * ROW}" stroke="#ddd"/><text x="{x}" y="14" text-anchor="middle">{percent}</text>'
        )
    return "".join(lines)
