"""Keep the replies of endpoints in an SQLite file, so that nothing is asked twice.

Only answers are kept: an endpoint that failed is asked again the next time. A process that is killed loses at most the
replies that were still on their way. Several processes may share a file.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

from innovator_rl.endpoints.messages import ChatReply
from innovator_rl.errors import UserError

KEPT = ("", "no_content")  # an answer without text was paid for and would be the same again


class ReplyCache:
    """Replies by the key of their request.

    Args:
        path: The SQLite file; it is created with its folder.

    Raises:
        UserError: The file is something else or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)")
        except (sqlite3.Error, OSError) as error:
            raise UserError(
                f"cache {str(path)!r} cannot be used ({error}): must be an SQLite file of replies"
            ) from None

    def get(self, key: str) -> ChatReply | None:
        """Return the reply of a request that was answered before."""
        row = self._database.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return replace(ChatReply(**json.loads(row[0])), cached=True) if row else None

    def put(self, key: str, reply: ChatReply) -> None:
        """Keep a reply if it is an answer."""
        if reply.reason in KEPT:
            text = json.dumps(reply.as_dict(), ensure_ascii=True)
            self._database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, text))

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM replies").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._database.close()
