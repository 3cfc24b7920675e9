"""Compare checkpoints on the same rows: what became right, what became wrong, and whether it may be chance.

Two checkpoints answer the same questions, so the rows are paired, and a paired test sees differences that two separate
intervals hide. McNemar's exact test is for rows that stand alone and are right or wrong; Student's test over groups of rows
serves all others. The detectable effect is the difference that as many groups would show four times in five.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from innovator_rl.evaluation.report import cell, main_rows
from innovator_rl.evaluation.statistics import grouped_mean

POWER = 1.959963984540054 + 0.8416212335729143
"""Standard errors between no difference and one that is seen with a power of 80% at the 5% level."""
SHOWN_ROWS = 20

Document = Mapping[str, Any]


@dataclass(frozen=True)
class PairedComparison:
    """Two checkpoints on the rows of one task that both answered.

    Attributes:
        task: The task.
        metric: Its first metric, which the values are of.
        n: Rows that both have.
        difference: Mean of the second minus mean of the first.
        interval: Its 95% interval, Student's over groups of rows.
        p: The two-sided p-value: McNemar's exact one where rows stand alone and are right or wrong, else Student's over groups.
        detectable: The smallest difference that as many groups would show with a power of 80%.
        newly_solved: Rows that only the second has right.
        newly_lost: Rows that only the first has right.
        groups: Groups of rows; as many as rows where each stands alone.
    """

    task: str
    metric: str
    n: int
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    detectable: float | None
    newly_solved: tuple[str, ...]
    newly_lost: tuple[str, ...]
    groups: int = 0


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    Args:
        only_first: Rows that only the first checkpoint has right.
        only_second: Rows that only the second has right.
    """
    n, k = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return 1.0
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)


def paired(
    task: str,
    first: Mapping[str, float],
    second: Mapping[str, float],
    metric: str = "",
    groups: Mapping[str, str] | None = None,
) -> PairedComparison:
    """Compare two checkpoints on one task.

    Args:
        task: Its name.
        first: The value of each row by its id.
        second: The same of the other checkpoint.
        metric: What the values are.
        groups: The group of each row that shares one with others, by the row's id. Rows of a group rise and fall together (the
            same function with other numbers), so a group counts as one.
    """
    ids = sorted(first.keys() & second.keys())
    a, b = np.array([first[i] for i in ids]), np.array([second[i] for i in ids])
    solved = tuple(i for i in ids if second[i] >= 1 > first[i])
    lost = tuple(i for i in ids if first[i] >= 1 > second[i])
    if len(ids) < 2:
        return PairedComparison(
            task, metric, len(ids), float((b - a).mean()) if ids else math.nan, None, None, None, solved, lost
        )
    change = b - a
    grouped = grouped_mean(list(change), [(groups or {}).get(one, "") for one in ids])
    binary = bool(np.isin(np.concatenate([a, b]), (0.0, 1.0)).all())
    alone = grouped.groups == len(ids)
    return PairedComparison(
        task=task,
        metric=metric,
        n=len(ids),
        difference=float(change.mean()),
        interval=grouped.interval,
        p=mcnemar(len(lost), len(solved)) if binary and alone else grouped.p,
        detectable=POWER * grouped.error if grouped.groups > 1 else None,
        newly_solved=solved,
        newly_lost=lost,
        groups=grouped.groups,
    )


def compare(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """Compare every checkpoint with the first one, task by task.

    Returns:
        One object per checkpoint after the first and task, with `first` and `second`, the models' names.
    """
    base = documents[0]
    metrics = {row["task"]: row["metric"] for row in main_rows(base)}
    found = []
    for other in documents[1:]:
        theirs = {row["task"]: row["metric"] for row in main_rows(other)}
        for task, part in base["tasks"].items():
            if part["values"] and other["tasks"].get(task, {}).get("values") and theirs[task] == metrics[task]:
                result = paired(task, part["values"], other["tasks"][task]["values"], metrics[task], part.get("groups"))
                found.append({"first": base["model"], "second": other["model"], **asdict(result)})
    return found


def wins(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """Count on how many tasks each checkpoint is strictly best, and on how many it ties for best.

    The paper gives ties to its own model; here they are counted apart, and `win_rate` is the share of tasks with them.
    """
    tables = [{row["task"]: row["score"] for row in main_rows(document)} for document in documents]
    shared = [task for task in tables[0] if all(table.get(task) is not None for table in tables)]
    counts = [{"model": document["model"], "wins": 0, "ties": 0, "tasks": len(shared)} for document in documents]
    for task in shared:
        best = max(table[task] for table in tables)
        leaders = [place for place, table in enumerate(tables) if table[task] == best]
        for place in leaders:
            counts[place]["wins" if len(leaders) == 1 else "ties"] += 1
    return [{**c, "win_rate": (c["wins"] + c["ties"]) / len(shared) if shared else None} for c in counts]


def markdown(documents: Sequence[Document]) -> str:
    """Return the comparison as Markdown."""
    names = [document["model"] for document in documents]
    tables = [{row["task"]: row for row in main_rows(document)} for document in documents]
    lines = [
        f"# Comparison: {', '.join(names)}",
        "",
        _line(["task", "metric", *names]),
        _line(["---"] * (2 + len(names))),
    ]
    for task, row in tables[0].items():
        lines.append(
            _line([row["title"], row["metric"], *[cell(table[task]) if task in table else "" for table in tables]])
        )
    lines += ["", "Every checkpoint is compared with the first one, on the rows that both answered.", ""]
    lines += [
        _line(
            [
                "task",
                "metric",
                "checkpoint",
                "difference [95%]",
                "p",
                "detectable",
                "newly solved",
                "newly lost",
                "rows",
            ]
        )
    ]
    lines += [_line(["---"] * 9)]
    comparisons = compare(documents)
    lines += [_line(_cells(item)) for item in comparisons]
    lines += ["", _line(["checkpoint", "strictly best", "ties for best", "tasks", "win rate, ties included"])]
    lines += [_line(["---"] * 5), *[_line(_win_cells(item)) for item in wins(documents)]]
    return "\n".join([*lines, "", *_changed(comparisons)]) + "\n"


def _win_cells(item: Mapping[str, Any]) -> list[str]:
    rate = "" if item["win_rate"] is None else f"{100 * item['win_rate']:.1f}"
    return [*(str(item[key]) for key in ("model", "wins", "ties", "tasks")), rate]


def _cells(item: Mapping[str, Any]) -> list[str]:
    interval = item["interval"]
    shown = f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else ""
    detectable = "" if item["detectable"] is None else f"{100 * item['detectable']:.1f}"
    return [
        item["task"],
        item["metric"],
        item["second"],
        f"{100 * item['difference']:+.1f}{shown}",
        "" if item["p"] is None else f"{item['p']:.3f}",
        detectable,
        str(len(item["newly_solved"])),
        str(len(item["newly_lost"])),
        str(item["n"]),
    ]


def _changed(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for item in comparisons:
        for title, key in (("Newly solved", "newly_solved"), ("Newly lost", "newly_lost")):
            rows = item[key]
            if rows:
                more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
                lines.append(f"- {title} by {item['second']} in {item['task']}: {', '.join(rows[:SHOWN_ROWS])}{more}")
    return lines


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
