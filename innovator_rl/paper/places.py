"""Names for the folders of a machine, so that what is kept of a path holds on another machine too.

places = Places(runs_dir=Path("/scratch/runs"), here=Path("/home/me/project"))
places.short("runs_dir=/scratch/runs")  # "runs_dir={runs}"
places.long("{here}/datasets/product")  # "/home/me/project/datasets/product"
"""

from __future__ import annotations

import re
from pathlib import Path


class Places:
    """The folders that commands, records and reports of a path name.

    Args:
        runs_dir: Folder of all runs.
        here: Folder from which the path runs; the current one without it.
    """

    def __init__(self, runs_dir: Path, here: Path | None = None) -> None:
        found = {"{runs}": runs_dir.absolute(), "{here}": (here or Path.cwd()).absolute()}
        # The longest first: the runs may be below the folder from which the path runs.
        named = sorted(found.items(), key=lambda item: -len(str(item[1])))
        self._names = {name: str(path) for name, path in named if len(path.parts) > 1}
        self._pattern = re.compile(
            "|".join(rf"(?<![\w/.-]){re.escape(path)}(?![\w.-])" for path in self._names.values()) or r"(?!)"
        )

    def short(self, text: str) -> str:
        """Return a text with the name of each folder in its place."""
        names = {path: name for name, path in self._names.items()}
        return self._pattern.sub(lambda match: names[match[0]], text)

    def long(self, text: str) -> str:
        """Return a text with this machine's folders in the place of their names."""
        for name, path in self._names.items():
            text = text.replace(name, path)
        return text
