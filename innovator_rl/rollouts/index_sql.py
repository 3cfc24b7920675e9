"""SQL that turns the rows of some steps into rows of the index.

`new_rollouts` and `new_updates` are the Arrow tables of `ingest.joined_steps`. STAGE gives each response its number `rid` and
what its update says, GROUPS aggregates the groups, and STORE joins both to the rows as they are stored. Joins are by integers,
and the wide rows pass through once.
"""

from __future__ import annotations

from innovator_rl.rollouts.schema import DROP_REASON, SCORED

STAGE = """
CREATE OR REPLACE TEMP TABLE staged AS
WITH updates AS (
    SELECT group_number, sample_index, bool_or(kept) AS kept, max(drop_reason) AS drop_reason, max(advantage) AS advantage
    FROM new_updates GROUP BY ALL
)
SELECT n.number, coalesce(o.rid, {base} + n.number) AS rid, u.kept, u.drop_reason, u.advantage, o.entropy, o.clip_low,
       o.clip_high, o.gap, o.repetition, coalesce(o.indexed, false) AS indexed,
       coalesce(o.measured, false) AND (o.kept IS NOT DISTINCT FROM u.kept) AS measured
FROM new_rollouts n
LEFT JOIN updates u USING (group_number, sample_index)
LEFT JOIN {old} o ON (o.step, o.kind, o.attempt, o.prompt_uid, o.sample_index)
                   = (n.step, n.kind, n.attempt, n.prompt_uid, n.sample_index)
"""
"""`base` is the number of the first new row, `old` the rows that the steps have in the index already."""
GROUPS = f"""
CREATE OR REPLACE TEMP TABLE staged_groups AS
SELECT *, CASE WHEN kind <> 'train' THEN 'validation' WHEN drop_reason IS NULL THEN 'pending' WHEN drop_reason = '' THEN 'kept'
               WHEN drop_reason = 'failed' THEN 'failed' ELSE 'dropped' END AS status
FROM (
    SELECT group_number, any_value(step) AS step, any_value(kind) AS kind, any_value(attempt) AS attempt,
           any_value(prompt_uid) AS prompt_uid, any_value(prompt_id) AS prompt_id, any_value(domain) AS domain,
           any_value(data_source) AS data_source, count(*)::INT AS samples, (count(*) FILTER (correct))::INT AS correct,
           (count(*) FILTER (status <> 'ok'))::INT AS failed, (count(*) FILTER (truncated))::INT AS truncated,
           avg(reward) FILTER ({SCORED}) AS reward_mean, stddev_pop(reward) FILTER ({SCORED}) AS reward_std,
           min(reward) FILTER ({SCORED}) AS reward_min, max(reward) FILTER ({SCORED}) AS reward_max,
           avg(response_tokens) AS tokens_mean, min(rid) AS rid,
           {DROP_REASON} AS drop_reason
    FROM (SELECT n.*, s.*, n.generation_status AS status FROM new_rollouts n JOIN staged s USING (number))
    GROUP BY group_number
)
"""
STORE = """
SELECT s.rid, n.* EXCLUDE (number, group_number, updated), s.* EXCLUDE (number, rid, drop_reason, indexed, measured),
       g.drop_reason, g.status, s.indexed, s.measured
FROM new_rollouts n JOIN staged s USING (number) JOIN staged_groups g USING (group_number)
"""
STORE_GROUPS = "SELECT * EXCLUDE (group_number) FROM staged_groups"
NO_OLD_ROWS = """(SELECT NULL::BIGINT AS rid, NULL::INT AS step, NULL AS kind, NULL::INT AS attempt, NULL AS prompt_uid,
    NULL::INT AS sample_index, NULL::BOOL AS kept, NULL::BOOL AS indexed, NULL::BOOL AS measured, NULL::FLOAT AS entropy,
    NULL::FLOAT AS clip_low, NULL::FLOAT AS clip_high, NULL::FLOAT AS gap, NULL::FLOAT AS repetition WHERE false)"""
"""`old` where nothing of the steps is in the index."""
