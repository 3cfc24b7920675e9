"""Search prompts and responses.

Words are found in the full-text index, regular expressions by reading the segments.

The other filters narrow both. Expressions are RE2 (DuckDB's), which never backtracks, so no expression can hang the server.
Reading starts at the newest step and stops at a time limit; the results stay, and the next request for the same search
continues where the last one stopped.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from innovator_rl.dashboard.queries.filters import Filters
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.fulltext import MOST_HITS

SEARCH_SECONDS = 2.0
REMEMBERED = 16

Row = dict[str, Any]


@dataclass
class RegexSearch:
    """A search in progress.

    It has the segments still to read, the newest last, and the rids found so far.
    """

    condition: str
    values: list[Any]
    todo: list[tuple[int, str, int]]  # step, segment, first position
    steps: int
    found: list[int] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def left(self) -> int:
        """Return the number of steps that are not read completely."""
        return len({step for step, _, _ in self.todo})


class Searches:
    """The searches of one server, by run and filters."""

    def __init__(self) -> None:
        self._searches: OrderedDict[Any, RegexSearch] = OrderedDict()
        self._guard = threading.Lock()

    def hits(self, session: RunSession, filters: Filters) -> tuple[list[int] | None, Row | None]:
        """Return the rids that match `word` and `regex`, and how far the search got.

        They are None without either.
        """
        if not filters.word and not filters.regex:
            return None, None
        by_word: list[int] | None = None
        state: Row = {"complete": True, "scanned": 0, "of": 0, "capped": False}
        if filters.word:
            by_word = session.cached(
                ("word", filters.word), ("rollouts", "words"), lambda: self._words(session, filters)
            )
            state["capped"] = len(by_word) > MOST_HITS
            done, total = session.cached("progress", ("rollouts", "words"), session.indexer.progress)
            state.update(complete=done >= total, scanned=done, of=total)
            if not filters.regex:
                return by_word, state
        search = self._regex(session, filters, by_word)
        with search.guard:
            _read_on(session, search, filters.regex)
        state.update(complete=not search.todo, scanned=search.steps - search.left, of=search.steps)
        return list(search.found), state

    @staticmethod
    def _words(session: RunSession, filters: Filters) -> list[int]:
        return session.index.fulltext.search(filters.word)

    def _regex(self, session: RunSession, filters: Filters, by_word: list[int] | None) -> RegexSearch:
        check_regex(filters.regex)
        key = (session.run.path, filters.key, session.versions["rollouts"])
        with self._guard:
            if key in self._searches:
                self._searches.move_to_end(key)
                return self._searches[key]
        condition, values = filters.where, list(filters.values)
        if by_word is not None:
            condition, values = f"{condition} AND rid IN (SELECT unnest(?::BIGINT[]))", [*values, by_word]
        rows = session.index.query(
            f"SELECT DISTINCT step, segment FROM {filters.table} WHERE {condition} ORDER BY step, segment", values
        )
        todo = [(row["step"], row["segment"], 0) for row in rows]
        search = RegexSearch(condition, values, todo, len({step for step, _, _ in todo}))
        with self._guard:
            self._searches[key] = search
            while len(self._searches) > REMEMBERED:
                self._searches.popitem(last=False)
        return search


def check_regex(expression: str) -> None:
    """Raise `RequestError` for an expression that RE2 does not accept."""
    try:
        with duckdb.connect() as connection:
            connection.execute("SELECT regexp_matches('', ?)", [expression])
    except duckdb.Error as error:
        raise RequestError(f"regex: {str(error).splitlines()[0][:200]}") from error


def _read_on(session: RunSession, search: RegexSearch, expression: str) -> None:
    """Read segments from the newest for SEARCH_SECONDS, at least one row group."""
    deadline = time.monotonic() + SEARCH_SECONDS
    with duckdb.connect(config={"threads": 1}) as connection:
        while search.todo and time.monotonic() < deadline:
            step, segment, start = search.todo.pop()
            rows = session.index.query(
                f"SELECT position, rid FROM all_responses WHERE {search.condition} AND segment = ?",
                [*search.values, segment],
            )
            places = {row["position"]: row["rid"] for row in rows if row["position"] >= start}
            for first, table in session.reader.groups(segment, ("response",)):
                if isinstance(table, Exception) or not any(first <= p < first + table.num_rows for p in places):
                    continue
                search.found += [places[p] for p in _matches(connection, table, first, expression) if p in places]
                if time.monotonic() > deadline and first + table.num_rows <= max(places):
                    search.todo.append((step, segment, first + table.num_rows))
                    break


def _matches(connection: duckdb.DuckDBPyConnection, table: pa.Table, first: int, expression: str) -> list[int]:
    numbered = table.append_column("position", pa.array(range(first, first + table.num_rows), pa.int64()))
    connection.register("responses", numbered)
    try:
        found = connection.execute("SELECT position FROM responses WHERE regexp_matches(response, ?)", [expression])
        return [row[0] for row in found.fetchall()]
    finally:
        connection.unregister("responses")
