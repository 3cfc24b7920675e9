"""Convert one step's segments into narrow Arrow tables for the index.

A segment may be damaged in one row group, lack columns of a newer schema, or be an unrelated file with a matching name.
What can be read is read. What cannot be read is reported, file by file, with the number of lost rows where it is known.

`read_step` numbers the groups of a step, so that the database joins responses and updates by two integers instead of five
columns with long names.
"""

from __future__ import annotations

from collections.abc import Sequence
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
PLACE = [pa.field("segment", pa.dictionary(pa.int32(), pa.string())), pa.field("position", pa.int32())]
PLACE_COLUMNS = tuple(column.name for column in PLACE)
ROLLOUT_SCHEMA = pa.schema([*PLACE, *(ROLLOUTS.field(name) for name in ROLLOUT_COLUMNS)])
UPDATE_SCHEMA = pa.schema([UPDATES.field(name) for name in UPDATE_COLUMNS])
JOINED_UPDATE_COLUMNS = ("group_number", "sample_index", "kept", "drop_reason", "advantage")
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


@dataclass(frozen=True)
class StepFiles:
    """The files of one step and kind, and a signature that changes with them."""

    step: int
    kind: str
    signature: str = ""
    rollouts: Sequence[Segment] = ()
    updates: Sequence[Segment] = ()

    @property
    def key(self) -> tuple[int, str]:
        """Return step and kind."""
        return (self.step, self.kind)


@dataclass(frozen=True)
class StepRows:
    """One step's rows under the names of the index, and what could not be read.

    `rollouts` has one row per response, with `group_number` (from 0) and `updated`: whether any update of the step is
    recorded. `updates` has JOINED_UPDATE_COLUMNS.
    """

    files: StepFiles
    rollouts: pa.Table
    updates: pa.Table
    groups: int
    problems: list[SegmentProblem]

    @property
    def nbytes(self) -> int:
        """Return the size in memory."""
        return int(self.rollouts.nbytes + self.updates.nbytes)


def read_step(run_dir: Path, files: StepFiles) -> StepRows:
    """Read what the index stores of one step.

    Where a response is in several segments, the first one counts.

    Raises:
        FileNotFoundError: A segment was merged away since it was listed.
    """
    read = read_narrow(run_dir, files.rollouts, ROLLOUT_SCHEMA)
    joined = read_narrow(run_dir, files.updates, UPDATE_SCHEMA)
    rollouts = pa.concat_tables(read.tables or [ROLLOUT_SCHEMA.empty_table()])
    updates = pa.concat_tables(joined.tables or [UPDATE_SCHEMA.empty_table()])
    updated = updates.num_rows > 0
    uids = pc.unique(rollouts["prompt_uid"])
    rollouts = rollouts.append_column("group_number", _group_numbers(rollouts, uids))
    rollouts = _one_row_per_response(rollouts)
    rollouts = rollouts.append_column("updated", pa.repeat(updated, rollouts.num_rows))
    updates = updates.append_column("group_number", _group_numbers(updates, uids))
    return StepRows(
        files=files,
        rollouts=_renamed(rollouts),
        updates=_renamed(updates).select(JOINED_UPDATE_COLUMNS),
        groups=len(uids),
        problems=[*read.problems, *joined.problems],
    )


def joined_steps(steps: Sequence[StepRows]) -> tuple[pa.Table, pa.Table]:
    """Return the responses and updates of several steps, responses and groups numbered from 0 on."""
    first = 0
    rollouts, updates = [], []
    for step in steps:
        rollouts.append(_shifted(step.rollouts, first))
        updates.append(_shifted(step.updates, first))
        first += step.groups
    table = pa.concat_tables(rollouts)
    return table.append_column("number", pa.array(np.arange(table.num_rows))), pa.concat_tables(updates)


def _group_numbers(table: pa.Table, uids: pa.Array) -> pa.ChunkedArray:
    """Return the place of each row's group in `uids`; null for an update whose response is not recorded."""
    return pc.index_in(table["prompt_uid"], value_set=uids).cast(pa.int64())


def _one_row_per_response(rollouts: pa.Table) -> pa.Table:
    keys = (np.asarray(rollouts["group_number"]) << 32) | np.asarray(rollouts["sample"]).astype(np.uint32)
    _, first = np.unique(keys, return_index=True)
    return rollouts if len(first) == len(keys) else rollouts.take(np.sort(first))


def _shifted(table: pa.Table, first: int) -> pa.Table:
    place = table.column_names.index("group_number")
    return table.set_column(place, "group_number", pc.add(table["group_number"], first))


def _renamed(table: pa.Table) -> pa.Table:
    return table.rename_columns([RENAMED.get(name, name) for name in table.column_names])


def read_narrow(run_dir: Path, segments: Sequence[Segment], schema: pa.Schema) -> Narrow:
    """Read the columns of `schema`, with PLACE where it has that, of every readable row group."""
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
    wanted = [column for column in schema.names if column not in PLACE_COLUMNS]
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
    zeros = pa.array(np.zeros(table.num_rows, np.int32))
    place = {
        "segment": pa.DictionaryArray.from_arrays(zeros, [name]),  # a name is longer than most rows: it is stored once
        "position": pa.array(np.arange(first, first + table.num_rows, dtype=np.int32)),
    }
    arrays: list[pa.Array | pa.ChunkedArray] = []
    for column in schema:
        if column.name in place:
            arrays.append(place[column.name])
        elif column.name in table.column_names:
            arrays.append(table[column.name].cast(column.type))
        else:
            arrays.append(pa.nulls(table.num_rows, column.type))
    shaped = pa.Table.from_arrays(arrays, schema=schema)
    own = pc.and_(pc.equal(shaped["step"], segment.step), pc.equal(shaped["kind"], segment.kind))
    own = pc.and_(own, pc.equal(shaped["attempt"], segment.attempt))
    own = pc.and_(own, pc.and_(pc.not_equal(shaped["prompt_uid"], ""), pc.is_valid(shaped["sample"])))
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
