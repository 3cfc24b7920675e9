"""Find the rows of one page of a long sorted list without sorting the list.

`ORDER BY reward DESC, rid LIMIT 50 OFFSET 12000` makes the database keep 12,050 rows in order while it reads a million: the
deeper the page, the slower. Here the rows are counted in bins of the sort column, and bins too large to sort in bins of their
own: first of the column, then, where all rows have one value, of the number that breaks ties. The counts say which bin the
page is in; only that bin is sorted. They are cached until the record changes, so every page costs about the same.

    page_rids(session, filters, "reward", descending=True, total=1_000_000, offset=12_000, size=50)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from innovator_rl.dashboard.queries.filters import Filters, parts_read
from innovator_rl.dashboard.runs.run_session import RunSession

LONG = 50_000  # rows; a shorter list is sorted
SHALLOW = 500  # rows up to the end of a page that is sorted too: counting pays from the next pages on
MOST_SORTED = 8_192  # rows of the bins that are sorted for a page
BINS = 256
RID_BITS = 12  # row numbers that are equal without their last 12 bits are in one bin
MOST_LEVELS = 8  # of bins in bins, for values of very different sizes
EXACT = ("domain", "reason", "drop_reason", "correct")
"""Columns with few values: a bin for each."""
TIME = "epoch_ms(written_at)"


@dataclass(frozen=True)
class Bin:
    """Rows that are neighbors in the sorted list: how many, their condition, and the extremes of the column in them."""

    rows: int
    condition: str
    values: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0


def page_rids(
    session: RunSession, filters: Filters, column: str, descending: bool, total: int, offset: int, size: int
) -> list[int]:
    """Return the numbers of the rows of one page, in order; rows with equal values are in the order of their numbers.

    Args:
        session: The opened run.
        filters: The condition of the list.
        column: What it is sorted by, empty values last.
        descending: Whether the largest value comes first.
        total: The number of rows that match.
        offset: The number of rows before the page.
        size: The most rows to return.
    """
    order = f"{column} {'DESC' if descending else 'ASC'} NULLS LAST, rid"
    everything = Bin(total, "true")
    searched = filters.word or filters.regex or filters.label  # few rows, and a long condition
    if total < LONG or offset + size <= SHALLOW or searched:
        return _sorted(session, filters, everything, order, offset, size)
    found: list[int] = []
    end = min(offset + size, total)
    while offset < end:  # a page may begin in one bin and end in the next
        place = _located(session, filters, column, descending, offset, end - offset)
        rows = [] if place is None else _sorted(session, filters, place[0], order, place[1], end - offset)
        if not rows:  # values that have no bin, or rows that changed since they were counted
            return found + _sorted(session, filters, everything, order, offset, end - offset)
        found += rows
        offset += len(rows)
    return found


def _sorted(session: RunSession, filters: Filters, of: Bin, order: str, offset: int, size: int) -> list[int]:
    where = f"{filters.where} AND {of.condition} ORDER BY {order} LIMIT {size} OFFSET {offset}"
    rows = session.index.query(f"SELECT rid FROM {filters.table} WHERE {where}", [*filters.values, *of.values])
    return [row["rid"] for row in rows]


def _located(
    session: RunSession, filters: Filters, column: str, descending: bool, offset: int, size: int
) -> tuple[Bin, int] | None:
    """Return the bins in which the rows after `offset` begin, as one, and the number of rows before them in it.

    None where a value is not finite, so that it has no bin, and where no row is left.
    """

    def cached(make: Callable[..., Any], *of: Any) -> Any:
        return session.cached(
            (make.__name__, filters.key, *of), parts_read(filters, column), lambda: make(session, filters, *of)
        )

    whole: Bin | None = Bin(0, "true") if column in EXACT else cached(_extremes, column)
    if whole is None:
        return None
    inside = whole
    for _ in range(MOST_LEVELS):
        bins = cached(_exact_bins if column in EXACT else _bins, column, descending, inside)
        if not bins:
            return None
        inside, near, offset = _at(bins, offset, size)
        if near.rows <= MOST_SORTED:
            return near, offset
        if inside.low == inside.high:  # one value, or none: ties are in the order of the row numbers
            bins = cached(_rid_bins, inside)
            return _at(bins, offset, size)[1:] if bins else None
    return inside, offset


def _at(bins: list[Bin], offset: int, size: int) -> tuple[Bin, Bin, int]:
    """Return the bin of a place, that bin with as many after it as `size` rows need, and the rows before the place in it."""
    first = 0
    while first < len(bins) - 1 and offset >= bins[first].rows:
        offset -= bins[first].rows
        first += 1
    last, rows = first, bins[first].rows
    while last + 1 < len(bins) and rows < offset + size and rows + bins[last + 1].rows <= MOST_SORTED:
        last += 1
        rows += bins[last].rows
    near = bins[first : last + 1]
    condition = " OR ".join(f"({part.condition})" for part in near)
    return bins[first], Bin(rows, f"({condition})", tuple(value for part in near for value in part.values)), offset


def _counted(session: RunSession, filters: Filters, of: Bin, columns: str, order: str) -> list[dict[str, Any]]:
    """Count the rows of a bin by `bin`, one of the columns to select."""
    where = f"{filters.where} AND {of.condition} GROUP BY bin ORDER BY bin {order} NULLS LAST"
    sql = f"SELECT {columns}, count(*) AS n FROM {filters.table} WHERE {where}"
    return session.index.query(sql, [*filters.values, *of.values])


def _extremes(session: RunSession, filters: Filters, column: str) -> Bin | None:
    """Return the extremes of a column in all responses, which the database knows without reading them."""
    x = TIME if column == "written_at" else column
    row = session.index.query(f"SELECT min({x}) AS low, max({x}) AS high FROM stored_responses")[0]
    low, high = (0 if row[name] is None else row[name] for name in ("low", "high"))
    return Bin(0, "true", (), low, high) if math.isfinite(low) and math.isfinite(high) else None  # NaN is the greatest


def _bins(session: RunSession, filters: Filters, column: str, descending: bool, of: Bin) -> list[Bin]:
    """Count the rows in BINS + 1 bins of equal width; the last one is for the greatest value alone."""
    x = TIME if column == "written_at" else column
    width = (float(of.high) - of.low) / BINS or 1.0
    number = f"floor(({x}::DOUBLE - {float(of.low)!r}) / {width!r})"
    rows = _counted(session, filters, of, f"{number} AS bin, min({x}) AS low, max({x}) AS high", _direction(descending))
    kind = "FLOAT" if isinstance(of.high, float) else "BIGINT"
    return [
        Bin(row["n"], f"{column} IS NULL")
        if row["bin"] is None
        else Bin(
            row["n"], f"{x} BETWEEN {row['low']!r}::{kind} AND {row['high']!r}::{kind}", (), row["low"], row["high"]
        )
        for row in rows
    ]


def _exact_bins(session: RunSession, filters: Filters, column: str, descending: bool, of: Bin) -> list[Bin]:
    rows = _counted(session, filters, of, f"{column} AS bin", _direction(descending))
    return [Bin(row["n"], f"{column} IS NOT DISTINCT FROM ?", (row["bin"],)) for row in rows]


def _rid_bins(session: RunSession, filters: Filters, of: Bin) -> list[Bin]:
    bins = []
    for row in _counted(session, filters, of, f"rid >> {RID_BITS} AS bin", "ASC"):
        first = row["bin"] << RID_BITS
        own = f"rid BETWEEN {first} AND {first + (1 << RID_BITS) - 1}"
        bins.append(Bin(row["n"], f"{of.condition} AND {own}", of.values))
    return bins


def _direction(descending: bool) -> str:
    return "DESC" if descending else "ASC"
