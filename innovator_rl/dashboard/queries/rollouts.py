"""List responses and groups: one page of rows, the total and a histogram.

Of the text, only the first characters of the rows on the page are read. The count of a filter is cached until the record
changes, so the next page costs one small query.
"""

from __future__ import annotations

import math
import time
from typing import Any

from innovator_rl.dashboard.queries.filters import (
    GROUP_SORTS,
    SORTS,
    Filters,
    Parameters,
    one,
    parts_read,
    read_filters,
    read_order,
    read_page,
    read_sort,
)
from innovator_rl.dashboard.queries.page_order import page_rids
from innovator_rl.dashboard.queries.search import Searches
from innovator_rl.dashboard.runs.labels import Labels
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.background_indexer import preview
from innovator_rl.rollouts.fulltext import MOST_HITS

ROW_COLUMNS = (
    *("kind", "step", "attempt", "prompt_uid AS uid", "sample_index", "prompt_id", "domain", "data_source", "rewarder"),
    *("generation_status", "finish_reason", "truncated", "prompt_tokens", "response_tokens", "reward", "score_value"),
    *("overlong_penalty", "correct", "outcome", "reason", "extracted", "generate_seconds", "reward_seconds"),
    *(
        "weight_version_min",
        "weight_version_max",
        "written_at",
        "status",
        "drop_reason",
        "kept",
        "advantage",
        "entropy",
    ),
    *("clip_low", "clip_high", "gap", "repetition", "superseded", "rid", "segment", "position", "indexed"),
)
GROUP_COLUMNS = (
    *("kind", "step", "prompt_uid AS uid", "prompt_id", "domain", "data_source", "samples", "correct", "failed"),
    *(
        "truncated",
        "reward_mean",
        "reward_std",
        "reward_min",
        "reward_max",
        "tokens_mean",
        "status",
        "drop_reason",
        "superseded",
    ),
)
INTERNAL = ("rid", "segment", "position", "indexed", "measured")  # columns that only the index uses
HISTOGRAMS = ("reward", "response_tokens", "advantage", "reward_seconds", "entropy", "score_value", "gap", "repetition")
BINS = 24
PREVIEW_ROW_GROUPS = 4  # read for previews that the full-text index does not have yet

Row = dict[str, Any]


def narrowed(session: RunSession, labels: Labels, searches: Searches, filters: Filters) -> Row | None:
    """Add the conditions of label, full text and regex to the filters.

    Args:
        session: The opened run.
        labels: The labels of its responses.
        searches: The searches in progress, which are continued.
        filters: The filters of a request; conditions are added in place.

    Returns:
        How far a search got; None without a search.
    """
    if filters.label:
        keys = [key for key, names in labels.by_response().items() if filters.label == "*" or filters.label in names]
        rows = [dict(zip(("kind", "step", "uid", "sample_index"), key, strict=True)) for key in keys]
        in_labels = "(kind, step, prompt_uid, sample_index) IN (SELECT (k.kind, k.step, k.uid, k.sample_index) FROM (SELECT unnest(?::"
        in_labels += "STRUCT(kind VARCHAR, step INT, uid VARCHAR, sample_index INT)[]) AS k))"
        filters.add(in_labels, rows)
    hits, state = searches.hits(session, filters)
    if hits is not None:
        filters.add("rid IN (SELECT unnest(?::BIGINT[]))", hits[:MOST_HITS])
    return state


def rollouts_page(session: RunSession, labels: Labels, searches: Searches, parameters: Parameters) -> Row:
    """Return one page of the responses that match the filters."""
    began = time.monotonic()
    filters = read_filters(parameters, also=("sort", "page", "size", "histogram"))
    (sort, descending), (page, size) = read_sort(parameters, SORTS, "step"), read_page(parameters)
    column = one(parameters, "histogram", "reward")
    if column not in (*HISTOGRAMS, "none"):
        raise RequestError(f"histogram={column[:40]}: must be one of {', '.join(HISTOGRAMS)} or none")
    state = narrowed(session, labels, searches, filters)

    parts = parts_read(filters, column)
    total, bins = session.cached(("counts", column, filters.key), parts, lambda: counts(session, filters, column))
    rows = by_rid(session, page_rids(session, filters, sort, descending, total, (page - 1) * size, size))
    return {
        "rows": shown(session, labels, rows),
        "total": total,
        "page": page,
        "size": size,
        "pages": max(1, math.ceil(total / size)),
        "histogram": bins,
        "search": state,
        "indexing": session.building,
        "milliseconds": round(1000 * (time.monotonic() - began), 2),
    }


def groups_page(session: RunSession, labels: Labels, searches: Searches, parameters: Parameters) -> Row:
    """Return one page of the groups in which a response matches the filters."""
    filters = read_filters(parameters, also=("sort", "page", "size"))
    order, (page, size) = read_order(parameters, GROUP_SORTS, "step"), read_page(parameters)
    narrowed(session, labels, searches, filters)
    matching = (
        "all_groups AS groups SEMI JOIN (SELECT DISTINCT step AS s, kind AS k, prompt_uid AS u "
        f"FROM {filters.table} WHERE {filters.where}) matched "
        "ON (groups.step, groups.kind, groups.prompt_uid) = (s, k, u)"
    )

    def count() -> int:
        return int(session.index.query(f"SELECT count(*) AS n FROM {matching}", filters.values)[0]["n"])

    total = session.cached(("groups", filters.key), parts_read(filters), count)
    rows = session.index.query(
        f"SELECT {', '.join(GROUP_COLUMNS)} FROM {matching} "
        f"ORDER BY {order}, step, rid LIMIT {size} OFFSET {(page - 1) * size}",
        filters.values,
    )
    prompts = prompt_previews(session, rows)
    for row in rows:
        row["prompt_preview"] = prompts.get((row["kind"], row["step"], row["uid"]))
    pages = max(1, math.ceil(total / size))
    return {
        "rows": rows,
        "total": total,
        "page": page,
        "size": size,
        "pages": pages,
        "indexing": session.building,
    }


def by_rid(session: RunSession, rids: list[int]) -> list[Row]:
    """Return all columns of a few rows in the given order.

    Sorting by number first keeps the sort small. A subquery is a semi-join, which reads the other columns only where a row
    matches: a third of the time of a list of numbers in a million rows.
    """
    if not rids:
        return []
    columns = ", ".join(ROW_COLUMNS)
    rows = session.index.query(f"SELECT {columns} FROM all_responses WHERE rid IN (SELECT unnest(?::BIGINT[]))", [rids])
    at = {row["rid"]: row for row in rows}
    return [at[rid] for rid in rids if rid in at]


def shown(session: RunSession, labels: Labels, rows: list[Row]) -> list[Row]:
    """Return rows as the API sends them.

    They have labels and a preview, and lack the index's own columns.
    """
    named = labels.by_response()
    previews = session.index.fulltext.previews([row["rid"] for row in rows]) if rows else {}
    missing = [row for row in rows if row["rid"] not in previews]
    if missing and len({(row["segment"], row["position"] // 1024) for row in missing}) <= PREVIEW_ROW_GROUPS:
        texts = session.reader.rows([(row["segment"], row["position"]) for row in missing], ("response",))
        for row in missing:
            text = texts.get((row["segment"], row["position"]), {}).get("response")
            previews[row["rid"]] = preview(text or "")
    prompts = prompt_previews(session, rows)
    finished = []
    for row in rows:
        plain = {name: value for name, value in row.items() if name not in INTERNAL}
        key = (row["kind"], row["step"], row["uid"], row["sample_index"])
        written = row["written_at"].isoformat(timespec="milliseconds") if row["written_at"] else None
        plain.update(written_at=written, labels=named.get(key, []), preview=previews.get(row["rid"]))
        plain["prompt_preview"] = prompts.get((row["kind"], row["step"], row["uid"]))
        finished.append(plain)
    return finished


def prompt_previews(session: RunSession, rows: list[Row]) -> dict[tuple[str, int, str], str]:
    """Return the first characters of the prompt of each group that the rows belong to, where they are indexed."""
    read = [row for row in rows if row.get("indexed", True)]  # of a text that is still to be read, no prompt is known
    wanted = sorted({(row["kind"], row["step"], row["uid"]) for row in read})
    if not wanted:
        return {}
    found = _prompts(session, "all_groups", wanted)  # a group's first response carries its prompt, nearly always
    missing = [key for key in wanted if key not in found]
    return found | _prompts(session, "all_responses", missing) if missing else found


def _prompts(session: RunSession, table: str, wanted: list[tuple[str, int, str]]) -> dict[tuple[str, int, str], str]:
    """Return the prompts that are stored with the rows of a table that belong to the wanted groups."""
    keys = [dict(zip(("kind", "step", "uid"), key, strict=True)) for key in wanted]
    found = session.index.query(
        f"""SELECT r.rid, r.kind, r.step, r.prompt_uid AS uid FROM {table} r SEMI JOIN
            (SELECT k.kind AS k, k.step AS s, k.uid AS u FROM (SELECT unnest(?::STRUCT(kind VARCHAR, step INT, uid VARCHAR)[]) AS k))
            ON (r.kind, r.step, r.prompt_uid) = (k, s, u) WHERE r.step BETWEEN ? AND ?""",
        [keys, min(key[1] for key in wanted), max(key[1] for key in wanted)],
    )
    texts = session.index.fulltext.prompts([row["rid"] for row in found])
    return {(r["kind"], r["step"], r["uid"]): texts[r["rid"]] for r in found if r["rid"] in texts}


def counts(session: RunSession, filters: Filters, column: str) -> tuple[int, Row | None]:
    """Return how many rows match, and their histogram.

    Args:
        session: The opened run.
        filters: The condition of the rows.
        column: Numeric column of the histogram, or `none` for the count alone.
    """
    if column == "none":
        return int(
            session.index.query(f"SELECT count(*) AS n FROM {filters.table} WHERE {filters.where}", filters.values)[0][
                "n"
            ]
        ), None
    finite = f"CASE WHEN isfinite({column}::DOUBLE) THEN {column}::DOUBLE END"
    row = session.index.query(
        f"SELECT count(*) AS n, min({finite}) AS low, max({finite}) AS high FROM {filters.table} WHERE {filters.where}",
        filters.values,
    )[0]
    return int(row["n"]), histogram(session, filters, column, row["low"], row["high"])


def histogram(session: RunSession, filters: Filters, column: str, low: float | None, high: float | None) -> Row:
    """Count rows in at most BINS equal bins between the column's extremes.

    Args:
        session: The opened run.
        filters: The condition of the rows.
        column: Numeric column.
        low: Its least finite value; None where there is none.
        high: Its greatest finite value; equal to `low`, it makes one bin.

    Returns:
        `column`, `low`, `high`, and `bins` with the numbers of rows and of correct responses.
    """
    finite = f"FROM {filters.table} WHERE {filters.where} AND isfinite({column}::DOUBLE)"
    if low is None or high is None:
        return {"column": column, "low": None, "high": None, "bins": []}
    count = 1 if high <= low else BINS
    if column == "response_tokens":
        count = max(1, min(BINS, int(high - low) + 1))
    width = (high - low) / count or 1.0
    counted = session.index.query(
        f"SELECT least(floor(({column}::DOUBLE - {low!r}) / {width!r})::INT, {count - 1}) AS bin, count(*) AS n, "
        f"count(*) FILTER (correct) AS correct {finite} GROUP BY bin",
        filters.values,
    )
    by_bin = {row["bin"]: row for row in counted}
    bins = [
        {
            "low": low + i * width,
            "high": high if i == count - 1 else low + (i + 1) * width,
            "count": by_bin[i]["n"] if i in by_bin else 0,
            "correct": by_bin[i]["correct"] if i in by_bin else 0,
        }
        for i in range(count)
    ]
    return {"column": column, "low": low, "high": high, "bins": bins}
