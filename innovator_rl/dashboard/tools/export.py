"""A selection as a download: JSON lines, Parquet or CSV, with texts or without, streamed a few hundred rows at a time."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from innovator_rl.dashboard.queries.filters import Selection
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.ingest import ROLLOUT_COLUMNS
from innovator_rl.rollouts.schema import ROLLOUTS, TERM
from innovator_rl.rollouts.store import TEXTS
from innovator_rl.runs.files import dump_json

FORMATS = {"jsonl": "application/x-ndjson", "parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
MOST_ROWS = 100_000
CHUNK_ROWS = 256
EXTRA = {
    **{
        "fate": pa.string(),
        "drop_reason": pa.string(),
        "kept": pa.bool_(),
        "advantage": pa.float32(),
        "entropy": pa.float32(),
    },
    **{"clip_low": pa.float32(), "clip_high": pa.float32(), "gap": pa.float32(), "repetition": pa.float32()},
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run these

Row = dict[str, Any]


def export_columns(columns: str) -> tuple[str, ...]:
    """The exported column names, `all` or `narrow`. Raises `RequestError`."""
    if columns not in ("all", "narrow"):
        raise RequestError(f"columns={columns[:40]}: use all or narrow")
    return (*ROLLOUT_COLUMNS, *EXTRA, *(TEXTS if columns == "all" else ()))


def selected(session: RunSession, chosen: Selection, order: str) -> list[Row]:
    """The places of the selected rows in order. Raises `RequestError` (413) when there are too many."""
    rows = session.index.ask(
        f"SELECT rid, segment, position FROM responses WHERE {chosen.where} ORDER BY {order}, step, rid LIMIT {MOST_ROWS + 1}",
        chosen.values,
    )
    if len(rows) > MOST_ROWS:
        raise RequestError(
            f"more than {MOST_ROWS} responses: narrow the selection, or use `innovator runs export`", 413
        )
    return rows


def export(session: RunSession, places: list[Row], form: str, names: tuple[str, ...]) -> Iterator[bytes]:
    """The file's bytes."""
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
    narrow = [name for name in names if name not in TEXTS]
    found = session.index.ask(
        f"SELECT rid, {', '.join(narrow)} FROM responses WHERE rid IN (SELECT unnest(?::BIGINT[]))",
        [[p["rid"] for p in places]],
    )
    by_rid = {row.pop("rid"): row for row in found}
    texts: dict[Any, Row] = {}
    if len(narrow) < len(names):
        texts = session.reader.rows([(p["segment"], p["position"]) for p in places], TEXTS)
    nothing = dict.fromkeys(TEXTS)
    return [
        {**by_rid[p["rid"]], **(texts.get((p["segment"], p["position"])) or nothing)}
        for p in places
        if p["rid"] in by_rid
    ]


def _schema(names: tuple[str, ...]) -> pa.Schema:
    types = {field.name: field.type for field in ROLLOUTS} | EXTRA | {"terms": pa.list_(TERM)}
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
    """A cell; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return dump_json(value) if isinstance(value, list) else _plain(value)
