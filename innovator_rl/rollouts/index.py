"""Index one run's record in a disposable DuckDB file.

The index has every narrow column and follows the Parquet segments, which are the only source of truth: deleting
`.index/` costs a rebuild of seconds. A step whose files changed is read again whole (8,000 responses take tens of
milliseconds), so merging, late updates and new attempts need no special case. Rows keep their number `rid`. The
database cannot open any other file, whatever SQL is executed.

`responses` and `groups` are the steps that count. Those that a resumed attempt abandoned are in `all_responses` and
`all_groups`, where the column `superseded` tells them apart.

    index = RolloutIndex(Path("runs/demo"))
    index.refresh()
    index.query("SELECT domain, avg(reward) AS reward FROM responses WHERE step = ? GROUP BY ALL", [12])
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from innovator_rl.errors import StorageError
from innovator_rl.rollouts.fulltext import FullTextIndex
from innovator_rl.rollouts.index_sql import GROUPS, NO_OLD_ROWS, STAGE, STORE, STORE_GROUPS
from innovator_rl.rollouts.ingest import SegmentProblem, StepFiles, StepRows, joined_steps, read_step
from innovator_rl.rollouts.segments import SegmentCatalog
from innovator_rl.rollouts.step_figures import FIGURES, MOST_ROWS, TERM_FIGURES
from innovator_rl.runs.reading import last_steps, read_record

INDEX_VERSION = 4
INDEX_DIRECTORY = ".index"
FIRST_ROWS = 16_000
CHUNK_ROWS = 122_880
"""Responses that go into the index at once, if they are no more than CHUNK_BYTES: so many fill a row group of DuckDB, which
then writes them once; fewer are written to its log first."""
CHUNK_BYTES = 64 << 20
REFUSALS = (duckdb.Error, pa.ArrowException, ValueError, TypeError, OverflowError)
"""Errors of a step whose rows the database does not take."""
MEASURES = ("entropy", "clip_low", "clip_high", "gap", "repetition")

T = TypeVar("T")
Row = dict[str, Any]
StepKey = tuple[int, str]
AGGREGATES = {"stored_step_figures": FIGURES, "stored_term_figures": TERM_FIGURES}
VIEWS = ("responses", "groups", "step_figures", "term_figures")
"""What queries read; the rows are in tables with the prefix `stored_`, those of abandoned steps included."""
MOST_ATTEMPTS = 200  # the newest; each is a condition of every query
ODD = re.compile(r"[?\\\udc80-\udcff]")
"""Characters of a path that DuckDB takes for a part of a URL or for a separator, or cannot write: such a run is indexed
elsewhere."""
log = logging.getLogger(__name__)


class RolloutIndex:
    """One run's index; refreshes take turns, queries come from any thread."""

    def __init__(self, run_dir: Path, threads: int = 2, memory_mb: int = 144) -> None:
        self.run_dir = run_dir
        self.catalog = SegmentCatalog(run_dir)
        self._config: dict[str, Any] = {
            "threads": threads,
            "memory_limit": f"{memory_mb}MB",
            "enable_external_access": "false",  # SQL may come from a browser: it may open no other file
            "python_enable_replacements": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "allow_community_extensions": "false",
        }
        self._refreshing = threading.Lock()
        self._lock_file = -1
        self._limits: dict[int, int] = {}
        self.temporary = False
        self.directory = self._take_directory()
        self._open()

    # Opening: in the run directory, or in a temporary one when that cannot be written or another process uses it.

    def _take_directory(self) -> Path:
        wanted = self.run_dir / INDEX_DIRECTORY
        try:
            if ODD.search(str(wanted)):
                raise OSError(f"{str(wanted)!r} has a name that a database cannot have")
            if wanted.is_symlink():
                raise OSError(f"{wanted} is a link")
            wanted.mkdir(exist_ok=True)
            self._lock_file = os.open(wanted / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if any(not stat.S_ISREG(path.lstat().st_mode) for path in wanted.iterdir() if path.suffix != ".tmp"):
                raise OSError(f"{wanted} holds something that is not a file")
            return wanted
        except OSError:
            if self._lock_file >= 0:
                os.close(self._lock_file)
                self._lock_file = -1
            self.temporary = True
            return Path(tempfile.mkdtemp(prefix="innovator-index-"))

    def _open(self) -> None:
        try:
            self._connect()
            self.fulltext.require_build()
        except Exception as error:  # whatever is wrong with a disposable file, it is built again
            log.warning("the index of %s is rebuilt: %s", self.run_dir.name, error)
            with contextlib.suppress(Exception):
                self._connection.close()
            for path in self.directory.iterdir():
                if path.name != "lock":
                    path.unlink()
            self._connect()
        self._create_views({})
        self._supersede()
        cursor = self._connection.cursor()
        found = cursor.execute("SELECT step, kind, signature, problems FROM steps").fetchall()
        self._signatures: dict[StepKey, str] = {(step, kind): signature for step, kind, signature, _ in found}
        self._problems: dict[StepKey, list[SegmentProblem]] = {
            (step, kind): [SegmentProblem(*problem) for problem in json.loads(problems)]
            for step, kind, _, problems in found
        }

    def _connect(self) -> None:
        self._connection = duckdb.connect(self.directory / "narrow.duckdb", config=self._config)
        cursor = self._connection
        known = cursor.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'about'").fetchone()
        if known is None:
            cursor.execute("CREATE TABLE about (version INTEGER, build VARCHAR)")
            cursor.execute("INSERT INTO about VALUES (?, ?)", [INDEX_VERSION, os.urandom(8).hex()])
            self._create_tables()
        version, build = cursor.execute("SELECT version, build FROM about").fetchall()[0]
        if version != INDEX_VERSION:
            raise StorageError(f"it has version {version}, expected {INDEX_VERSION}")
        self.fulltext = FullTextIndex(self.directory / "fulltext.sqlite", build)
        if self.fulltext.fresh:
            cursor.execute("UPDATE stored_responses SET indexed = false WHERE indexed")

    def _create_tables(self) -> None:
        cursor = self._connection
        cursor.execute(
            "CREATE TABLE steps (step INTEGER, kind VARCHAR, signature VARCHAR, problems VARCHAR, aggregated BOOLEAN)"
        )
        self._stage([read_step(self.run_dir, StepFiles(0, "train"))])
        cursor.execute(f"CREATE TABLE stored_responses AS {STORE}")
        cursor.execute(f"CREATE TABLE stored_groups AS {STORE_GROUPS}")
        for table, query in AGGREGATES.items():
            cursor.execute(f"CREATE TABLE {table} AS {query.format(where='false')}")

    def _create_views(self, limits: Mapping[int, int]) -> None:
        """Define what counts: `limits` is the last step of each attempt that a later one superseded."""
        abandoned = " OR ".join(f"(attempt = {int(a)} AND step > {int(last)})" for a, last in limits.items()) or "false"
        for name in VIEWS:
            own = f"SELECT *, ({abandoned}) AS superseded FROM stored_{name}"
            self._connection.execute(f"CREATE OR REPLACE VIEW all_{name} AS {own}")
            self._connection.execute(
                f"CREATE OR REPLACE VIEW {name} AS SELECT *, false AS superseded FROM stored_{name} WHERE NOT ({abandoned})"
            )
        self._limits = dict(limits)

    def _supersede(self) -> set[StepKey]:
        """Apply the attempts of run.json; return the steps that count no longer, or again."""
        record, _ = read_record(self.run_dir / "run.json")
        if record is None and self._limits:  # being replaced, or unreadable for now
            return set()
        limits = last_steps((record or {"attempts": []})["attempts"])
        limits = {attempt: limits[attempt] for attempt in sorted(limits)[-MOST_ATTEMPTS:]}
        if limits == self._limits:
            return set()
        asked = "SELECT DISTINCT step, kind FROM all_groups WHERE superseded"
        before = {(row["step"], row["kind"]) for row in self.query(asked)}
        self._create_views(limits)
        return before ^ {(row["step"], row["kind"]) for row in self.query(asked)}

    # Following the segments.

    def refresh(self) -> set[StepKey]:
        """Read the steps whose files changed and return them; cheap when nothing did."""
        with self._refreshing:
            wanted = self._listed()
            stale = [files for key, files in wanted.items() if self._signatures.get(key) != files.signature]
            gone = [key for key in self._signatures if key not in wanted]
            if gone:
                self._forget(gone)
            stale.sort(key=lambda files: files.key)  # newer rows get higher numbers
            for steps in _ahead(self._read(stale)):
                self._ingest(steps)
            if stale:
                pa.default_memory_pool().release_unused()
            return {*(files.key for files in stale), *gone, *self._supersede()}

    def _read(self, stale: list[StepFiles]) -> Iterator[list[StepRows]]:
        """Yield steps that go into the index together.

        The first steps come alone, so that a page has something to show early.
        """
        steps: list[StepRows] = []
        enough = FIRST_ROWS
        for files in stale:
            try:
                steps.append(read_step(self.run_dir, files))
            except FileNotFoundError:  # merged away between listing and reading: the next refresh sees the merged file
                self.catalog.forget()
                continue
            if (
                sum(step.rollouts.num_rows for step in steps) >= enough
                or sum(step.nbytes for step in steps) >= CHUNK_BYTES
            ):
                yield steps
                steps, enough = [], CHUNK_ROWS
        if steps:
            yield steps

    def aggregate(self) -> bool:
        """Compute the figures of the steps that have none; return whether there were any."""
        with self._refreshing:
            todo = self.query(
                """SELECT s.step, s.kind, coalesce(sum(g.samples), 0)::BIGINT AS samples FROM steps s
                   LEFT JOIN stored_groups g USING (step, kind) WHERE NOT s.aggregated GROUP BY ALL ORDER BY ALL"""
            )
            for chunk in _chunks(todo):
                where = " OR ".join(f"(step = {row['step']} AND kind = '{row['kind']}')" for row in chunk)
                with self._transaction() as cursor:
                    for table, query in AGGREGATES.items():
                        cursor.execute(f"DELETE FROM {table} WHERE {where}")
                        cursor.execute(f"INSERT INTO {table} {query.format(where=f'({where})')}")
                    cursor.execute(f"UPDATE steps SET aggregated = true WHERE {where}")
            return bool(todo)

    def _listed(self) -> dict[StepKey, StepFiles]:
        rollouts, updates = defaultdict(list), defaultdict(list)
        for segment in self.catalog.segments("rollouts"):
            rollouts[segment.step, segment.kind].append(segment)
        for segment in self.catalog.segments("updates"):
            updates[segment.step, segment.kind].append(segment)
        listed = {}
        for key, segments in rollouts.items():
            own = updates.get(key, [])
            names = "\n".join(sorted(segment.path.name for segment in (*segments, *own)))
            signature = hashlib.blake2b(names.encode(), digest_size=8).hexdigest()
            listed[key] = StepFiles(*key, signature, segments, own)
        return listed

    def _ingest(self, steps: list[StepRows]) -> None:
        """Index some steps; what cannot be indexed costs its own rows."""
        try:
            self._ingest_rows(steps)
        except REFUSALS as error:
            if len(steps) > 1:
                for step in steps:
                    self._ingest([step])
                return
            log.warning("step %s of %s is read file by file: %s", steps[0].files.key, self.run_dir.name, error)
            self._ingest_alone(steps[0].files)

    def _ingest_alone(self, files: StepFiles) -> None:
        """Index a step of which some file cannot be: without that file."""
        refused: list[SegmentProblem] = []
        kept = replace(files, signature="", rollouts=(), updates=())
        for dataset, segments in (("rollouts", files.rollouts), ("updates", files.updates)):
            for segment in segments:
                if dataset == "rollouts":
                    tried = replace(kept, rollouts=(*kept.rollouts, segment))
                else:
                    tried = replace(kept, updates=(*kept.updates, segment))
                try:
                    self._ingest_rows([read_step(self.run_dir, tried)])
                    kept = tried
                except REFUSALS as error:
                    why = (str(error).splitlines() or [type(error).__name__])[0][:200]
                    refused.append(SegmentProblem(segment.path.relative_to(self.run_dir).as_posix(), why))
        self._ingest_rows([read_step(self.run_dir, replace(kept, signature=files.signature))], refused)

    def _ingest_rows(self, steps: Sequence[StepRows], refused: Sequence[SegmentProblem] = ()) -> None:
        keys = [step.files.key for step in steps]
        problems = {step.files.key: [*step.problems, *refused] for step in steps}
        known = [key for key in keys if key in self._signatures]
        with self._transaction() as cursor:
            base = cursor.execute("SELECT coalesce(max(rid), 0) + 1 FROM stored_responses").fetchall()[0][0]
            self._stage(steps, base, known)
            self._delete(cursor, known)
            cursor.execute(f"INSERT INTO stored_responses BY NAME {STORE}")
            cursor.execute(f"INSERT INTO stored_groups BY NAME {STORE_GROUPS}")
            values: list[Any] = []
            for step in steps:
                found = json.dumps([(p.file, p.why, p.rows_lost) for p in problems[step.files.key]])
                values += [*step.files.key, step.files.signature, found]
            cursor.execute(f"INSERT INTO steps VALUES {', '.join(['(?, ?, ?, ?, false)'] * len(steps))}", values)
        self._signatures.update({step.files.key: step.files.signature for step in steps})
        self._problems.update(problems)

    def _stage(self, steps: Sequence[StepRows], base: int = 0, known: Sequence[StepKey] = ()) -> None:
        """Fill the temporary tables `staged` and `staged_groups`.

        Args:
            steps: The rows.
            base: The number that the first new row gets.
            known: Which of the steps are in the index already.
        """
        rollouts, updates = joined_steps(steps)
        self._connection.register("new_rollouts", rollouts)
        self._connection.register("new_updates", updates)
        mine = " OR ".join(f"(step = {step} AND kind = '{kind}')" for step, kind in known)
        old = f"(SELECT * FROM stored_responses WHERE {mine})" if known else NO_OLD_ROWS
        self._connection.execute(STAGE.format(base=base, old=old))
        self._connection.execute(GROUPS)

    def _forget(self, keys: Iterable[StepKey]) -> None:
        with self._transaction() as cursor:
            self._delete(cursor, keys)
        for key in list(keys):
            del self._signatures[key]
            self._problems.pop(key, None)

    @staticmethod
    def _delete(cursor: duckdb.DuckDBPyConnection, keys: Iterable[StepKey]) -> None:
        for step, kind in keys:
            for table in ("stored_responses", "stored_groups", "steps", *AGGREGATES):
                cursor.execute(f"DELETE FROM {table} WHERE step = ? AND kind = ?", [step, kind])

    @contextlib.contextmanager
    def _transaction(self) -> Any:
        self._connection.execute("BEGIN")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        finally:
            for name in ("new_rollouts", "new_updates"):
                self._connection.unregister(name)
            self._connection.execute("DROP TABLE IF EXISTS staged")
            self._connection.execute("DROP TABLE IF EXISTS staged_groups")

    def measure(self, table: pa.Table, columns: Sequence[str]) -> None:
        """Set columns of existing rows.

        Args:
            table: The column `rid` and the values.
            columns: The columns to set, of MEASURES or the flags `indexed` and `measured`.
        """
        with self._refreshing, self._transaction() as cursor:
            self._connection.register("new_rollouts", table)
            assignments = ", ".join(f"{name} = n.{name}" for name in columns)
            cursor.execute(f"UPDATE stored_responses r SET {assignments} FROM new_rollouts n WHERE r.rid = n.rid")
            if set(columns) & set(MEASURES):
                cursor.execute(
                    """UPDATE steps SET aggregated = false WHERE (step, kind) IN
                       (SELECT (step, kind) FROM stored_responses SEMI JOIN new_rollouts USING (rid))"""
                )

    # Queries.

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a separate connection for one thread's queries."""
        return self._connection.cursor()

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query as dictionaries."""
        with self.cursor() as cursor:
            cursor.execute(sql, list(values))
            names = [column[0] for column in cursor.description or []]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def problems(self) -> list[SegmentProblem]:
        """Return every file, or part of one, that cannot be shown, with the reason."""
        found = [
            SegmentProblem(path.relative_to(self.run_dir).as_posix(), why)
            for dataset in ("rollouts", "tokens", "updates")
            for path, why in self.catalog.problems(dataset)
        ]
        return found + [problem for problems in list(self._problems.values()) for problem in problems]

    def close(self) -> None:
        """Close the files and delete a temporary index."""
        with self._refreshing:
            self._connection.close()
            self.fulltext.close()
            if self._lock_file >= 0:
                os.close(self._lock_file)
                self._lock_file = -1
            if self.temporary:
                shutil.rmtree(self.directory, ignore_errors=True)


def _chunks(steps: list[Row]) -> Iterator[list[Row]]:
    """Split steps so that each part has about MOST_ROWS responses."""
    chunk: list[Row] = []
    rows = 0
    for step in steps:
        if chunk and rows + step["samples"] > MOST_ROWS:
            yield chunk
            chunk, rows = [], 0
        chunk.append(step)
        rows += step["samples"]
    if chunk:
        yield chunk


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield items while a thread makes the next one, so that files are read while the database writes."""
    with ThreadPoolExecutor(1, "read-segments") as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item
