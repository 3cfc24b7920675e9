"""Names for the folders of a machine, so that what is kept of a path holds on another machine too.

With runs in `/scratch/runs` and a checkout in `/home/me/project`, `runs_dir=/scratch/runs` is kept as `runs_dir={runs}`,
and `/home/me/project/datasets/product` as `{here}/datasets/product`.

    places = Places(runs_dir, here=checkout)
    places.long(places.short(text))  # the text again
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

TEXTS = frozenset((".html", ".json", ".jsonl", ".md", ".txt", ".yaml"))
"""Endings of files in which folders of the machine are replaced by their names."""


class Places:
    """The folders that commands, records and reports of a path name.

    Args:
        runs_dir: Folder of all runs.
        here: Folder from which the path runs; the current one without it.
    """

    def __init__(self, runs_dir: Path, here: Path | None = None) -> None:
        folders = {"{runs}": runs_dir, "{here}": here or Path.cwd(), "{home}": Path(os.path.expanduser("~"))}
        self._long = {name: str(path.absolute()) for name, path in folders.items() if len(path.absolute().parts) > 1}
        # Both ways to write a folder behind a symbolic link, also as JSON does it.
        written = [
            (spelled, name)
            for name, path in self._long.items()
            for form in (path, os.path.realpath(path))
            for spelled in (form, json.dumps(form)[1:-1])
        ]
        # The longest first: the runs may be below the folder from which the path runs. Of equal folders the first name counts.
        self._short = dict(sorted(reversed(written), key=lambda item: -len(item[0])))
        self._pattern = re.compile(
            "|".join(rf"(?<![\w/.-]){re.escape(path)}(?![\w.-])" for path in self._short) or r"(?!)"
        )

    def short(self, text: str) -> str:
        """Return a text with the name of each folder in its place."""
        return self._pattern.sub(lambda match: self._short[match[0]], text)

    def long(self, text: str) -> str:
        """Return a text with this machine's folders in the place of their names."""
        for name, path in self._long.items():
            text = text.replace(name, path)
        return text

    def short_bytes(self, data: bytes) -> bytes:
        """Return the bytes of a text with the name of each folder in its place."""
        return _as_text(data, self.short)

    def long_bytes(self, data: bytes) -> bytes:
        """Return the bytes of a text with this machine's folders in the place of their names."""
        return _as_text(data, self.long)


def _as_text(data: bytes, change: Callable[[str], str]) -> bytes:
    return change(data.decode(errors="surrogateescape")).encode(errors="surrogateescape")
