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
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from innovator_rl.errors import StorageError
from innovator_rl.rollouts.fulltext import FullTextIndex
from innovator_rl.rollouts.ingest import RENAMED, ROLLOUT_SCHEMA, UPDATE_SCHEMA, SegmentProblem, read_narrow
from innovator_rl.rollouts.schema import DROP_REASON, SCORED
from innovator_rl.rollouts.segments import Segment, SegmentCatalog
from innovator_rl.rollouts.step_figures import FIGURES, MOST_ROWS, TERM_FIGURES
from innovator_rl.runs.reading import last_steps, read_record

INDEX_VERSION = 4
INDEX_DIRECTORY = ".index"
CHUNK_STEPS, CHUNK_ROWS = 2, 30_000  # steps read before their rows go into the index, at first; rows it is tuned to
MEASURES = ("entropy", "clip_low", "clip_high", "gap", "repetition")

Row = dict[str, Any]
StepKey = tuple[int, str]
Chunk = dict[StepKey, tuple[str, list[Segment], list[Segment]]]
AGGREGATES = {"stored_step_figures": FIGURES, "stored_term_figures": TERM_FIGURES}
VIEWS = ("responses", "groups", "step_figures", "term_figures")
"""What queries read; the rows are in tables with the prefix `stored_`, those of abandoned steps included."""
MOST_ATTEMPTS = 200  # the newest; each is a condition of every query
ODD = re.compile(r"[?\\\udc80-\udcff]")
"""Characters of a path that DuckDB takes for a part of a URL or for a separator, or cannot write: such a run is indexed
elsewhere."""
log = logging.getLogger(__name__)

STAGE = """
CREATE OR REPLACE TEMP TABLE staged AS
WITH updates AS (
    SELECT step, kind, prompt_uid, sample_index, bool_or(kept) AS kept, max(drop_reason) AS drop_reason,
           max(advantage) AS advantage
    FROM new_updates GROUP BY ALL
), updated AS (SELECT DISTINCT step, kind FROM new_updates)
SELECT coalesce(o.rid, {base} + n.number) AS rid, n.* EXCLUDE (number), u.kept, u.drop_reason, u.advantage,
       s.step IS NOT NULL AS updated, o.entropy, o.clip_low, o.clip_high, o.gap, o.repetition,
       coalesce(o.indexed, false) AS indexed,
       coalesce(o.measured, false) AND (o.kept IS NOT DISTINCT FROM u.kept) AS measured
FROM new_rollouts n
LEFT JOIN updates u USING (step, kind, prompt_uid, sample_index)
LEFT JOIN updated s USING (step, kind)
LEFT JOIN {old} o ON (o.step, o.kind, o.attempt, o.prompt_uid, o.sample_index)
                   = (n.step, n.kind, n.attempt, n.prompt_uid, n.sample_index)
{once}
"""
GROUPS = f"""
CREATE OR REPLACE TEMP TABLE staged_groups AS
SELECT *, CASE WHEN kind <> 'train' THEN 'validation' WHEN drop_reason IS NULL THEN 'pending' WHEN drop_reason = '' THEN 'kept'
               WHEN drop_reason = 'failed' THEN 'failed' ELSE 'dropped' END AS status
FROM (
    SELECT step, kind, attempt, prompt_uid, any_value(prompt_id) AS prompt_id, any_value(domain) AS domain,
           any_value(data_source) AS data_source, count(*)::INT AS samples, (count(*) FILTER (correct))::INT AS correct,
           (count(*) FILTER (status <> 'ok'))::INT AS failed, (count(*) FILTER (truncated))::INT AS truncated,
           avg(reward) FILTER ({SCORED}) AS reward_mean, stddev_pop(reward) FILTER ({SCORED}) AS reward_std,
           min(reward) FILTER ({SCORED}) AS reward_min, max(reward) FILTER ({SCORED}) AS reward_max,
           avg(response_tokens) AS tokens_mean, min(rid) AS rid,
           {DROP_REASON} AS drop_reason
    FROM (SELECT *, generation_status AS status FROM staged) GROUP BY step, kind, attempt, prompt_uid
)
"""
STORE = """
SELECT s.* EXCLUDE (drop_reason, updated, indexed, measured), g.drop_reason, g.status, s.indexed, s.measured
FROM staged s JOIN staged_groups g USING (step, kind, prompt_uid) ORDER BY s.step, s.kind, s.rid
"""


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
        self._register("new_rollouts", _numbered([ROLLOUT_SCHEMA.empty_table()]))
        self._register("new_updates", _renamed(UPDATE_SCHEMA.empty_table()))
        nothing = """(SELECT NULL::BIGINT AS rid, NULL::INT AS step, NULL AS kind, NULL::INT AS attempt, NULL AS prompt_uid,
            NULL::INT AS sample_index, NULL::BOOL AS kept, NULL::BOOL AS indexed, NULL::BOOL AS measured, NULL::FLOAT AS entropy,
            NULL::FLOAT AS clip_low, NULL::FLOAT AS clip_high, NULL::FLOAT AS gap, NULL::FLOAT AS repetition WHERE false)"""
        cursor.execute(STAGE.format(base=0, old=nothing, once=""))
        cursor.execute(GROUPS)
        cursor.execute(f"CREATE TABLE stored_responses AS {STORE}")
        cursor.execute("CREATE TABLE stored_groups AS FROM staged_groups")
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

    def _register(self, name: str, table: pa.Table) -> None:
        self._connection.register(name, table)

    # Following the segments.

    def refresh(self) -> set[StepKey]:
        """Read the steps whose files changed and return them; cheap when nothing did."""
        with self._refreshing:
            wanted = self._listed()
            stale = [key for key, (signature, _, _) in wanted.items() if self._signatures.get(key) != signature]
            gone = [key for key in self._signatures if key not in wanted]
            if gone:
                self._forget(gone)
            stale.sort()  # newer rows get higher numbers
            start, size = 0, CHUNK_STEPS
            while start < len(stale):
                rows = self._ingest({key: wanted[key] for key in stale[start : start + size]})
                start += size
                size = max(1, min(4 * size, size * CHUNK_ROWS // max(1, rows)))
            if stale:
                pa.default_memory_pool().release_unused()
            return {*stale, *gone, *self._supersede()}

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

    def _listed(self) -> dict[StepKey, tuple[str, list[Segment], list[Segment]]]:
        rollouts, updates = defaultdict(list), defaultdict(list)
        for segment in self.catalog.segments("rollouts"):
            rollouts[segment.step, segment.kind].append(segment)
        for segment in self.catalog.segments("updates"):
            updates[segment.step, segment.kind].append(segment)
        listed = {}
        for key, segments in rollouts.items():
            own = [u for u in updates.get(key, []) if u.attempt == segments[0].attempt]
            names = "\n".join(sorted(segment.path.name for segment in (*segments, *own)))
            listed[key] = (hashlib.blake2b(names.encode(), digest_size=8).hexdigest(), segments, own)
        return listed

    def _ingest(self, chunk: Chunk) -> int:
        """Index some steps; what cannot be indexed costs its own rows."""
        try:
            return self._ingest_rows(chunk)
        except (duckdb.Error, pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            if len(chunk) > 1:
                return sum(self._ingest({key: one}) for key, one in chunk.items())
            (key, (signature, rollouts, updates)), *_ = chunk.items()
            log.warning("step %s of %s is read file by file: %s", key, self.run_dir.name, error)
            return self._ingest_alone(key, signature, rollouts, updates)

    def _ingest_alone(self, key: StepKey, signature: str, rollouts: list[Segment], updates: list[Segment]) -> int:
        """Index a step of which some file cannot be: without that file."""
        refused: list[SegmentProblem] = []
        kept: tuple[list[Segment], list[Segment]] = ([], [])
        for number, segments in enumerate((rollouts, updates)):
            for segment in segments:
                tried = ([*kept[0], segment], kept[1]) if number == 0 else (kept[0], [*kept[1], segment])
                try:
                    self._ingest_rows({key: ("", *tried)})
                    kept = tried
                except (duckdb.Error, pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                    why = (str(error).splitlines() or [type(error).__name__])[0][:200]
                    refused.append(SegmentProblem(segment.path.relative_to(self.run_dir).as_posix(), why))
        return self._ingest_rows({key: (signature, *kept)}, refused)

    def _ingest_rows(self, chunk: Chunk, refused: Sequence[SegmentProblem] = ()) -> int:
        tables: dict[str, list[pa.Table]] = {"rollouts": [], "updates": []}
        problems: dict[StepKey, list[SegmentProblem]] = {}
        several = False
        for key, (_, rollouts, updates) in chunk.items():
            try:
                read = read_narrow(self.run_dir, rollouts, ROLLOUT_SCHEMA)
                joined = read_narrow(self.run_dir, updates, UPDATE_SCHEMA)
            except FileNotFoundError:  # merged away between listing and reading: the next refresh sees the merged file
                self.catalog.forget()
                continue
            tables["rollouts"] += read.tables
            tables["updates"] += joined.tables
            problems[key] = [*read.problems, *joined.problems, *refused]
            several = several or len(rollouts) > 1
        known = any(key in self._signatures for key in problems)
        with self._transaction() as cursor:
            self._register("new_rollouts", _numbered(tables["rollouts"]))
            updates_read = pa.concat_tables(tables["updates"] or [UPDATE_SCHEMA.empty_table()])
            self._register("new_updates", _renamed(updates_read))
            base = cursor.execute("SELECT coalesce(max(rid), 0) + 1 FROM stored_responses").fetchall()[0][0]
            mine = " OR ".join(f"(step = {step} AND kind = '{kind}')" for step, kind in problems) or "false"
            old = f"(SELECT * FROM stored_responses WHERE {mine if known else 'false'})"
            once = (
                "QUALIFY row_number() OVER (PARTITION BY n.step, n.kind, n.prompt_uid, n.sample_index) = 1"
                if several
                else ""
            )
            cursor.execute(STAGE.format(base=base, old=old, once=once))
            cursor.execute(GROUPS)
            if known:
                self._delete(cursor, problems)
            cursor.execute(f"INSERT INTO stored_responses {STORE}")
            cursor.execute("INSERT INTO stored_groups FROM staged_groups")
            for (step, kind), found in problems.items():
                as_json = json.dumps([(p.file, p.why, p.rows_lost) for p in found])
                cursor.execute(
                    "INSERT INTO steps VALUES (?, ?, ?, ?, false)", [step, kind, chunk[step, kind][0], as_json]
                )
        self._signatures.update({key: chunk[key][0] for key in problems})
        self._problems.update(problems)
        return sum(table.num_rows for table in tables["rollouts"])

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
            self._register("new_rollouts", table)
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


def _numbered(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables or [ROLLOUT_SCHEMA.empty_table()])
    return _renamed(table).append_column("number", pa.array(range(table.num_rows), pa.int64()))


def _renamed(table: pa.Table) -> pa.Table:
    """Rename the columns of a segment that have another name in the index."""
    return table.rename_columns([RENAMED.get(name, name) for name in table.column_names])
