"""Compute a run's curves, one point per step.

They are of all responses and of each domain, with the trainer's own metrics. Steps that a resumed attempt abandoned are
left out. The figures of each step are kept in the index (`rollouts/step_figures.py`), so that the size of a run matters
little here.
"""

from __future__ import annotations

from typing import Any

from innovator_rl.dashboard.queries.filters import filter_value
from innovator_rl.dashboard.runs.registry import incomplete_steps
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.step_figures import RESPONSE_FIGURES, SERIES, STATUSES
from innovator_rl.runs.metrics import NOT_FINITE
from innovator_rl.runs.reading import as_number

GROUP_BY = SERIES
MOST_SERIES = 40
MOST_TERMS = 40
WHOLE, EMPTY = "all", "none"
RENAMED = {"kept_groups": "kept"}
"""Columns of the index whose name in the API differs."""
POINTS = (*RESPONSE_FIGURES, "groups", *STATUSES)

Row = dict[str, Any]


def curves(session: RunSession, kind: str, by: str) -> Row:
    """Return the curves of one kind of rollouts, grouped by a column."""
    if by not in GROUP_BY:
        raise RequestError(f"by={by[:40]}: must be one of {', '.join(GROUP_BY)}")
    session.index.aggregate()
    parts = ("rollouts", "words", "metrics", "status")
    return session.cached(("curves", kind, by), parts, lambda: _curves(session, kind, by))


def _curves(session: RunSession, kind: str, by: str) -> Row:
    rows = session.index.query(
        "SELECT * FROM step_figures WHERE kind = ? AND by_column IN ('all', ?) ORDER BY step", [kind, by]
    )
    found: dict[str, dict[int, Row]] = {}
    named = _series_names({str(row["series"]) for row in rows if row["by_column"] != WHOLE}, by)
    for row in rows:
        point = {RENAMED.get(name, name): value for name, value in row.items()}
        series = None if row["by_column"] == WHOLE else str(row["series"])
        name = WHOLE if series is None else named[series]
        found.setdefault(name, {})[row["step"]] = {**point, "value": filter_value(series)}
    metrics = {line["step"]: line for line in session.metrics()} if kind == "train" else {}
    steps = sorted({row["step"] for row in rows} | set(metrics))
    names = sorted(found, key=lambda name: (name != WHOLE, -sum(r.get("responses", 0) for r in found[name].values())))
    listed = [
        {
            "name": name,
            "value": None if name == WHOLE else next(iter(found[name].values()))["value"],
            "points": {point: [found[name].get(step, {}).get(point) for step in steps] for point in POINTS},
        }
        for name in names[:MOST_SERIES]
    ]
    numeric = sorted(
        {key for line in metrics.values() for key, value in line.items() if "/" in key and as_number(value) is not None}
    )
    values = {key: [as_number(metrics[s].get(key)) if s in metrics else None for s in steps] for key in numeric}
    lost = {step: line[NOT_FINITE] for step, line in metrics.items() if line.get(NOT_FINITE)}
    return {
        "kind": kind,
        "by": by,
        "steps": steps,
        "incomplete": incomplete_steps([row for row in rows if row["by_column"] == WHOLE]) if kind == "train" else [],
        "series": listed,
        "terms": _terms(session, kind, steps),
        "metrics": values,
        "not_finite": [{"step": step, "metrics": names} for step, names in sorted(lost.items())],
        "superseded": _superseded(session, kind),
    }


def _series_names(series: set[str], by: str) -> dict[str, str]:
    """Return the name of each series, unlike that of any other: a domain can be called `all` or `none`."""
    taken = {WHOLE, *series}
    names = {value: value for value in series if value not in ("", WHOLE)}
    for value in sorted(series - set(names)):
        plain = by.replace("_", " ")
        wanted = [f"{value} ({plain})"] if value else [EMPTY, f"no {plain}"]
        name = next((one for one in wanted if one not in taken), wanted[-1])
        while name in taken:
            name = f"{name}'"
        names[value] = name
        taken.add(name)
    return names


def _terms(session: RunSession, kind: str, steps: list[int]) -> dict[str, list[float | None]]:
    """Return the mean contribution of each term of the reward, by step; the largest terms first."""
    found: dict[str, dict[int, float]] = {}
    for row in session.index.query("SELECT step, name, mean FROM term_figures WHERE kind = ?", [kind]):
        found.setdefault(row["name"], {})[row["step"]] = row["mean"]
    largest = sorted(found, key=lambda name: -max(map(abs, found[name].values())))
    return {name: [found[name].get(step) for step in steps] for name in largest[:MOST_TERMS]}


def _superseded(session: RunSession, kind: str) -> list[Row]:
    return session.index.query(
        "SELECT attempt, list(DISTINCT step ORDER BY step) AS steps, sum(samples)::BIGINT AS responses FROM all_groups "
        "WHERE superseded AND kind = ? GROUP BY attempt ORDER BY attempt",
        [kind],
    )
