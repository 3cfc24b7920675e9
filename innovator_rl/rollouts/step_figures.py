"""Aggregate every step once, so that curves read one row per step and series instead of every response.

Quantiles over ten million responses at once do not fit into the memory that the index may use. A step's figures change
only when its files or its measures change; until then they are kept in the index (`figures`, `term_figures`).

`reward` and `accuracy` are of all scored responses; `reward_trained` and `accuracy_trained` of those that the update was
computed from. A reward that is not finite is counted in `not_finite` and left out of every mean.
"""

from __future__ import annotations

from innovator_rl.rollouts.schema import DROP_REASONS, SCORED

SERIES = ("domain", "data_source", "rewarder")
"""Columns that the figures are split by, apart from the whole step."""
MOST_ROWS = 200_000  # responses aggregated by one query
DROPPED = tuple(reason for reason in DROP_REASONS if reason)
STATUSES = ("kept", *DROPPED, "other", "pending")
"""What became of a group; `other` counts groups dropped for a reason that this version does not define."""

FINITE = f"{SCORED} AND isfinite(reward)"
RESPONSE_FIGURES = {
    "responses": "count(*)",
    "scored": f"count(*) FILTER ({SCORED})",
    "trained": "count(*) FILTER (kept)",
    "reward": f"avg(reward) FILTER ({FINITE})",
    "reward_trained": f"avg(reward) FILTER ({FINITE} AND kept)",
    "reward_p10": f"quantile_cont(reward, 0.1) FILTER ({FINITE})",
    "reward_p90": f"quantile_cont(reward, 0.9) FILTER ({FINITE})",
    "accuracy": f"avg(coalesce(correct, false)::INT) FILTER ({SCORED})",
    "accuracy_trained": f"avg(coalesce(correct, false)::INT) FILTER ({SCORED} AND kept)",
    "length": "avg(response_tokens)",
    "length_p90": "quantile_cont(response_tokens, 0.9)",
    "truncated": "avg(coalesce(truncated, false)::INT)",
    **{name: f"avg({name}) FILTER (isfinite({name}))" for name in ("entropy", "clip_low", "clip_high", "gap")},
    "reward_seconds": "avg(reward_seconds) FILTER (isfinite(reward_seconds))",
    "errors": "avg((outcome = 'error' OR generation_status <> 'ok')::INT)",
    "repetition": "avg(repetition) FILTER (isfinite(repetition))",
    "not_finite": "count(*) FILTER (NOT isfinite(reward))",
}
GROUP_FIGURES = {
    "groups": "count(*)",
    "kept_groups": "count(*) FILTER (status = 'kept')",
    **{reason: f"count(*) FILTER (drop_reason = '{reason}')" for reason in DROPPED},
    "other": f"count(*) FILTER (drop_reason NOT IN ('', {', '.join(repr(reason) for reason in DROPPED)}))",
    "pending": "count(*) FILTER (status = 'pending')",
}


def _select(table: str, figures: dict[str, str], columns: tuple[str, ...]) -> str:
    sets = ", ".join(["(step, kind)", *(f"(step, kind, {column})" for column in columns)])
    whole = " AND ".join(f"grouping({column}) = 1" for column in columns)
    by = " ".join(f"WHEN grouping({column}) = 0 THEN '{column}'" for column in columns)
    series = " ".join(f"WHEN grouping({column}) = 0 THEN {column}" for column in columns)
    listed = ", ".join(f"{sql} AS {name}" for name, sql in figures.items())
    plain = ", ".join(f"coalesce({column}, '') AS {column}" for column in columns)
    return f"""SELECT step, kind, any_value(attempt) AS attempt, CASE WHEN {whole} THEN 'all' {by} END AS by_column,
                      CASE WHEN {whole} THEN '' {series} END AS series, {listed}
               FROM (SELECT * REPLACE ({plain}) FROM {table} WHERE {{where}}) GROUP BY GROUPING SETS ({sets})"""


FIGURES = f"""
SELECT * FROM ({_select("stored_responses", RESPONSE_FIGURES, SERIES)})
LEFT JOIN (SELECT * EXCLUDE (attempt) FROM ({_select("stored_groups", GROUP_FIGURES, ("domain", "data_source"))}))
USING (step, kind, by_column, series)
"""
TERM_FIGURES = """
SELECT step, kind, any_value(attempt) AS attempt, term.name AS name,
       sum(term.value * coalesce(term.weight, 1)) / any_value(n) AS mean
FROM (SELECT step, kind, attempt, unnest(terms) AS term, count(*) OVER (PARTITION BY step, kind) AS n
      FROM stored_responses WHERE {where} AND terms IS NOT NULL)
WHERE term.name <> '' AND term.weight IS DISTINCT FROM 0 AND isfinite(term.value) GROUP BY step, kind, term.name
"""
