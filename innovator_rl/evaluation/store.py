"""Keep every response of an evaluation on disk, so that a killed evaluation goes on where it ended.

lm-evaluation-harness has a request cache, but its vLLM backend stores under other keys than it looks up, and the key
names no checkpoint. Here the key is a hash of checkpoint, engine, prompt tokens, sampling parameters and sample
(`requests.request_key`): a response is found again if and only if the same model would be asked the same thing.

SQLite in write-ahead mode survives `kill -9`: what was committed is there, the rest is asked again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from innovator_rl.errors import UserError
from innovator_rl.evaluation.requests import Response, response_from_wire

LOOKUP_KEYS = 500  # below SQLite's bound on the variables of a statement


class ResponseStore:
    """The responses of one evaluation, by key."""

    def __init__(self, path: Path) -> None:
        """Open or create the store.

        Raises:
            UserError: The file cannot be written, or is no store.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, response TEXT NOT NULL)"
            )
            self._database.commit()
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{path} cannot be used as response store ({error}): free the disk or remove it") from None

    def get(self, keys: Iterable[str]) -> dict[str, Response]:
        """Return the stored responses of these keys; the others are absent."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Response] = {}
        for start in range(0, len(wanted), LOOKUP_KEYS):
            part = wanted[start : start + LOOKUP_KEYS]
            marks = ",".join("?" * len(part))
            rows = self._database.execute(f"SELECT key, response FROM responses WHERE key IN ({marks})", part)
            found.update((key, response_from_wire(json.loads(text))) for key, text in rows)
        return found

    def put(self, responses: Mapping[str, Response]) -> None:
        """Store responses; they are on disk when this returns.

        Raises:
            UserError: The disk refuses, for example because it is full. What was stored before stays.
        """
        rows = [(key, json.dumps(asdict(response))) for key, response in responses.items()]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO responses VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            raise UserError(
                f"{self.path} cannot be written ({error}): free the disk and start the same command again; "
                "it goes on from the stored responses"
            ) from None

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM responses").fetchone()[0])

    def __enter__(self) -> ResponseStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
