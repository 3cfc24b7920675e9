"""Read a run's rollout record with DuckDB, from the files alone.

The run may be live, finished or crashed. Every result is about the newest attempt of each step, training and validation
separately; steps that a resumed attempt abandoned are left out. Lists of responses leave out the text columns by
default, because they are nearly all of the bytes; with `with_text=True` they are fetched in a second pass for the rows
that are returned.

    store = Store("runs/demo")
    store.groups(step=12)                       # one dictionary per prompt: rewards, kept or dropped and why
    store.group(step=12, prompt_uid="...")      # its responses, text included
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from innovator_rl.errors import UserError
from innovator_rl.rollouts.schema import DATASETS, DROP_REASON, ROLLOUTS, SCHEMAS, SCORED, STORED_DROP_REASON
from innovator_rl.rollouts.segments import Segment, SegmentCatalog
from innovator_rl.runs.reading import last_steps, read_record

TEXT_COLUMNS = ("prompt", "messages", "response", "turns", "answer", "info", "error")
NARROW = tuple(name for name in ROLLOUTS.names if name not in TEXT_COLUMNS)
KEY = ("step", "kind", "attempt", "prompt_uid", "sample")
UPDATE_KEY = ("step", "kind", "prompt_uid", "sample")  # a later attempt may train what an earlier one generated
FILTERS = ("domain", "data_source", "rewarder", "reason", "outcome", "status", "finish_reason", "correct", "truncated")
FILTERS_BY_ID = ("prompt_uid", "prompt_id", "sample", "kept", "drop_reason")
ORDERS = (*NARROW, "advantage", "kept", "drop_reason")
COUNT_BY = ("step", "domain", "data_source", "rewarder", "reason", "outcome", "status", "finish_reason", "drop_reason")

Row = dict[str, Any]
DROPPED = STORED_DROP_REASON.replace("drop_reason", "u.drop_reason")


class Store:
    """A reader of one run, for several threads at once."""

    def __init__(self, run_dir: str | Path, threads: int = 2) -> None:
        self.path = Path(run_dir)
        self._catalog = SegmentCatalog(self.path)
        self._connection = duckdb.connect(config={"threads": threads})
        for dataset, schema in SCHEMAS.items():
            self._connection.register("empty", schema.empty_table())
            self._connection.execute(f"CREATE TABLE no_{dataset} AS SELECT * FROM empty")  # cursors see tables only
            self._connection.unregister("empty")

    def steps(self, kind: str = "train") -> list[int]:
        """Return the steps with recorded responses of this kind, ascending."""
        return sorted({segment.step for segment in self._segments("rollouts", None, kind)})

    def rollouts(
        self,
        steps: int | Iterable[int] | None = None,
        kind: str = "train",
        with_text: bool = False,
        order_by: str | Sequence[str] = KEY,
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
        **where: Any,
    ) -> list[Row]:
        """Return responses with `kept`, `drop_reason` and `advantage` of the update.

        Args:
            steps: A step, several, or None for all.
            kind: `train` or `validation`.
            with_text: Whether to include prompt, response and the other text columns.
            order_by: Columns to sort by.
            descending: Whether to sort in descending order.
            limit: The largest number of rows.
            offset: The number of rows to skip.
            **where: Equalities on the columns of FILTERS and FILTERS_BY_ID: `domain="physics", correct=False`.

        Raises:
            ValueError: A column cannot be filtered or ordered by.
        """
        order = (order_by,) if isinstance(order_by, str) else tuple(order_by)
        _known(where, (*FILTERS, *FILTERS_BY_ID), "filter by")
        _known(order, ORDERS, "order by")
        condition = " AND ".join(f"{name} IS NOT DISTINCT FROM ?" for name in where) or "true"
        direction = "DESC NULLS LAST" if descending else "ASC NULLS LAST"
        tail = ", ".join(f"{name} {direction}" for name in order)
        page = f"LIMIT {int(limit)}" if limit is not None else ""
        rows = self._query(
            f"SELECT * FROM ({{joined}}) WHERE {condition} ORDER BY {tail} {page} OFFSET {int(offset)}",
            steps,
            kind,
            list(where.values()),
        )
        return self._with_texts(rows, kind) if with_text else rows

    def group(self, step: int, prompt_uid: str, kind: str = "train") -> list[Row]:
        """Return one prompt's responses with text columns, best reward first."""
        rows = self.rollouts(step, kind, with_text=True, order_by="sample", prompt_uid=prompt_uid)
        return sorted(rows, key=lambda row: -(row["reward"] if row["reward"] is not None else float("-inf")))

    def groups(self, steps: int | Iterable[int] | None = None, kind: str = "train") -> list[Row]:
        """Return one dictionary per prompt and step: counts, rewards, lengths, status.

        `drop_reason` is "" for a group that was kept, None while the step's update has not been recorded.
        """
        return self._query(
            f"""
            SELECT step, attempt, prompt_uid, any_value(prompt_id) AS prompt_id, any_value(domain) AS domain,
                   any_value(data_source) AS data_source, count(*) AS samples,
                   count(*) FILTER (correct) AS correct, count(*) FILTER (status <> 'ok') AS failed,
                   count(*) FILTER (truncated) AS truncated, avg(reward) FILTER ({SCORED}) AS reward_mean,
                   stddev_pop(reward) FILTER ({SCORED}) AS reward_std, min(reward) FILTER ({SCORED}) AS reward_min,
                   max(reward) FILTER ({SCORED}) AS reward_max,
                   avg(response_tokens) AS response_tokens_mean,
                   CASE WHEN any_value(updated) THEN coalesce(bool_or(kept), false) END AS kept,
                   {DROP_REASON} AS drop_reason
            FROM ({{joined}}) GROUP BY step, attempt, prompt_uid ORDER BY step, min(written_at), prompt_uid
            """,
            steps,
            kind,
        )

    def counts(
        self,
        by: Sequence[str] = ("step", "domain", "reason"),
        steps: int | Iterable[int] | None = None,
        kind: str = "train",
    ) -> list[Row]:
        """Count and average responses by columns.

        Args:
            by: Columns of `COUNT_BY`.
            steps: One step or several; None means all.
            kind: `train` or `validation`.

        Returns:
            Rows with `responses`, `scored`, `correct`, `accuracy`, `reward_mean`, `truncated`, `failed` and more.
            Averages are over the scored responses.
        """
        _known(by, COUNT_BY, "count by")
        columns = ", ".join(by)
        source = "({joined})" if "drop_reason" in by else "{rollouts}"  # the join is most of the cost
        return self._query(
            f"""
            SELECT {columns}, count(*) AS responses, count(*) FILTER ({SCORED}) AS scored,
                   count(*) FILTER (correct) AS correct,
                   avg(coalesce(correct, false)::INT) FILTER ({SCORED}) AS accuracy,
                   avg(reward) FILTER ({SCORED}) AS reward_mean,
                   avg(response_tokens) AS response_tokens_mean, count(*) FILTER (truncated) AS truncated,
                   count(*) FILTER (status <> 'ok') AS failed
            FROM {source} GROUP BY {columns} ORDER BY {columns}
            """,
            steps,
            kind,
        )

    def dropped(self, steps: int | Iterable[int] | None = None) -> list[Row]:
        """Count groups by step and drop reason.

        The reason is "" for kept groups, and None while the step's update is not recorded.
        """
        counts: dict[tuple[int, str | None], int] = {}
        for group in self.groups(steps):
            key = (group["step"], group["drop_reason"])
            counts[key] = counts.get(key, 0) + 1
        return [{"step": step, "drop_reason": reason, "groups": count} for (step, reason), count in counts.items()]

    def tokens(self, step: int, prompt_uid: str, sample: int, kind: str = "train") -> Row | None:
        """Return one response's token ids and per-token series.

        Args:
            step: Training step.
            prompt_uid: Group of the response.
            sample: Number of the response in its group, from 0.
            kind: `train` or `validation`.

        Returns:
            Column -> value, series with one number per token; None if nothing is recorded.
        """
        found: Row = {}
        for dataset in ("tokens", "updates"):
            rows = self._query(
                f"SELECT * FROM {{{dataset}}} WHERE prompt_uid = ? AND sample = ? ORDER BY attempt DESC",
                step,
                kind,
                [prompt_uid, sample],
            )
            for row in rows[:1]:
                found.update({name: value for name, value in row.items() if value is not None})
        return found or None

    def export(self, out: Path, steps: int | Iterable[int] | None = None, kind: str | None = None) -> int:
        """Write the responses with text and update columns to OUT.parquet or OUT.jsonl.

        Returns:
            The number of rows.

        Raises:
            UserError: The name of the file has another ending.
        """
        form = {".parquet": "FORMAT parquet, COMPRESSION zstd", ".jsonl": "FORMAT json"}.get(out.suffix)
        if form is None:
            raise UserError(f"cannot export to {str(out)!r}: the name must end in .parquet or .jsonl")
        out.parent.mkdir(parents=True, exist_ok=True)
        target = str(out).replace("'", "''")
        rows = self._query(f"COPY (SELECT * FROM ({{joined_texts}}) ORDER BY ALL) TO '{target}' ({form})", steps, kind)
        return int(rows[0]["Count"])

    def relation(self, steps: int | Iterable[int] | None = None, kind: str | None = None) -> duckdb.DuckDBPyRelation:
        """Return the responses with text and update columns as a relation.

        It reads the files when it is used.
        """
        wanted = [steps] if isinstance(steps, int) else None if steps is None else list(steps)
        source = self._sources(wanted, kind)["joined_texts"]
        return self._connection.cursor().sql(f"SELECT * FROM ({source})")

    def _with_texts(self, rows: list[Row], kind: str | None) -> list[Row]:
        if not rows:
            return rows
        wanted = sorted({row["prompt_uid"] for row in rows})
        marks = ", ".join("?" * len(wanted))
        texts = self._query(
            f"SELECT {', '.join((*KEY, *TEXT_COLUMNS))} FROM {{rollouts}} WHERE prompt_uid IN ({marks})",
            {row["step"] for row in rows},
            kind,
            wanted,
        )
        by_key = {tuple(row[name] for name in KEY): row for row in texts}
        return [{**row, **by_key.get(tuple(row[name] for name in KEY), {})} for row in rows]

    def _query(
        self, sql: str, steps: int | Iterable[int] | None, kind: str | None, values: Sequence[Any] = ()
    ) -> list[Row]:
        wanted = [steps] if isinstance(steps, int) else None if steps is None else list(steps)
        for last_try in (False, True):
            statement = sql.format(**self._sources(wanted, kind))
            try:
                cursor = self._connection.cursor()
                cursor.execute(statement, list(values))
                names = [column[0] for column in cursor.description or []]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            except duckdb.IOException:  # a segment was merged away between listing and reading
                if last_try:
                    raise
                self._catalog.forget()
        raise AssertionError("unreachable")

    def _segments(self, dataset: str, steps: list[int] | None, kind: str | None) -> list[Segment]:
        """Return the segments that count: none of a step that a resumed attempt abandoned."""
        record, _ = read_record(self.path / "run.json")
        limits = last_steps((record or {"attempts": []})["attempts"])
        found = self._catalog.segments(dataset, steps, kind)
        return [segment for segment in found if segment.step <= limits.get(segment.attempt, segment.step)]

    def _sources(self, steps: list[int] | None, kind: str | None) -> dict[str, str]:
        sources = {}
        for dataset in DATASETS:
            files = [str(s.path).replace("'", "''") for s in self._segments(dataset, steps, kind)]
            listed = ", ".join(f"'{name}'" for name in files)
            stored = f"read_parquet([{listed}], hive_partitioning=false, union_by_name=true)"
            # The empty table has every column: what older files lack is null.
            united = f"(SELECT * FROM no_{dataset} UNION ALL BY NAME SELECT * FROM {stored})"
            sources[dataset] = united if files else f"no_{dataset}"
        # A response that several passes of a step trained on has a row for each: it is still one response.
        by_response = f"""(SELECT {", ".join(UPDATE_KEY)}, bool_or(kept) AS kept, max(advantage) AS advantage,
            CASE WHEN bool_or(kept) THEN max(drop_reason) FILTER (kept) ELSE max(drop_reason) END AS drop_reason
            FROM {sources["updates"]} GROUP BY {", ".join(UPDATE_KEY)})"""
        for name, columns in (("joined", NARROW), ("joined_texts", tuple(ROLLOUTS.names))):
            sources[name] = f"""
                SELECT {", ".join(f"r.{column}" for column in columns)}, u.kept, {DROPPED} AS drop_reason, u.advantage,
                       s.step IS NOT NULL AS updated
                FROM {sources["rollouts"]} r
                LEFT JOIN {by_response} u
                  ON {" AND ".join(f"r.{column} = u.{column}" for column in UPDATE_KEY)}
                LEFT JOIN (SELECT DISTINCT step, kind FROM {sources["updates"]}) s
                  ON (r.step, r.kind) = (s.step, s.kind)
            """
        return sources


def _known(names: Iterable[str], allowed: Sequence[str], action: str) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(f"cannot {action} {name!r}: expected one of {', '.join(allowed)}")
