"""Write the report of an evaluation as Markdown and HTML.

Both are written from the JSON document of the evaluation, so a report can be made again from a run directory alone.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


def cell(row: Mapping[str, Any]) -> str:
    """Return a score with its interval: percent for shares, else the number."""
    if row["skipped"] is not None:
        return "skipped"
    if row["score"] is None:
        return "no response was scored"
    scale = 100 if row.get("share", True) else 1
    text = f"{row['score'] * scale:.1f}"
    if row["interval"]:
        text += f" [{row['interval'][0] * scale:.1f}, {row['interval'][1] * scale:.1f}]"
    return text


def constant_cell(row: Mapping[str, Any]) -> str:
    """Return the score of the best constant answer, in the unit of `cell`."""
    value = row.get("constant")
    return "" if value is None else f"{value * (100 if row.get('share', True) else 1):.1f}"


def main_rows(document: Document) -> list[dict[str, Any]]:
    """Return the first metric of each task, and the skipped tasks."""
    return [row for row in document["rows"] if row["skipped"] is not None or row.get("main")]


def averages(document: Document) -> list[tuple[str, float, int, int]]:
    """Return name, plain mean in percent, tasks measured and tasks in all, of each average of the suite.

    The paper averages tasks and not rows, so a task of 15 rows counts as much as one of 1,132.
    """
    names = list(dict.fromkeys(document["averages"].values()))
    rows = {row["task"]: row for row in main_rows(document)}
    found = []
    for name in names:
        members = [task for task, average in document["averages"].items() if average == name]
        scores = [rows[task]["score"] for task in members if rows[task]["score"] is not None]
        if scores:
            found.append((name, 100 * sum(scores) / len(scores), len(scores), len(members)))
    return found


def markdown(document: Document) -> str:
    """Return the report as Markdown."""
    columns = list(document["columns"])
    lines = [f"# {document['title'] or document['suite']}: {document['model']}", ""]
    if document["suite_note"]:
        lines += [document["suite_note"], ""]
    lines += _limit_note(document)
    header = ["task", "metric", "score [95% interval]", "best constant", "rows", *columns, "same protocol", "notes"]
    lines += [_line(header), _line(["---"] * len(header))]
    section = ""
    for row in main_rows(document):
        if row["section"] and row["section"] != section:
            section = row["section"]
            lines.append(_line([f"**{section}**", *[""] * (len(header) - 1)]))
        paper = [f"{row['paper'][name]:.1f}" if name in row["paper"] else "" for name in columns]
        lines.append(
            _line(
                [
                    row["title"],
                    row["metric"],
                    cell(row),
                    constant_cell(row),
                    str(row["n"] or ""),
                    *paper,
                    row["same_protocol"],
                    _notes(row, document),
                ]
            )
        )
    for name, score, measured, total in averages(document):
        lines.append(
            _line(
                [
                    f"**Average: {name}**",
                    "mean of tasks",
                    f"{score:.1f}",
                    "",
                    f"{measured} of {total} tasks",
                    *[""] * (len(columns) + 2),
                ]
            )
        )
    return "\n".join([*lines, "", *_other_metrics(document), *_skipped(document), *_footer(document)]) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in cells) + " |"


def _limit_note(document: Document) -> list[str]:
    if not any(_drawn(task) for task in document["tasks"].values()):
        return []
    return [
        f"**Rows were drawn at random** (seed {document['footer'].get('seed')}) where the notes give two numbers of rows: "
        "an estimate, not the score of the whole set. The intervals say how far it may be off.",
        "",
    ]


def _drawn(task: Mapping[str, Any]) -> bool:
    return int(task.get("rows", 0)) < int(task.get("whole", 0))


def _notes(row: Mapping[str, Any], document: Document) -> str:
    if row["skipped"] is not None:
        return "skipped"
    task = document["tasks"].get(row["task"], {})
    facts = task.get("facts", {})
    notes = [note for note in (row["note"], facts.get("remark")) if note]
    if _drawn(task):
        notes.append(f"{task['rows']:,} of {task['whole']:,} rows drawn")
    if facts.get("truncated"):
        bound = f" of {task['new_tokens']:,} tokens" if task.get("new_tokens") else ""
        notes.append(f"{facts['truncated']} of {facts['responses']} responses cut at the limit{bound}")
    unscored = (facts.get("abstained") or 0) + (facts.get("errors") or 0)
    if unscored:
        notes.append(f"{unscored} responses unscored")
    if facts.get("left_out"):
        notes.append(f"{facts['left_out']} rows without a question or an answer left out")
    if facts.get("missing_subsets"):
        notes.append(f"without {', '.join(facts['missing_subsets'])}")
    if facts.get("format"):
        notes.append(f"{facts['format']} prompt" + (f", {facts['shots']} examples" if "shots" in facts else ""))
    return "; ".join(notes)


def _other_metrics(document: Document) -> list[str]:
    others = [row for row in document["rows"] if row["skipped"] is None and not row.get("main")]
    if not others:
        return []
    lines = ["## Further metrics", "", _line(["task", "metric", "score [95% interval]", "rows"]), _line(["---"] * 4)]
    return [*lines, *[_line([row["title"], row["metric"], cell(row), str(row["n"])]) for row in others], ""]


def _skipped(document: Document) -> list[str]:
    rows = [row for row in document["rows"] if row["skipped"] is not None]
    if not rows:
        return []
    return ["## Skipped", "", *[f"- {row['title']} (`{row['task']}`): {row['skipped']}" for row in rows], ""]


INTERVALS = (
    "- intervals: 95%; Wilson's for shares of rows, else 2,000 bootstrap samples of rows; where rows share groups, Student's over "
    "groups, and Wilson's over groups for a score of 0 or 100"
)


def _footer(document: Document) -> list[str]:
    footer = document["footer"]
    lines = ["## How it was measured", ""]
    for key, value in footer.items():
        if value is None:  # no limit; no speed where every response came from the store
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {part}" for name, part in value.items()) or "none"
        lines.append(f"- {key.replace('_', ' ')}: {value}")
    lines.append(
        "- best constant: the score of the same answer to every row; empty where no answer is that of two rows"
    )
    return [*lines, INTERVALS, ""]


def html_page(document: Document) -> str:
    """Return the report as one HTML page without outside parts."""
    from innovator_rl.evaluation.picture import bars

    title = html.escape(f"{document['title'] or document['suite']}: {document['model']}")
    columns = list(document["columns"])
    head = "".join(
        f"<th>{html.escape(name)}</th>"
        for name in ["task", "metric", "score [95%]", "best constant", "rows", *columns, "same protocol", "notes"]
    )
    body, section = [], ""
    for row in main_rows(document):
        if row["section"] and row["section"] != section:
            section = row["section"]
            body.append(f'<tr><th colspan="{7 + len(columns)}" class="section">{html.escape(section)}</th></tr>')
        paper = [f"{row['paper'][name]:.1f}" if name in row["paper"] else "" for name in columns]
        note = f"skipped: {row['skipped']}" if row["skipped"] is not None else _notes(row, document)
        n = str(row["n"] or "")
        cells = [row["title"], row["metric"], cell(row), constant_cell(row), n, *paper, row["same_protocol"], note]
        body.append("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in cells) + "</tr>")
    for name, score, measured, total in averages(document):
        text = f"Average: {name}: {score:.1f} over {measured} of {total} tasks"
        body.append(f'<tr><th colspan="{7 + len(columns)}">{html.escape(text)}</th></tr>')
    rest = "\n".join([*_limit_note(document), *_other_metrics(document), *_footer(document)])
    style = (
        "body{font:15px/1.45 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}"
        "td,th{padding:.3rem .6rem;border-bottom:1px solid #ccc;text-align:left;vertical-align:top}.section{background:#f2f2f2}"
        "pre{white-space:pre-wrap;background:#f6f6f6;padding:1rem}"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head><body>'
        f"<h1>{title}</h1><p>{html.escape(document['suite_note'])}</p>{bars(document)}<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table><pre>{html.escape(rest)}</pre></body></html>\n"
    )
