"""Export a run, or a part of it, as a ZIP of plain HTML.

It opens from disk without server or script.

It contains an index with the curves and the alerts, and one page per group with all its responses. Model text is escaped.
"""

from __future__ import annotations

import html
import io
import zipfile
from collections.abc import Iterator
from typing import Any

from innovator_rl.dashboard.queries.curves import curves
from innovator_rl.dashboard.queries.filters import Filters
from innovator_rl.dashboard.queries.response import group_answer
from innovator_rl.dashboard.runs.labels import Labels
from innovator_rl.dashboard.runs.run_session import RunSession

MOST_GROUPS = 200
RESPONSE_CHARS = 50_000
CHARTS = (
    ("reward", "Reward"),
    ("accuracy", "Accuracy"),
    ("length", "Response tokens"),
    ("truncated", "Truncated"),
    ("entropy", "Entropy"),
)
COLORS = ("#1f4e79", "#b3541e", "#2e7d32", "#7b1fa2", "#00838f", "#ad1457", "#5d4037", "#455a64")
STYLE = """
:root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 1rem auto; padding: 0 1rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8888; padding: .5rem; border-radius: 4px }
table { border-collapse: collapse }
td, th { padding: .2rem .6rem; text-align: left; border-bottom: 1px solid #8884 }
.number { text-align: right }
figure { display: inline-block; margin: 0 1rem 1rem 0 } svg { max-width: 100%; height: auto } .key { margin-right: 1rem }
"""
CSP = "default-src 'none'; style-src 'unsafe-inline'"

Row = dict[str, Any]


def static_site(session: RunSession, labels: Labels, filters: Filters, alerts: list[Row]) -> Iterator[bytes]:
    """Yield the bytes of the ZIP, group by group."""
    rows = session.index.query(
        f"""SELECT DISTINCT g.kind, g.step, g.prompt_uid AS uid, g.domain, g.samples, g.correct, g.reward_mean, g.status, g.rid
            FROM all_groups g SEMI JOIN (SELECT step AS s, kind AS k, prompt_uid AS u FROM {filters.table} WHERE {filters.where}) r
            ON (g.step, g.kind, g.prompt_uid) = (s, k, u) ORDER BY g.step, g.rid LIMIT {MOST_GROUPS + 1}""",
        filters.values,
    )
    folder = f"{session.run.name}/"
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        shown = rows[:MOST_GROUPS]
        archive.writestr(folder + "index.html", _index(session, filters, shown, len(rows) > MOST_GROUPS, alerts))
        for i, row in enumerate(shown):
            group = group_answer(session, labels, row["kind"], row["step"], row["uid"], RESPONSE_CHARS)
            archive.writestr(f"{folder}group-{i:03d}.html", _group(group, session.run.name))
            yield buffer.take()
    yield buffer.take()


class _Buffer(io.RawIOBase):
    """A write-only file whose bytes are taken away.

    `zipfile` writes such a file without seeking.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Append bytes."""
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def take(self) -> bytes:
        """Return the bytes written since the last call."""
        taken, self._parts = b"".join(self._parts), []
        return taken


def _page(title: str, body: str) -> str:
    policy = f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
    head = f'<meta charset="utf-8">{policy}<meta name="viewport" content="width=device-width"><title>{_text(title)}</title>'
    body = f"<body><main>{body}</main></body>"
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head>{body}</html>'


def _text(value: Any) -> str:
    """Return escaped text.

    Control characters are replaced, because a browser would hide or obey them.
    """
    if isinstance(value, float):
        value = f"{value:.4g}"
    plain = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for c in ("" if value is None else str(value))
    )
    return html.escape(plain)


def _index(session: RunSession, filters: Filters, rows: list[Row], more: bool, alerts: list[Row]) -> str:
    found = curves(session, filters.kind, "domain")
    charts = "".join(chart(found["steps"], found["series"], key, title) for key, title in CHARTS)
    listed = "".join(
        f'<tr><td><a href="group-{i:03d}.html">step {row["step"]}</a></td>'
        + "".join(f"<td>{_text(cell)}</td>" for cell in _cells(row))
        + "</tr>"
        for i, row in enumerate(rows)
    )
    warned = "".join(
        f"<li>{_text(a['title'])}: {_text(a['value'])} ({_text(a['rule'])}, {_text(a['threshold'])})</li>"
        for a in alerts
    )
    state = session.run.state()
    about = f"{state.status}, step {state.step} of {state.total_steps or 'an unknown number'}. {state.detail}"
    header = "".join(f"<th>{name}</th>" for name in ("Group", "Domain", "Correct", "Reward", "Status"))
    body = f"<h1>{_text(session.run.name)}</h1><p>{_text(about)}</p>"
    body += f"<h2>Alerts</h2><ul>{warned or '<li>none</li>'}</ul><h2>Curves</h2>{charts}<h2>Groups</h2>"
    body += f"<p>Only the first {MOST_GROUPS} groups are included.</p>" if more else ""
    body += f"<table><thead><tr>{header}</tr></thead><tbody>{listed}</tbody></table>"
    return _page(session.run.name, body)


def _cells(row: Row) -> tuple[Any, ...]:
    return row["domain"], f"{row['correct']}/{row['samples']}", row["reward_mean"], row["status"]


def _group(group: Row, run: str) -> str:
    about = group["group"]
    body = f'<p><a href="index.html">{_text(run)}</a></p><h1>Step {about["step"]}, {_text(about["domain"])}</h1>'
    body += f"<h2>Prompt</h2><pre>{_text(group['prompt'])}</pre><h2>Reference answer</h2><pre>{_text(group['answer'])}</pre>"
    for row in group["responses"]:
        facts = {
            "reward": row["reward"],
            "correct": row["correct"],
            "reason": row["reason"],
            "extracted": row["extracted"],
        }
        facts |= {
            "advantage": row["advantage"],
            "tokens": row["response_tokens"],
            "finish": row["finish_reason"],
            "labels": ", ".join(row["labels"]),
        }
        facts |= {f"term {term['name']}": term["value"] for term in row["terms"]}
        cells = "".join(
            f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>"
            for name, value in facts.items()
            if value not in (None, "")
        )
        cut = row["response_chars"] - len(row["response"])
        tail = f"<p>{cut} more characters.</p>" if cut > 0 else ""
        body += (
            f"<h2>Response {row['sample_index']}</h2><table>{cells}</table><pre>{_text(row['response'])}</pre>{tail}"
        )
    return _page(f"{run}, step {about['step']}", body)


def chart(steps: list[int], series: list[Row], key: str, title: str) -> str:
    """Return a figure with one line per series as inline SVG.

    Empty where nothing was measured.
    """
    lines = [
        (s["name"], [(x, y) for x, y in zip(steps, s["points"][key], strict=True) if y is not None]) for s in series
    ]
    lines = [(name, points) for name, points in lines if points][: len(COLORS)]
    if not lines:
        return ""
    xs, ys = [x for _, p in lines for x, _ in p], [y for _, p in lines for _, y in p]
    (x0, x1), (y0, y1) = (min(xs), max(xs)), (min(ys), max(ys))

    def at(x: float, y: float) -> str:
        return f"{50 + 340 * (x - x0) / ((x1 - x0) or 1):.1f},{180 - 160 * (y - y0) / ((y1 - y0) or 1):.1f}"

    drawn = "".join(
        f'<polyline fill="none" stroke="{COLORS[i]}" stroke-width="2" points="{" ".join(at(x, y) for x, y in points)}"/>'
        for i, (_, points) in enumerate(lines)
    )
    axes = '<path d="M50 20V180H390" fill="none" stroke="currentColor"/>' + "".join(
        f'<text x="{x}" y="{y}" font-size="11" fill="currentColor" text-anchor="{anchor}">{_text(value)}</text>'
        for x, y, anchor, value in (
            (46, 26, "end", float(y1)),
            (46, 182, "end", float(y0)),
            (50, 195, "start", x0),
            (390, 195, "end", x1),
        )
    )
    keys = "".join(
        f'<span class="key" style="color:{COLORS[i]}">{_text(name)}</span>' for i, (name, _) in enumerate(lines)
    )
    svg = f'<svg viewBox="0 0 400 200" width="400" height="200" role="img" aria-label="{_text(title)} by step">{axes}{drawn}</svg>'
    return f"<figure><figcaption>{_text(title)}</figcaption>{svg}<div>{keys}</div></figure>"
