"""List, write and merge the Parquet segments of a run's record.

The segments that make up the record are found by their names alone. A writer adds a segment about every second, so that
a step of minutes leaves dozens. `compact` merges a finished step's segments into one whose footer lists what it
replaces, and then deletes those. If it is killed in between, both exist: the listing leaves out what a merged segment
replaces, so that no row is read twice.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from innovator_rl.rollouts.schema import REPEATING, SCHEMAS, SEGMENT_NAME, segment_name, step_directory
from innovator_rl.runs.reading import MOST_STEP

# A reader that wants one row decodes its row group: at most this many rows, and about this many tokens of a series.
ROW_GROUP_ROWS = 1024
ROW_GROUP_TOKENS = 131_072
FEWEST_ROW_GROUP_ROWS = 16
STEP_DIRECTORY = re.compile(r"^step=(\d{1,12})$", re.ASCII)
COMPACTED = "compacted"  # the writer's name in merged segments
REPLACES = b"innovator_rl.replaces"
PARQUET_MAGIC = b"PAR1"
FEWEST_TO_COMPACT = 4
LEFT_BEHIND_SECONDS = 60.0  # a temporary file lives for one write
SETTLED_NANOSECONDS = 2_000_000_000  # two files can land within one tick of a directory's time stamp


@dataclass(frozen=True, order=True)
class Segment:
    """One file of the record, as described by its name."""

    step: int
    kind: str
    attempt: int
    path: Path

    @property
    def compacted(self) -> bool:
        """Return whether it was merged from others."""
        return f"-{COMPACTED}-" in self.path.name


def _is_whole(path: Path) -> bool:
    """Return whether the file begins and ends as Parquet does.

    A power failure can leave a renamed file without its contents.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(4)
            handle.seek(-4, os.SEEK_END)
            return head == PARQUET_MAGIC == handle.read(4)
    except OSError:
        return False


def _replaced_by(path: Path) -> set[str]:
    try:
        return set(json.loads((pq.read_metadata(path).metadata or {}).get(REPLACES, b"[]")))
    except (OSError, ValueError, pa.ArrowException):
        return set()


@dataclass(frozen=True)
class Listing:
    """The contents of a step's directory: segments, and the reasons of other files."""

    segments: tuple[Segment, ...]
    problems: tuple[tuple[Path, str], ...]


def _list_directory(directory: Path, step: int) -> Listing:
    found, problems = [], []
    for path in sorted(directory.iterdir()):
        match = SEGMENT_NAME.match(path.name)
        why = _not_a_segment(path, match is not None)
        if match and not why and int(match["attempt"]) <= MOST_STEP:
            found.append(Segment(step, match["kind"], int(match["attempt"]), path))
        elif why:
            problems.append((path, why))
    # A merged segment next to others: `compact` was killed before it deleted them, or newer segments have been added.
    # Footers are read in this case alone; otherwise names are enough.
    merged = [segment for segment in found if segment.compacted]
    if merged and len(found) > len(merged):
        replaced = set().union(*(_replaced_by(segment.path) for segment in merged))
        found = [segment for segment in found if segment.path.name not in replaced]
    return Listing(tuple(found), tuple(problems))


def _not_a_segment(path: Path, named_like_one: bool) -> str:
    """Return why a file is not read; empty for a segment and for one being written."""
    if path.is_symlink():
        return "a link: links are not followed"
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return "not a regular file"
    except OSError:
        return ""
    if named_like_one:
        return "" if _is_whole(path) else "cut short: it does not begin and end as a Parquet file does"
    if path.name.startswith(".") and path.name.endswith(".tmp"):
        try:
            old = time.time() - path.stat().st_mtime > LEFT_BEHIND_SECONDS
        except OSError:
            return ""
        return "half-written: its writer was killed" if old else ""
    return "not part of the record: its name has neither kind nor attempt"


class SegmentCatalog:
    """A run's segments; a step's directory is listed again only after it has changed."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._seen: dict[Path, tuple[int, Listing]] = {}
        self._guard = threading.Lock()

    def steps(self, dataset: str) -> list[int]:
        """Return the steps that have a directory in `dataset`, ascending."""
        try:
            with os.scandir(self.run_dir / dataset) as entries:
                names = [entry.name for entry in entries]
        except OSError:
            return []
        return sorted(
            int(match[1]) for name in names if (match := STEP_DIRECTORY.match(name)) and int(match[1]) <= MOST_STEP
        )

    def segments(
        self, dataset: str, steps: Iterable[int] | None = None, kind: str | None = None, all_attempts: bool = False
    ) -> list[Segment]:
        """Return the segments of the given steps and kind.

        The newest attempt of each step and kind counts. Updates of later attempts count too: with `rollout.max_staleness`
        above 0 an attempt trains responses that an earlier one generated before the checkpoint.

        Args:
            dataset: One of `DATASETS`.
            steps: The steps; None for all.
            kind: `train` or `validation`; None for both.
            all_attempts: Whether to return all attempts of each step and kind, or the newest only.
        """
        listed: list[Segment] = []
        for step in self.steps(dataset) if steps is None else sorted(set(steps)):
            listed.extend(s for s in self._directory(dataset, step).segments if kind is None or s.kind == kind)
        if all_attempts:
            return listed
        first = _newest_attempts(listed)
        if dataset == "updates":
            generated = _newest_attempts(self.segments("rollouts", {segment.step for segment in listed}, kind, True))
            first |= {key: attempt for key, attempt in generated.items() if key in first}
        return [segment for segment in listed if segment.attempt >= first[segment.step, segment.kind]]

    def problems(self, dataset: str) -> list[tuple[Path, str]]:
        """Return the files in `dataset` that are not read, each with the reason."""
        return [found for step in self.steps(dataset) for found in self._directory(dataset, step).problems]

    def forget(self) -> None:
        """Read every directory again at the next call."""
        with self._guard:
            self._seen.clear()

    def _directory(self, dataset: str, step: int) -> Listing:
        directory = self.run_dir / dataset / step_directory(step)
        try:
            stamp = directory.stat().st_mtime_ns
        except OSError:
            return Listing((), ())
        with self._guard:
            known = self._seen.get(directory)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            found = _list_directory(directory, step)
        except OSError:
            return Listing((), ())
        # Cache a listing only once its directory has been still for a while: a file added within the clock tick of this
        # time stamp would never change it, and would stay unseen.
        if time.time_ns() - stamp > SETTLED_NANOSECONDS:
            with self._guard:
                self._seen[directory] = (stamp, found)
        return found


def _newest_attempts(segments: Iterable[Segment]) -> dict[tuple[int, str], int]:
    """Return the newest attempt of each step and kind."""
    newest: dict[tuple[int, str], int] = {}
    for segment in segments:
        key = (segment.step, segment.kind)
        newest[key] = max(segment.attempt, newest.get(key, 0))
    return newest


def write_segment(directory: Path, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> int:
    """Write tables as one segment that appears whole or not at all.

    Args:
        directory: Folder of the step, made if absent.
        name: File name of the segment.
        tables: Its rows, in order.
        schema: The columns of every table.

    Returns:
        The size of the segment in bytes.

    Raises:
        OSError: The disk refused; no temporary file is left.
    """
    temporary = directory / f".{name}.tmp"
    repeating = [column for column in REPEATING if column in schema.names]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as handle:
            with pq.ParquetWriter(handle, schema, compression="zstd", use_dictionary=repeating) as writer:
                for table in tables:
                    writer.write_table(table, row_group_size=_row_group_rows(table))
            handle.flush()
            os.fsync(handle.fileno())
            size = handle.tell()
        temporary.replace(directory / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return size


def _row_group_rows(table: pa.Table) -> int:
    """Return the rows per row group: fewer where each row has thousands of tokens."""
    lengths = [pc.list_value_length(table[field.name]) for field in table.schema if pa.types.is_list(field.type)]
    per_row = max((pc.mean(n.filter(pc.greater(n, 0))).as_py() or 1 for n in lengths), default=1)
    return max(FEWEST_ROW_GROUP_ROWS, min(ROW_GROUP_ROWS, int(ROW_GROUP_TOKENS // per_row)))


def compact(run_dir: Path, dataset: str, step: int, kind: str, attempt: int) -> int:
    """Merge one step's segments of one kind and attempt into one.

    Args:
        run_dir: The run directory.
        dataset: `rollouts`, `tokens` or `updates`.
        step: Training step.
        kind: `train` or `validation`.
        attempt: Number of the attempt, from 1.

    Returns:
        The number of segments that were merged; 0 when there are too few to merge.

    Raises:
        OSError: The disk refused.
    """
    listed = SegmentCatalog(run_dir).segments(dataset, [step], kind, all_attempts=True)
    parts = [segment.path for segment in listed if segment.attempt == attempt]
    if len(parts) < FEWEST_TO_COMPACT:
        return 0
    schema = SCHEMAS[dataset]
    names = json.dumps([path.name for path in parts]).encode()
    merged = schema.with_metadata({**(schema.metadata or {}), REPLACES: names})
    name = segment_name(kind, attempt, COMPACTED, secrets.token_hex(4), 0)
    # The merged segment is complete, and lists what it replaces, before the first of those disappears.
    write_segment(parts[0].parent, name, _in_row_groups(parts, merged), merged)
    for path in parts:
        path.unlink(missing_ok=True)
    return len(parts)


def _in_row_groups(paths: list[Path], schema: pa.Schema) -> Iterable[pa.Table]:
    waiting: list[pa.Table] = []
    for path in paths:
        waiting.append(pq.read_table(path, partitioning=None, schema=schema.remove_metadata()).cast(schema))
        if sum(table.num_rows for table in waiting) >= ROW_GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
