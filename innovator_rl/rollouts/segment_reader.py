"""Read single rows of segments.

This is the second phase of every query, after the index has located the rows. A row is at a position in a segment (a
path relative to the run directory). Only its row group is decoded, and only the wanted columns of it. Memory is bounded
by one row group; nothing is cached but footers and the keys of a few segments.
"""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from innovator_rl.errors import StorageError

OPEN_FOOTERS = 64
KEPT_KEYS = 6  # segments

Row = dict[str, Any]
Place = tuple[str, int]  # segment path relative to the run directory, position in it


class UnreadableRow(StorageError, ValueError):
    """A row that is damaged or absent; the message names the segment."""


class SegmentReader:
    """Random access to a run's segments, from several threads at once."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._footers: OrderedDict[str, tuple[pq.FileMetaData, list[int]]] = OrderedDict()
        self._keys: OrderedDict[str, dict[tuple[str, int], int]] = OrderedDict()
        self._guard = threading.Lock()

    def rows(self, places: Iterable[Place], columns: Sequence[str]) -> dict[Place, Row]:
        """Return the given columns at each place.

        Columns that a segment lacks are None; damaged places are missing.

        Raises:
            FileNotFoundError: A segment was merged away; look the places up again.
        """
        wanted: dict[tuple[str, int], list[int]] = defaultdict(list)
        for segment, position in places:
            wanted[segment, self._row_group(segment, position)].append(position)
        found: dict[Place, Row] = {}
        for (segment, group), positions in wanted.items():
            first = self._footer(segment)[1][group]
            try:
                table = self._read(segment, group, columns)
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, FileNotFoundError):
                    raise
                continue
            picked = table.take([position - first for position in positions]).to_pylist()
            for position, row in zip(positions, picked, strict=True):
                found[segment, position] = {name: row.get(name) for name in columns}
        return found

    def arrays(self, segment: str, position: int, columns: Sequence[str]) -> Row:
        """Return one row's columns that are not null.

        List columns become NumPy arrays, null entries in them NaN.

        Raises:
            UnreadableRow: The segment has no such row.
        """
        group = self._row_group(segment, position)
        table = self._read(segment, group, columns).slice(position - self._footer(segment)[1][group], 1)
        found: Row = {}
        for name in table.column_names:
            value = table[name].chunk(0)[0]
            if value.is_valid:
                found[name] = (
                    value.values.to_numpy(zero_copy_only=False) if pa.types.is_list(value.type) else value.as_py()
                )
        return found

    def groups(self, segment: str, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table | Exception]]:
        """Yield each row group's first position with its columns, or its error."""
        for group, first in enumerate(self._footer(segment)[1][:-1]):
            try:
                yield first, self._read(segment, group, columns)
            except FileNotFoundError:
                raise
            except (pa.ArrowException, OSError) as error:
                yield first, error

    def find(self, segment: str, prompt_uid: str, sample: int) -> int | None:
        """Return the position of a response in a segment that the index does not cover."""
        with self._guard:
            places = self._keys.get(segment)
        if places is None:
            with pq.ParquetFile(self.run_dir / segment, metadata=self._footer(segment)[0]) as file:
                table = file.read(columns=["prompt_uid", "sample"], use_threads=False)
            keys = zip(table["prompt_uid"].to_pylist(), table["sample"].to_pylist(), strict=True)
            places = {key: position for position, key in enumerate(keys)}
            with self._guard:
                self._keys[segment] = places
                while len(self._keys) > KEPT_KEYS:
                    self._keys.popitem(last=False)
        return places.get((prompt_uid, sample))

    def _read(self, segment: str, group: int, columns: Sequence[str]) -> pa.Table:
        metadata, _ = self._footer(segment)
        with pq.ParquetFile(self.run_dir / segment, metadata=metadata) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            return file.read_row_group(group, columns=present, use_threads=False)

    def _row_group(self, segment: str, position: int) -> int:
        starts = self._footer(segment)[1]
        if not 0 <= position < starts[-1]:
            raise UnreadableRow(f"{segment} has no row {position}")
        return bisect.bisect_right(starts, position) - 1

    def _footer(self, segment: str) -> tuple[pq.FileMetaData, list[int]]:
        with self._guard:
            if segment in self._footers:
                self._footers.move_to_end(segment)
                return self._footers[segment]
        metadata = pq.read_metadata(self.run_dir / segment)
        starts = [0]
        for group in range(metadata.num_row_groups):
            starts.append(starts[-1] + metadata.row_group(group).num_rows)
        with self._guard:
            self._footers[segment] = (metadata, starts)
            while len(self._footers) > OPEN_FOOTERS:
                self._footers.popitem(last=False)
        return metadata, starts
