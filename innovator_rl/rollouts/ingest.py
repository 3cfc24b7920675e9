"""Convert one step's segments into narrow Arrow tables for the index.

A segment may be damaged in one row group, lack columns of a newer schema, or be an unrelated file with a matching name.
What can be read is read. What cannot be read is reported, file by file, with the number of lost rows where it is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from innovator_rl.rollouts.schema import ROLLOUTS, UPDATES
from innovator_rl.rollouts.segments import Segment
from innovator_rl.rollouts.store import NARROW

ROLLOUT_COLUMNS = tuple(name for name in NARROW if name not in ("schema_version", "run"))
UPDATE_COLUMNS = ("step", "kind", "attempt", "prompt_uid", "sample", "kept", "drop_reason", "advantage")
KEY_COLUMNS = ("step", "kind", "attempt", "prompt_uid", "sample")
RENAMED = {"sample": "sample_index", "status": "generation_status"}
"""Columns whose name in the index differs from the name in the files: the index calls kept or dropped the status."""
PLACE = [pa.field("segment", pa.string()), pa.field("position", pa.int32())]
ROLLOUT_SCHEMA = pa.schema([*PLACE, *(ROLLOUTS.field(name) for name in ROLLOUT_COLUMNS)])
UPDATE_SCHEMA = pa.schema([*PLACE, *(UPDATES.field(name) for name in UPDATE_COLUMNS)])
INDEX_COLUMNS = tuple(RENAMED.get(name, name) for name in ROLLOUT_COLUMNS)
"""The narrow columns under their names in the index."""


@dataclass(frozen=True)
class SegmentProblem:
    """A file, or a part of one, that cannot be shown."""

    file: str
    why: str
    rows_lost: int | None = None


@dataclass
class Narrow:
    """The narrow columns of some segments, and what could not be read of them."""

    tables: list[pa.Table] = field(default_factory=list)
    problems: list[SegmentProblem] = field(default_factory=list)


def read_narrow(run_dir: Path, segments: list[Segment], schema: pa.Schema) -> Narrow:
    """Read the columns of `schema` (PLACE first) of every readable row group."""
    found = Narrow()
    for segment in segments:
        name = segment.path.relative_to(run_dir).as_posix()
        try:
            with pq.ParquetFile(segment.path) as file:
                _read_segment(file, segment, name, schema, found)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
            found.problems.append(SegmentProblem(name, _sentence(error)))
    return found


def _read_segment(file: pq.ParquetFile, segment: Segment, name: str, schema: pa.Schema, found: Narrow) -> None:
    wanted = schema.names[len(PLACE) :]
    present = [column for column in wanted if column in file.schema_arrow.names]
    missing = [column for column in KEY_COLUMNS if column not in present]
    if missing:
        found.problems.append(
            SegmentProblem(name, f"not a record of responses: no column {', '.join(missing)}", _rows(file))
        )
        return
    try:
        table = file.read(columns=present, use_threads=False)
        found.tables += _shaped(table, 0, segment, name, schema, found)
    except (pa.ArrowException, OSError):
        first = 0
        for group in range(file.num_row_groups):  # one damaged row group does not hide its neighbors
            rows = file.metadata.row_group(group).num_rows
            try:
                table = file.read_row_group(group, columns=present, use_threads=False)
                found.tables += _shaped(table, first, segment, name, schema, found)
            except (pa.ArrowException, OSError) as error:
                found.problems.append(
                    SegmentProblem(name, f"rows {first} to {first + rows - 1} are damaged: {_sentence(error)}", rows)
                )
            first += rows


def _shaped(
    table: pa.Table, first: int, segment: Segment, name: str, schema: pa.Schema, found: Narrow
) -> list[pa.Table]:
    arrays: list[pa.Array | pa.ChunkedArray] = [
        pa.repeat(name, table.num_rows),
        pa.array(np.arange(first, first + table.num_rows, dtype=np.int32)),
    ]
    for column in list(schema)[len(PLACE) :]:
        if column.name in table.column_names:
            arrays.append(table[column.name].cast(column.type))
        else:
            arrays.append(pa.nulls(table.num_rows, column.type))
    shaped = pa.Table.from_arrays(arrays, schema=schema)
    own = pc.and_(pc.equal(shaped["step"], segment.step), pc.equal(shaped["kind"], segment.kind))
    own = pc.and_(own, pc.equal(shaped["attempt"], segment.attempt))
    own = pc.and_(own, pc.and_(pc.is_valid(shaped["prompt_uid"]), pc.is_valid(shaped["sample"])))
    kept = shaped if pc.all(own, min_count=0).as_py() and not own.null_count else shaped.filter(own)
    if kept.num_rows < shaped.num_rows:
        lost = shaped.num_rows - kept.num_rows
        found.problems.append(
            SegmentProblem(name, "rows whose key is empty or is not the one in the file's name", lost)
        )
    return [kept]


def _rows(file: pq.ParquetFile) -> int:
    return int(file.metadata.num_rows)


def _sentence(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
