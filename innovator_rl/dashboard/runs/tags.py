"""Store the tags of a run, and whether it is archived, in `tags.json` of its directory.

An archived run is left out of the list of runs unless asked for; nothing of it is deleted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from innovator_rl.dashboard.runs.remote import require_writable
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.runs.files import dump_json, write_atomic
from innovator_rl.runs.reading import read_object

FILE = "tags.json"
MOST_TAGS = 20
MOST_CHARS = 40


def read_tags(run_dir: Path) -> dict[str, Any]:
    """Return `tags` and `archived` of a run; none of both where the file is absent or unusable."""
    found, _ = read_object(run_dir / FILE)
    stored = (found or {}).get("tags")
    tags = [tag for tag in stored if isinstance(tag, str) and _fits(tag)] if isinstance(stored, list) else []
    return {"tags": tags[:MOST_TAGS], "archived": (found or {}).get("archived") is True}


def write_tags(run_dir: Path, tags: list[str], archived: bool) -> None:
    """Replace the tags of a run.

    Raises:
        RequestError: A tag cannot be one, there are too many, the run is read-only, or the file cannot be written.
    """
    require_writable(run_dir)
    tags = list(dict.fromkeys(tag.strip() for tag in tags))
    if len(tags) > MOST_TAGS:
        raise RequestError(f"tags must be at most {MOST_TAGS}, got {len(tags)}")
    for tag in tags:
        if not _fits(tag):
            raise RequestError(f"a tag must have 1 to {MOST_CHARS} printable characters, got {tag[:60]!r}")
    path = run_dir / FILE
    if path.is_symlink():
        raise RequestError(f"the tags could not be saved: {FILE} is a link", 503)
    try:
        write_atomic(path, dump_json({"tags": tags, "archived": archived}))
    except OSError as error:
        raise RequestError(f"the tags could not be saved: {error.strerror}", 503) from error


def _fits(tag: str) -> bool:
    return 0 < len(tag) <= MOST_CHARS and tag.isprintable()
