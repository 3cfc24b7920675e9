r"""Read the documents of a discipline's sources, and choose the held-out ones.

A source names files by pattern and says how a row becomes a document. Rows of JSON lines, of a JSON list or of a table
become text through a template; plain text and HTML files are one document each:

    - {paths: ["data/scibench/*.json"], template: "{problem_text}\n{answer_number} {unit}"}
    - {paths: ["chebi20/validation.tsv"], selfies: SMILES, template: "{SELFIES}\n{description}"}
    - {paths: ["/usr/share/doc/git/RelNotes/*.txt"]}

Documents are held out by a hash of their text, so the same text in two files is in the same split, on every machine and
in every order. Exact duplicates are kept once.
"""

from __future__ import annotations

import csv
import glob
import gzip
import hashlib
import html
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from upcycle.config.stages import TextSource

ROW_FORMATS = (".jsonl", ".json", ".tsv", ".csv")
_DROPPED = re.compile(r"<(script|style|nav|head)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_BLOCK_END = re.compile(r"</(?:p|h\d|li|pre|div|tr)>|<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]+>")
_BLANK_LINES = re.compile(r"\n\s*\n\s*")


def documents(sources: Iterable[TextSource], discipline: str, base: Path | None = None) -> Iterator[str]:
    """Yield every distinct document of some sources, in the order of their files.

    Args:
        sources: The sources.
        discipline: Whose sources they are, for messages.
        base: Folder at which relative patterns start; by default the current one.

    Raises:
        UserError: For a pattern without files, a row that cannot be read, or sources without text.
    """
    seen: set[bytes] = set()
    for source in sources:
        for text in _source_texts(source, discipline, base or Path.cwd()):
            key = _digest(text)
            if key not in seen:
                seen.add(key)
                yield text
    if not seen:
        raise UserError(
            f"discipline {discipline!r} has no text: no document found in its sources; add a source with text"
        )


def require_files(sources: Sequence[TextSource], discipline: str, base: Path | None = None) -> None:
    """Check that a discipline has sources and that every pattern matches a file.

    No file is read.

    Raises:
        UserError: If it has none.
    """
    if not sources:
        raise UserError(f"discipline {discipline!r} has no sources: list its files under disciplines.{discipline}")
    for source in sources:
        for pattern in source.paths:
            _files(pattern, discipline, base or Path.cwd())


def is_held_out(text: str, fraction: float, seed: int = 0) -> bool:
    """Return whether a document belongs to the held-out split.

    Args:
        text: The document.
        fraction: Share of held-out documents, 0 to 1.
        seed: Chooses which documents are held out.
    """
    return int.from_bytes(_digest(f"{seed}:{text.strip()}")[:8], "big") < fraction * 2**64


def _digest(text: str) -> bytes:
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace")).digest()


def _files(pattern: str, discipline: str, base: Path) -> list[Path]:
    found = sorted(glob.glob(str(base / Path(pattern).expanduser()), recursive=True))
    files = [Path(name) for name in found if Path(name).is_file()]
    if not files:
        raise UserError(f"discipline {discipline!r}: no file matches {pattern!r}; correct the path or drop the source")
    return files


def _source_texts(source: TextSource, discipline: str, base: Path) -> Iterator[str]:
    for pattern in source.paths:
        for path in _files(pattern, discipline, base):
            yield from (text for text in _file_texts(path, source, discipline) if len(text) >= source.min_characters)


def _file_texts(path: Path, source: TextSource, discipline: str) -> Iterator[str]:
    name = path.name.removesuffix(".gz")
    try:
        raw = path.read_bytes()
        content = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"discipline {discipline!r}: {path} cannot be read: {error}") from None
    if not name.endswith(ROW_FORMATS):
        yield _plain(content) if name.endswith((".html", ".htm")) else content.strip()
        return
    if not source.template:
        raise UserError(f"discipline {discipline!r}: {path} holds rows; set `template` to the columns of its text")
    for number, row in enumerate(_rows(content, name, path, discipline), 1):
        columns = _with_selfies(row, source.selfies) if source.selfies else row
        if columns is None:
            continue
        try:
            yield source.template.format_map(columns).strip()
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(
                f"discipline {discipline!r}: row {number} of {path} does not fit template {source.template!r}: "
                f"{error!r}; it has {', '.join(map(str, row))}"
            ) from None


def _rows(content: str, name: str, path: Path, discipline: str) -> Iterator[dict[str, Any]]:
    try:
        if name.endswith(".jsonl"):
            yield from (json.loads(line) for line in content.splitlines() if line.strip())
        elif name.endswith(".json"):
            yield from json.loads(content)
        else:
            yield from csv.DictReader(content.splitlines(), delimiter="\t" if name.endswith(".tsv") else ",")
    except (ValueError, csv.Error) as error:
        raise UserError(f"discipline {discipline!r}: {path} cannot be read as {path.suffix}: {error}") from None


def _with_selfies(row: dict[str, Any], column: str) -> dict[str, Any] | None:
    """Return the row with the molecule of `column` (SMILES) as `SELFIES`.

    None if it has no SELFIES.
    """
    import selfies

    try:
        return {**row, "SELFIES": selfies.encoder(row[column])}
    except (selfies.EncoderError, KeyError, AttributeError):
        return None


def _plain(markup: str) -> str:
    """Return the text of an HTML page, with one empty line between blocks."""
    text = _TAG.sub("", _BLOCK_END.sub("\n\n", _DROPPED.sub("", markup)))
    return _BLANK_LINES.sub("\n\n", html.unescape(text)).strip()
