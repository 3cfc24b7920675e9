"""The words of a run's responses in SQLite's full-text index, and each response's first characters.

The index holds no text of its own (contentless, without positions): it answers which responses contain all the given
words, in milliseconds, at about a tenth of the text's size. Rows are numbered as in the narrow index. CJK characters,
which stand without spaces, count as a word each.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

PREVIEW_CHARS = 240
INDEXED_CHARS = 200_000  # the words after this are not found; a response this long is a defect, not an answer
MOST_HITS = 100_000
PAGE_BYTES = 8_192
HASH_BYTES = 8 << 20  # of words held in memory before a part of the index is written
CJK = re.compile(r"([\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])")
WORD = re.compile(r"[^\W_]+\*?")


class FullTextIndex:
    """One run's word index. One thread writes; any thread asks. Raises `sqlite3.Error` when the file is damaged."""

    def __init__(self, path: Path, build: str) -> None:
        self._path, self._build = path, build
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._writer = self._connect()
        self._writer.executescript(
            f"""
            PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
            CREATE TABLE IF NOT EXISTS about (build TEXT);
            CREATE TABLE IF NOT EXISTS previews (rid INTEGER PRIMARY KEY, preview TEXT);
            CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text, content='', detail=none);
            """
        )
        self.fresh = self._writer.execute("SELECT count(*) FROM about").fetchone()[0] == 0
        if self.fresh:  # a step is one write; written parts are merged sixteen at a time, not again and again
            self._writer.execute("INSERT INTO words (words, rank) VALUES ('automerge', 0)")
            self._writer.execute("INSERT INTO words (words, rank) VALUES ('hashsize', ?)", (HASH_BYTES,))
            self._writer.execute("INSERT INTO about VALUES (?)", (build,))
            self._writer.commit()
        self._reader = self._connect()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, check_same_thread=False, timeout=10)

    def check(self) -> None:
        """Raise `ValueError` when the file belongs to another narrow index than the one beside it."""
        if self._writer.execute("SELECT build FROM about").fetchone()[0] != self._build:
            raise ValueError("its word index belongs to another build")

    def add(self, rows: Sequence[tuple[int, str, str]]) -> None:
        """Index `(rid, text, preview)` rows; a row that is known already is left as it is. Found after `commit`."""
        with self._writing:
            asked = json.dumps([row[0] for row in rows])
            chosen = "SELECT rid FROM previews WHERE rid IN (SELECT value FROM json_each(?))"
            known = {rid for (rid,) in self._writer.execute(chosen, [asked])}
            new = [row for row in rows if row[0] not in known] if known else rows
            self._writer.executemany("INSERT INTO previews VALUES (?, ?)", ((rid, preview) for rid, _, preview in new))
            texts = ((rid, spaced(text)) for rid, text, _ in new)
            self._writer.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", texts)

    def commit(self) -> None:
        """Let the rows added so far be found."""
        with self._writing:
            self._writer.commit()

    def previews(self, rids: Sequence[int]) -> dict[int, str]:
        """The first characters of the responses that have been read."""
        marks = ", ".join("?" * len(rids))
        with self._reading:
            return dict(self._reader.execute(f"SELECT rid, preview FROM previews WHERE rid IN ({marks})", tuple(rids)))

    def search(self, query: str, most: int = MOST_HITS) -> list[int]:
        """The rids whose text has every word of `query` (`word*`: a prefix), newest first, at most `most` + 1."""
        words = WORD.findall(spaced(query[:1000]))
        if not words:
            return []
        match = " AND ".join(f'"{word[:-1]}"*' if word.endswith("*") else f'"{word}"' for word in words[:32])
        with self._reading:
            found = self._reader.execute(
                "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?", (match, most + 1)
            )
            return [row[0] for row in found]

    def close(self) -> None:
        """Close the file."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


def spaced(text: str) -> str:
    """The text, cut to INDEXED_CHARS, with spaces around CJK characters."""
    text = text[:INDEXED_CHARS]
    return text if text.isascii() or not CJK.search(text) else CJK.sub(r" \1 ", text)
