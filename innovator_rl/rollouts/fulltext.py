"""Index the full text of a run's responses in SQLite, with a preview of each.

The index stores no text of its own (contentless, without positions). It finds the responses that contain all given
words in milliseconds, at about a tenth of the text's size. Rows have the same numbers as in the rollout index. CJK
characters, which are written without spaces, count as a word each.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from innovator_rl.errors import StorageError

PREVIEW_CHARS = 240
INDEXED_CHARS = 200_000  # words after this are not found; a response this long is a defect, not an answer
MOST_HITS = 100_000
PAGE_BYTES = 8_192
HASH_BYTES = 8 << 20  # of words in memory before a part of the index is written
CJK = re.compile(r"([\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff])")
WORD = re.compile(r"[^\W_]+\*?")


class FullTextIndex:
    """One run's full-text index: one thread writes, any thread queries.

    Raises:
        sqlite3.Error: The file is damaged.
    """

    def __init__(self, path: Path, build: str) -> None:
        self._path, self._build = path, build
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._writer = self._connect()
        self._writer.executescript(
            f"""
            PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
            CREATE TABLE IF NOT EXISTS about (build TEXT);
            CREATE TABLE IF NOT EXISTS previews (rid INTEGER PRIMARY KEY, preview TEXT, prompt TEXT);
            CREATE VIRTUAL TABLE IF NOT EXISTS fulltext USING fts5(text, content='', detail=none);
            """
        )
        self.fresh = self._writer.execute("SELECT count(*) FROM about").fetchone()[0] == 0
        if self.fresh:  # a step is one write; written parts are merged sixteen at a time, not again and again
            self._writer.execute("INSERT INTO fulltext (fulltext, rank) VALUES ('automerge', 0)")
            self._writer.execute("INSERT INTO fulltext (fulltext, rank) VALUES ('hashsize', ?)", (HASH_BYTES,))
            self._writer.execute("INSERT INTO about VALUES (?)", (build,))
            self._writer.commit()
        self._reader = self._connect()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, check_same_thread=False, timeout=10)

    def require_build(self) -> None:
        """Raise `StorageError` for a file of another build of the rollout index."""
        if self._writer.execute("SELECT build FROM about").fetchone()[0] != self._build:
            raise StorageError("its full-text index belongs to another build")

    def add(self, rows: Sequence[tuple[int, str, str, str | None]]) -> None:
        """Index `(rid, text, preview, prompt)` rows; they are found after `commit`.

        The prompt is its first characters; it is needed for one response of a group only.

        A row that has been indexed before is left as it is.
        """
        with self._writing:
            wanted = json.dumps([row[0] for row in rows])
            chosen = "SELECT rid FROM previews WHERE rid IN (SELECT value FROM json_each(?))"
            known = {rid for (rid,) in self._writer.execute(chosen, [wanted])}
            new = [row for row in rows if row[0] not in known] if known else rows
            self._writer.executemany("INSERT INTO previews VALUES (?, ?, ?)", ((rid, *shown) for rid, _, *shown in new))
            texts = ((rid, spaced(text)) for rid, text, *_ in new)
            self._writer.executemany("INSERT INTO fulltext (rowid, text) VALUES (?, ?)", texts)

    def commit(self) -> None:
        """Make the rows added so far visible to searches."""
        with self._writing:
            self._writer.commit()

    def previews(self, rids: Sequence[int]) -> dict[int, str]:
        """Return the first characters of the responses that have been indexed."""
        marks = ", ".join("?" * len(rids))
        with self._reading:
            return dict(self._reader.execute(f"SELECT rid, preview FROM previews WHERE rid IN ({marks})", tuple(rids)))

    def prompts(self, rids: Sequence[int]) -> dict[int, str]:
        """Return the first characters of the prompts that are stored with these responses."""
        chosen = "SELECT rid, prompt FROM previews WHERE prompt IS NOT NULL AND rid IN (SELECT value FROM json_each(?))"
        with self._reading:
            return dict(self._reader.execute(chosen, [json.dumps(list(rids))]))

    def search(self, query: str, most: int = MOST_HITS) -> list[int]:
        """Return the rids whose text has every word of a query, newest first.

        Args:
            query: Words; `word*` is a prefix.
            most: Up to one more than this number is returned, so that a caller notices a cut.
        """
        words = WORD.findall(spaced(query[:1000]))
        if not words:
            return []
        match = " AND ".join(f'"{word[:-1]}"*' if word.endswith("*") else f'"{word}"' for word in words[:32])
        with self._reading:
            found = self._reader.execute(
                "SELECT rowid FROM fulltext WHERE fulltext MATCH ? ORDER BY rowid DESC LIMIT ?", (match, most + 1)
            )
            return [row[0] for row in found]

    def close(self) -> None:
        """Close the file."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


def spaced(text: str) -> str:
    """Return the text, cut to INDEXED_CHARS, with spaces around CJK characters."""
    text = text[:INDEXED_CHARS]
    return text if text.isascii() or not CJK.search(text) else CJK.sub(r" \1 ", text)
