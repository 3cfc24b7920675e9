"""From files to documents: what a discipline's sources hold, read as text, and which documents are held out.

A source names files by pattern and says how a document is made of a row. Rows of JSON lines, a JSON list, or a table
become text through a template; plain text and HTML files are documents as they are:

    - {paths: ["data/scibench/*.json"], template: "{problem_text}\\n{answer_number} {unit}"}
    - {paths: ["chebi20/validation.tsv"], selfies: SMILES, template: "{SELFIES}\\n{description}"}
    - {paths: ["/usr/share/doc/git/RelNotes/*.txt"]}

The split is by document, not by sequence: a document is held out when the hash of its text says so, so the same text in
two files falls on the same side, on every machine and in every order. Exact duplicates are kept once.
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

from upcycle.config.stages import Source

ROW_FORMATS = (".jsonl", ".json", ".tsv", ".csv")
_DROPPED = re.compile(r"<(script|style|nav|head)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_BLOCK_END = re.compile(r"</(?:p|h\d|li|pre|div|tr)>|<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]+>")
_BLANK_LINES = re.compile(r"\n\s*\n\s*")


def documents(sources: Iterable[Source], discipline: str, base: Path | None = None) -> Iterator[str]:
    """Every distinct document of the sources, in the order of their files; relative patterns start at `base`.

    Raises `ValueError` naming the discipline for a pattern without files, an unreadable row, or sources without text.
    """
    seen: set[bytes] = set()
    for source in sources:
        for text in _source_texts(source, discipline, base or Path.cwd()):
            key = _digest(text)
            if key not in seen:
                seen.add(key)
                yield text
    if not seen:
        raise ValueError(f"discipline {discipline!r} has no text: its sources hold no document; add a source with text")


def require_files(sources: Sequence[Source], discipline: str, base: Path | None = None) -> None:
    """`ValueError` for a discipline without sources or a pattern without files; reads nothing."""
    if not sources:
        raise ValueError(f"discipline {discipline!r} has no sources: list its files under disciplines.{discipline}")
    for source in sources:
        for pattern in source.paths:
            _files(pattern, discipline, base or Path.cwd())


def is_held_out(text: str, fraction: float, seed: int = 0) -> bool:
    """Whether the document belongs to the held-out split; depends on its text, `fraction` and `seed` alone."""
    return int.from_bytes(_digest(f"{seed}:{text.strip()}")[:8], "big") < fraction * 2**64


def _digest(text: str) -> bytes:
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace")).digest()


def _files(pattern: str, discipline: str, base: Path) -> list[Path]:
    found = sorted(glob.glob(str(base / Path(pattern).expanduser()), recursive=True))
    files = [Path(name) for name in found if Path(name).is_file()]
    if not files:
        raise ValueError(f"discipline {discipline!r}: no file matches {pattern!r}; correct the path or drop the source")
    return files


def _source_texts(source: Source, discipline: str, base: Path) -> Iterator[str]:
    for pattern in source.paths:
        for path in _files(pattern, discipline, base):
            yield from (text for text in _file_texts(path, source, discipline) if len(text) >= source.min_characters)


def _file_texts(path: Path, source: Source, discipline: str) -> Iterator[str]:
    name = path.name.removesuffix(".gz")
    try:
        raw = path.read_bytes()
        content = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"discipline {discipline!r}: {path} cannot be read: {error}") from None
    if not name.endswith(ROW_FORMATS):
        yield _plain(content) if name.endswith((".html", ".htm")) else content.strip()
        return
    if not source.template:
        raise ValueError(
            f"discipline {discipline!r}: {path} holds rows; say with `template` which columns are its text"
        )
    for number, row in enumerate(_rows(content, name, path, discipline), 1):
        columns = _with_selfies(row, source.selfies) if source.selfies else row
        if columns is None:
            continue
        try:
            yield source.template.format_map(columns).strip()
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(
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
        raise ValueError(f"discipline {discipline!r}: {path} is not what its name says: {error}") from None


def _with_selfies(row: dict[str, Any], column: str) -> dict[str, Any] | None:
    """The row with the molecule of `column` (SMILES) as `SELFIES`; None where there is no SELFIES for it."""
    import selfies

    try:
        return {**row, "SELFIES": selfies.encoder(row[column])}
    except (selfies.EncoderError, KeyError, AttributeError):
        return None


def _plain(markup: str) -> str:
    """The text of an HTML page, blocks apart by one empty line."""
    text = _TAG.sub("", _BLOCK_END.sub("\n\n", _DROPPED.sub("", markup)))
    return _BLANK_LINES.sub("\n\n", html.unescape(text)).strip()
