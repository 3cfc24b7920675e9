"""Finding texts: words by the index, regular expressions by reading, both narrowed by the rest of a selection.

Expressions are RE2 (DuckDB's), which never backtracks: no expression can hang the server. Reading goes newest step first
within a time limit; what was found stays, and the next request for the same search reads on.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from innovator_rl.dashboard.queries.filters import Selection
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.fulltext import MOST_HITS

SEARCH_SECONDS = 2.0
REMEMBERED = 16

Row = dict[str, Any]


@dataclass
class RegexSearch:
    """A search under way: segments still to read, the newest last, each from a position on, and the rids found."""

    condition: str
    values: list[Any]
    todo: list[tuple[int, str, int]]  # step, segment, first position
    steps: int
    found: list[int] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def left(self) -> int:
        """Steps not read to their end."""
        return len({step for step, _, _ in self.todo})


class Searches:
    """The searches of one server, by run and selection."""

    def __init__(self) -> None:
        self._held: OrderedDict[Any, RegexSearch] = OrderedDict()
        self._guard = threading.Lock()

    def hits(self, session: RunSession, chosen: Selection) -> tuple[list[int] | None, Row | None]:
        """The rids that `word` and `regex` leave (None: no such filter), and how far the search got."""
        if not chosen.word and not chosen.regex:
            return None, None
        by_word: list[int] | None = None
        state: Row = {"complete": True, "scanned": 0, "of": 0, "capped": False}
        if chosen.word:
            by_word = session.cached(("word", chosen.word), ("rollouts", "words"), lambda: self._words(session, chosen))
            state["capped"] = len(by_word) > MOST_HITS
            done, total = session.cached("digested", ("rollouts", "words"), session.digest.progress)
            state.update(complete=done >= total, scanned=done, of=total)
            if not chosen.regex:
                return by_word, state
        search = self._regex(session, chosen, by_word)
        with search.guard:
            _read_on(session, search, chosen.regex)
        state.update(complete=not search.todo, scanned=search.steps - search.left, of=search.steps)
        return list(search.found), state

    @staticmethod
    def _words(session: RunSession, chosen: Selection) -> list[int]:
        return session.index.words.search(chosen.word)

    def _regex(self, session: RunSession, chosen: Selection, by_word: list[int] | None) -> RegexSearch:
        check_regex(chosen.regex)
        key = (session.run.path, chosen.key, session.versions["rollouts"])
        with self._guard:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        condition, values = chosen.where, list(chosen.values)
        if by_word is not None:
            condition, values = f"{condition} AND rid IN (SELECT unnest(?::BIGINT[]))", [*values, by_word]
        rows = session.index.ask(
            f"SELECT DISTINCT step, segment FROM responses WHERE {condition} ORDER BY step, segment", values
        )
        todo = [(row["step"], row["segment"], 0) for row in rows]
        search = RegexSearch(condition, values, todo, len({step for step, _, _ in todo}))
        with self._guard:
            self._held[key] = search
            while len(self._held) > REMEMBERED:
                self._held.popitem(last=False)
        return search


def check_regex(expression: str) -> None:
    """Raise `RequestError` for an expression RE2 refuses."""
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
            rows = session.index.ask(
                f"SELECT position, rid FROM responses WHERE {search.condition} AND segment = ?",
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
    connection.register("texts", numbered)
    try:
        found = connection.execute("SELECT position FROM texts WHERE regexp_matches(response, ?)", [expression])
        return [row[0] for row in found.fetchall()]
    finally:
        connection.unregister("texts")
