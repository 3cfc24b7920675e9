"""Export filtered responses as JSON lines, Parquet or CSV.

The export is streamed a few hundred rows at a time.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from innovator_rl.dashboard.queries.filters import Filters
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.ingest import INDEX_COLUMNS, RENAMED
from innovator_rl.rollouts.schema import ROLLOUTS, TERM
from innovator_rl.rollouts.store import TEXT_COLUMNS
from innovator_rl.runs.files import dump_json

FORMATS = {"jsonl": "application/x-ndjson", "parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
MOST_ROWS = 100_000
CHUNK_ROWS = 256
EXTRA = {
    **{"status": pa.string(), "drop_reason": pa.string(), "kept": pa.bool_()},
    **dict.fromkeys(("advantage", "entropy", "clip_low", "clip_high", "gap", "repetition"), pa.float32()),
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run these

Row = dict[str, Any]


def export_columns(columns: str) -> tuple[str, ...]:
    """Return the names of the exported columns, `all` or `narrow`."""
    if columns not in ("all", "narrow"):
        raise RequestError(f"columns={columns[:40]}: must be all or narrow")
    return (*INDEX_COLUMNS, *EXTRA, *(TEXT_COLUMNS if columns == "all" else ()))


def selected(session: RunSession, filters: Filters, order: str) -> list[Row]:
    """Return the places of the matching rows in order.

    Raise `RequestError` (413) when there are too many.
    """
    rows = session.index.query(
        f"SELECT rid, segment, position FROM {filters.table} WHERE {filters.where} ORDER BY {order}, step, rid LIMIT {MOST_ROWS + 1}",
        filters.values,
    )
    if len(rows) > MOST_ROWS:
        raise RequestError(f"more than {MOST_ROWS} responses match: add filters, or use `innovator runs export`", 413)
    return rows


def export(session: RunSession, places: list[Row], form: str, names: tuple[str, ...]) -> Iterator[bytes]:
    """Yield the bytes of the file."""
    chunks = (_chunk(session, places[i : i + CHUNK_ROWS], names) for i in range(0, len(places), CHUNK_ROWS))
    if form == "parquet":
        yield from _parquet(chunks, names)
        return
    if form == "csv":
        yield _csv_line(names)
    for rows in chunks:
        if form == "jsonl":
            yield "".join(dump_json({name: _plain(row[name]) for name in names}) + "\n" for row in rows).encode()
        else:
            yield b"".join(_csv_line([_csv_cell(row[name]) for name in names]) for row in rows)


def _chunk(session: RunSession, places: list[Row], names: tuple[str, ...]) -> list[Row]:
    narrow = [name for name in names if name not in TEXT_COLUMNS]
    found = session.index.query(
        f"SELECT rid, {', '.join(narrow)} FROM all_responses WHERE rid IN (SELECT unnest(?::BIGINT[]))",
        [[p["rid"] for p in places]],
    )
    by_rid = {row.pop("rid"): row for row in found}
    texts: dict[Any, Row] = {}
    if len(narrow) < len(names):
        texts = session.reader.rows([(p["segment"], p["position"]) for p in places], TEXT_COLUMNS)
    nothing = dict.fromkeys(TEXT_COLUMNS)
    return [
        {**by_rid[p["rid"]], **(texts.get((p["segment"], p["position"])) or nothing)}
        for p in places
        if p["rid"] in by_rid
    ]


def _schema(names: tuple[str, ...]) -> pa.Schema:
    types = {RENAMED.get(field.name, field.name): field.type for field in ROLLOUTS} | EXTRA | {"terms": pa.list_(TERM)}
    return pa.schema([pa.field(name, types[name]) for name in names])


def _parquet(chunks: Iterator[list[Row]], names: tuple[str, ...]) -> Iterator[bytes]:
    schema = _schema(names)
    with tempfile.TemporaryFile(prefix="innovator-export-") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in chunks:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        file.seek(0)
        yield from _blocks(file)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(1 << 20):
        yield block


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def _csv_line(cells: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _csv_cell(value: Any) -> Any:
    """Return a cell of a spreadsheet.

    An apostrophe precedes text that a spreadsheet would run as a formula.
    """
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return dump_json(value) if isinstance(value, list) else _plain(value)
