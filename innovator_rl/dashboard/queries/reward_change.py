"""Split the change of the mean reward between two ranges of steps into what explains it.

The responses are grouped by a property (data source, domain, length, truncation, correctness). With shares w and means r
before (1) and after (2), the change of a mean is exactly

    sum of (w1 + w2) / 2 * (r2 - r1)              within: the same kind of response is rewarded differently
  + sum of (w2 - w1) * ((r1 + r2) / 2 - R)        mix: there is more or less of a kind (R: the mean of both means)

so each table of this module sums to the change. Terms of the reward are split by their own means. Every row has the
filters of its responses, and a few of them as examples. Only scored responses with a finite reward count.

Whether the change is more than chance follows from its 95 % interval. The responses of a prompt are alike, so prompts and not
responses count as independent draws; a prompt that both ranges have is compared with itself.
"""

from __future__ import annotations

import math
from typing import Any

from innovator_rl.dashboard.queries.filters import Filters, Parameters, check_names, filter_value, one, read_filters
from innovator_rl.dashboard.queries.rollouts import by_rid, shown
from innovator_rl.dashboard.queries.step_diff import OnlySteps, compare_steps
from innovator_rl.dashboard.runs.labels import Labels
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.step_figures import FINITE

EXAMPLES = 3
MOST_ROWS = 30
LENGTH_PARTS = 4
PENALTY, WHOLE_SCORE = "overlong_penalty", "score_without_terms"
ROUNDING = 1e-6  # rewards are kept in single precision
WEIGHTED = "t.value * coalesce(t.weight, 1)"
SCORE = "(reward - coalesce(overlong_penalty, 0))"
ITEMIZED = f"""coalesce(abs(list_sum(list_transform(terms, lambda t: {WEIGHTED})) - {SCORE}) <= 1e-4 * greatest(1, abs({SCORE})),
    false)"""
"""Whether the terms of a response add up to its score."""
PARTS = f"""CASE WHEN {ITEMIZED} THEN list_transform(terms, lambda t: {{'name': t.name, 'value': {WEIGHTED}}})
    ELSE [{{'name': '{WHOLE_SCORE}', 'value': {SCORE}::DOUBLE}}] END
    || [{{'name': '{PENALTY}', 'value': coalesce(overlong_penalty, 0)::DOUBLE}}]"""
FEWEST_PROMPTS = 5  # with fewer, an interval says little
NORMAL_95 = 1.96

Row = dict[str, Any]


def reward_change(session: RunSession, labels: Labels, parameters: Parameters) -> Row:
    """Return the change of the mean reward between `step` and `step2`, and its parts."""
    check_names(parameters, ("step", "step2", "kind"))
    kind, first, second = (one(parameters, name, "") for name in ("kind", "step", "step2"))
    if not first or not second:
        raise RequestError("step and step2 must be given, each a step or a range of steps")
    kind = kind or "train"
    sides = [read_filters(OnlySteps(kind, step)) for step in (first, second)]
    means = [_means(session, side) for side in sides]
    for mean, step in zip(means, (first, second), strict=True):
        if mean["reward"] is None:
            raise RequestError(f"step={step[:40]}: no scored response is recorded there", 404)
    change = means[1]["reward"] - means[0]["reward"]
    return {
        "kind": kind,
        "from": {"step": first, **means[0]},
        "to": {"step": second, **means[1]},
        "change": change,
        "interval": _interval(session, sides, means),
        "terms": _terms(session, labels, sides, change, kind, second),
        "splits": [_split(session, labels, sides, name, kind, second) for name in ("data_source", "domain")]
        + [_lengths(session, labels, sides, kind, second)]
        + [_split(session, labels, sides, name, kind, second) for name in ("truncated", "correct")],
        "prompts": _prompts(session, kind, first, second),
    }


def _means(session: RunSession, side: Filters) -> Row:
    return session.index.query(
        f"""SELECT count(*) AS responses, avg(reward) AS reward, avg(coalesce(correct, false)::INT) AS accuracy,
                   avg(response_tokens) AS length, avg(coalesce(truncated, false)::INT) AS truncated
            FROM responses WHERE {side.where} AND {FINITE}""",
        side.values,
    )[0]


def _interval(session: RunSession, sides: list[Filters], means: list[Row]) -> Row | None:
    """Return the 95 % interval of the change; None with too few prompts.

    It is the variance of a difference of two means with clusters (Liang and Zeger 1986): a prompt's responses deviate from their
    mean together.
    """
    parts = " UNION ALL ".join(
        f"""SELECT coalesce(nullif(prompt_id, ''), prompt_uid) AS prompt, {sign} * sum(reward - ?) / ? AS part
            FROM responses WHERE {side.where} AND {FINITE} GROUP BY 1"""
        for sign, side in zip((-1, 1), sides, strict=True)
    )
    values = [
        value
        for side, mean in zip(sides, means, strict=True)
        for value in (mean["reward"], mean["responses"], *side.values)
    ]
    found = session.index.query(
        f"SELECT count(*) AS n, sum(part * part) AS v FROM (SELECT sum(part) AS part FROM ({parts}) GROUP BY prompt)",
        values,
    )[0]
    if found["n"] < FEWEST_PROMPTS:
        return None
    change = means[1]["reward"] - means[0]["reward"]
    half = NORMAL_95 * math.sqrt(found["v"] * found["n"] / (found["n"] - 1))
    return {"low": change - half, "high": change + half, "prompts": found["n"]}


def _groups(session: RunSession, side: Filters, expression: str) -> dict[str, Row]:
    rows = session.index.query(
        f"""SELECT {expression} AS value, count(*) AS n, avg(reward) AS reward FROM responses
            WHERE {side.where} AND {FINITE} GROUP BY 1""",
        side.values,
    )
    return {row["value"]: row for row in rows}


def _split(
    session: RunSession,
    labels: Labels,
    sides: list[Filters],
    name: str,
    kind: str,
    step: str,
    expression: str = "",
    queries: dict[str, Row] | None = None,
) -> Row:
    """Split the change by the values of one property; the parts sum to the change."""
    expression = expression or (
        f"coalesce({name}, '')"
        if name in ("data_source", "domain")
        else f"CASE WHEN coalesce({name}, false) THEN 'true' ELSE 'false' END"
    )
    before, after = (_groups(session, side, expression) for side in sides)
    totals = [sum(row["n"] for row in side.values()) for side in (before, after)]
    overall = [
        sum(row["n"] * row["reward"] for row in side.values()) / total
        for side, total in zip((before, after), totals, strict=True)
    ]
    rows = []
    for value in {**before, **after}:
        shares = [
            side[value]["n"] / total if value in side else 0.0
            for side, total in zip((before, after), totals, strict=True)
        ]
        known = [side[value]["reward"] if value in side else None for side in (before, after)]
        start, end = (
            float(mean if mean is not None else other or 0.0)
            for mean, other in zip(known, reversed(known), strict=True)
        )
        within = sum(shares) / 2 * (end - start)
        mix = (shares[1] - shares[0]) * ((start + end) / 2 - sum(overall) / 2)
        query = (queries or {}).get(value) or {name: filter_value(value)}
        rows.append(
            {
                "value": value,
                "share": {"from": shares[0], "to": shares[1]},
                "reward": {"from": known[0], "to": known[1]},
                "within": within,
                "mix": mix,
                "query": {"kind": kind, "step": step, **query},
            }
        )
    rows.sort(key=lambda row: -abs(row["within"] + row["mix"]))
    for row in rows[:LENGTH_PARTS]:
        order = "reward DESC" if row["within"] + row["mix"] >= 0 else "reward ASC"
        condition = f"{expression} = ?"
        row["examples"] = _examples(session, labels, sides[1], condition, [row["value"]], order)
    return {
        "by": name,
        "within": sum(row["within"] for row in rows),
        "mix": sum(row["mix"] for row in rows),
        "rows": [{"examples": [], **row} for row in rows[:MOST_ROWS]],
    }


def _lengths(session: RunSession, labels: Labels, sides: list[Filters], kind: str, step: str) -> Row:
    """Split the change by quarters of the length of the responses of both sides."""
    lengths = ", ".join(str(part / LENGTH_PARTS) for part in range(1, LENGTH_PARTS))
    cuts = session.index.query(
        f"""SELECT quantile_disc(response_tokens, [{lengths}]) AS cuts FROM responses
            WHERE (({sides[0].where}) OR ({sides[1].where})) AND {FINITE}""",
        [*sides[0].values, *sides[1].values],
    )[0]["cuts"]
    edges = sorted({int(cut) for cut in cuts or []})
    queries: dict[str, Row] = {}
    cases = []
    low: int | None = None
    for high in [*edges, None]:
        name = (
            f"up to {high} tokens"
            if low is None and high is not None
            else f"over {low} tokens"
            if high is None
            else f"{(low or 0) + 1} to {high} tokens"
        )
        if low is None and high is None:
            name = "any length"
        queries[name] = {
            **({"tokens_min": (low or 0) + 1} if low is not None else {}),
            **({"tokens_max": high} if high is not None else {}),
        }
        cases.append(f"WHEN response_tokens <= {high} THEN '{name}'" if high is not None else f"ELSE '{name}'")
        low = high
    expression = f"CASE {' '.join(cases)} END" if edges else f"'{next(iter(queries))}'"
    return _split(session, labels, sides, "length", kind, step, expression, queries)


def _terms(session: RunSession, labels: Labels, sides: list[Filters], change: float, kind: str, step: str) -> list[Row]:
    """Return the change of each term's mean contribution; `other` is what no term explains.

    A rewarder may record numbers that are no parts of its value, such as a count of passed tests. A response's terms count only
    if they add up to its score; otherwise the whole score counts as WHOLE_SCORE.
    """
    found: list[dict[str, float]] = []
    for side in sides:
        rows = session.index.query(
            f"""SELECT part.name AS name, sum(part.value) / any_value(n) AS mean
                FROM (SELECT unnest({PARTS}) AS part, count(*) OVER () AS n FROM responses WHERE {side.where} AND {FINITE})
                GROUP BY 1""",
            side.values,
        )
        found.append({row["name"]: row["mean"] for row in rows if row["mean"] is not None})
    known = {name for side in found for name, mean in side.items() if mean != 0}
    if not known - {WHOLE_SCORE, PENALTY}:
        return []
    names = sorted(known, key=lambda name: -abs(found[1].get(name, 0) - found[0].get(name, 0)))
    rows = []
    for name in names[:MOST_ROWS]:
        delta = found[1].get(name, 0.0) - found[0].get(name, 0.0)
        direction = "DESC" if delta >= 0 else "ASC"
        value, values = _part(name)
        rows.append(
            {
                "name": name,
                "from": found[0].get(name),
                "to": found[1].get(name),
                "change": delta,
                "query": {"kind": kind, "step": step, "sort": "-reward" if delta >= 0 else "reward"},
                "examples": _examples(
                    session, labels, sides[1], f"{value} IS NOT NULL", values, f"{value} {direction}", values
                ),
            }
        )
    rest = change - sum(row["change"] for row in rows)
    if abs(rest) > ROUNDING:
        rows.append({"name": "other", "from": None, "to": None, "change": rest, "query": None, "examples": []})
    return rows


def _part(name: str) -> tuple[str, list[Any]]:
    """Return an expression for what a term adds to a response's reward, null where it has no such term, and its values."""
    if name == PENALTY:
        return "nullif(overlong_penalty, 0)", []
    if name == WHOLE_SCORE:
        return f"CASE WHEN NOT {ITEMIZED} THEN {SCORE} END", []
    named = "list_filter(terms, lambda t: t.name = ?)"
    return f"CASE WHEN {ITEMIZED} THEN list_sum(list_transform({named}, lambda t: {WEIGHTED})) END", [name]


def _examples(
    session: RunSession,
    labels: Labels,
    side: Filters,
    condition: str,
    values: list[Any],
    order: str,
    order_values: list[Any] | None = None,
) -> list[Row]:
    found = session.index.query(
        f"SELECT rid FROM responses WHERE {side.where} AND {FINITE} AND {condition} ORDER BY {order} NULLS LAST, rid LIMIT {EXAMPLES}",
        [*side.values, *values, *(order_values or [])],
    )
    return shown(session, labels, by_rid(session, [row["rid"] for row in found]))


class _Change:
    """The parameters of a comparison of prompts."""

    def __init__(self, **values: str) -> None:
        self._values = values

    def keys(self) -> list[str]:
        """Return the names."""
        return list(self._values)

    def getlist(self, key: str) -> list[str]:
        """Return the value of a name, or nothing."""
        return [self._values[key]] if key in self._values else []


def _prompts(session: RunSession, kind: str, first: str, second: str) -> Row:
    """Return the prompts newly solved and newly lost, and what they add to the mean over common prompts."""
    found = compare_steps(session, session, _Change(step=first, step2=second, kind=kind))
    common = found["common"]

    def gain(rows: list[Row]) -> float:
        return sum((row["to"]["reward_mean"] or 0) - (row["from"]["reward_mean"] or 0) for row in rows) / common

    return {
        "common": common,
        "counts": found["counts"],
        **{
            name: {
                "change": gain(found["everything"][name]) if common else 0.0,
                "examples": found[name][:EXAMPLES] if name in found else [],
            }
            for name in found["counts"]
        },
    }
