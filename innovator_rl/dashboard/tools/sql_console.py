"""Run one SELECT of a user over the index.

It reads no files, changes nothing, and has limits on time and rows.

Three barriers protect the machine: the statement must be a single SELECT; it runs in a read-only transaction; and the database
was opened without access to any file but its own (`RolloutIndex`), so no SQL function reaches further. Text and nested values
are cut inside the database, which has a memory limit: Python receives at most `RESULT_CHARS` of them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import duckdb
import pyarrow as pa

from innovator_rl.dashboard.queries.rollouts import INTERNAL
from innovator_rl.dashboard.runs.labels import Labels
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.runs.reading import as_number

SQL_SECONDS = 5.0
SQL_ROWS = 1_000
SQL_CHARS = 20_000
SQL_COLUMNS = 500
CELL_CHARS = 10_000
RESULT_CHARS = 50_000_000
PLAIN = frozenset(
    (
        *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER"),
        *("UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_S"),
        *("TIMESTAMP_MS", "TIMESTAMP_NS", "INTERVAL", "UUID"),
    )
)
"""Types whose values have a fixed size; all others are shown as text."""
TABLES = ("responses", "groups", "metrics", "labels", "all_responses", "all_groups")
EXAMPLES = (
    "SELECT step, domain, avg(reward) AS reward, avg(response_tokens) AS tokens FROM responses GROUP BY ALL ORDER BY ALL",
    "SELECT reason, count(*) AS responses FROM responses WHERE NOT correct GROUP BY ALL ORDER BY 2 DESC",
    "SELECT term.name, avg(term.value) AS value FROM (SELECT unnest(terms) AS term FROM responses) GROUP BY ALL",
    "SELECT drop_reason, count(*) AS groups FROM groups GROUP BY ALL",
    "SELECT step, value FROM metrics WHERE name = 'actor/entropy' ORDER BY step",
)

_TEXTS, _NUMBERS = pa.string(), pa.int32()
LABELS = pa.schema(
    {"kind": _TEXTS, "step": _NUMBERS, "prompt_uid": _TEXTS, "sample_index": _NUMBERS}
    | {"label": _TEXTS, "note": _TEXTS}
)
METRICS = pa.schema([pa.field("step", pa.int32()), pa.field("name", pa.string()), pa.field("value", pa.float64())])

Row = dict[str, Any]


def run_sql(session: RunSession, labels: Labels, sql: str) -> Row:
    """Run one SELECT.

    Raise `RequestError` for any other statement, and for one that exceeds a limit.
    """
    if len(sql) > SQL_CHARS:
        raise RequestError(f"the statement must have at most {SQL_CHARS} characters, got {len(sql)}")
    inner = check_select(sql)
    began = time.monotonic()
    with _tables(session, labels) as cursor:
        timer = threading.Timer(SQL_SECONDS, cursor.interrupt)
        timer.start()
        try:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            columns = cursor.execute(f"DESCRIBE SELECT * FROM (\n{inner}\n)").fetchall()
            longest = _cell_chars(len(columns))
            rows = cursor.execute(_bounded(inner, [column[1] for column in columns], longest)).fetchall()
        except duckdb.InterruptException as error:
            raise RequestError(f"the query took longer than {SQL_SECONDS:.0f} s", 413) from error
        except (duckdb.Error, MemoryError) as error:
            raise RequestError(_sentence(error)) from error
        finally:
            timer.cancel()
            with contextlib.suppress(duckdb.Error):
                cursor.execute("ROLLBACK")
    return {
        "columns": [column[0] for column in columns],
        "types": [column[1] for column in columns],
        "rows": [[_cell(value, longest) for value in row] for row in rows[:SQL_ROWS]],
        "truncated": len(rows) > SQL_ROWS,
        "milliseconds": round(1000 * (time.monotonic() - began), 2),
    }


def describe_sql(session: RunSession, labels: Labels) -> Row:
    """Return the tables with their columns, and examples."""
    with _tables(session, labels) as cursor:
        tables = []
        for name in TABLES:
            columns = cursor.execute(f"DESCRIBE {name}").fetchall()
            shown = [{"name": column[0], "type": column[1]} for column in columns if column[0] not in INTERNAL]
            tables.append({"name": name, "columns": shown})
    return {"tables": tables, "examples": list(EXAMPLES)}


def check_select(sql: str) -> str:
    """Return `sql` without its final semicolons.

    Raise `RequestError` unless it is one SELECT.
    """
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise RequestError(_sentence(error)) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise RequestError("expected exactly one SELECT statement")
    for offset, kind in duckdb.tokenize(sql):  # one statement: its first semicolon ends it
        if kind == duckdb.token_type.operator and sql.encode()[offset : offset + 1] == b";":
            return sql.encode()[:offset].decode()
    return sql


@contextlib.contextmanager
def _tables(session: RunSession, labels: Labels) -> Any:
    with session.index.cursor() as cursor:
        cursor.register("metrics", session.cached("metrics-table", ("metrics",), lambda: _metrics(session)))
        named = [{**row, "prompt_uid": row["uid"]} for row in labels.all()]
        cursor.register("labels", pa.Table.from_pylist(named, schema=LABELS))
        yield cursor


def _metrics(session: RunSession) -> pa.Table:
    rows = [
        {"step": line["step"], "name": name, "value": float(value)}
        for line in session.metrics()
        for name, value in line.items()
        if "/" in name and as_number(value) is not None
    ]
    return pa.Table.from_pylist(rows, schema=METRICS)


def _cell_chars(columns: int) -> int:
    if columns > SQL_COLUMNS:
        raise RequestError(f"the result must have at most {SQL_COLUMNS} columns, got {columns}")
    return min(CELL_CHARS, RESULT_CHARS // (SQL_ROWS * max(1, columns)))


def _bounded(sql: str, types: list[str], longest: int) -> str:
    """Return a statement with bounded results.

    One extra row, or character per cell, reveals that there is more.
    """
    shown = []
    for number, kind in enumerate(types):
        if kind == "BLOB":
            shown.append(f"octet_length(c{number}) || ' bytes'")
        elif kind.partition("(")[0] in PLAIN and not kind.endswith("]"):
            shown.append(f"c{number}")
        else:
            shown.append(f"left(c{number}::VARCHAR, {longest + 1})")
    names = ", ".join(f"c{number}" for number in range(len(types)))
    return f"SELECT {', '.join(shown)} FROM (\n{sql}\n) AS result({names}) LIMIT {SQL_ROWS + 1}"


def _cell(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        return f"{value[:longest]}... (more than {longest} characters)"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value


def _sentence(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return "\n".join(lines[:4])[:600] or type(error).__name__
