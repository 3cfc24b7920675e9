r"""Read the documents of a discipline's files, and choose the held-out ones.

A source names files by pattern and says how a row becomes a document. Files are read by the corpus pipeline's readers, so
their suffix decides the format, and compression (.gz, .xz, .zst, .bz2) is undone first:

    - {paths: ["data/scibench/*.json"], template: "{problem_text}\n{answer_number} {unit}"}
    - {paths: ["chebi20/validation.tsv"], selfies: SMILES, template: "{SELFIES}\n{description}"}
    - {paths: ["/usr/share/common-licenses/*"], reader: text}

Documents are held out by a hash of their text, so the same text in two files is in the same split, on every machine and
in every order. Exact duplicates are kept once. A row without the text (a null) is left out and counted; what cannot be
read is refused with its file and row. For text by the terabyte, build a corpus and name it instead (`corpus: FOLDER`).
"""

from __future__ import annotations

import glob
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import xxhash

from innovator_rl.errors import UserError
from upcycle.config.stages import TextSource

Item = TypeVar("Item")

LARGEST_DOCUMENT = 2**30  # bytes; a JSON array counts as one


def documents(
    sources: Iterable[TextSource], discipline: str, base: Path | None = None, left_out: Counter[str] | None = None
) -> Iterator[str]:
    """Yield every distinct document of some sources, in the order of their files.

    Args:
        sources: The sources; those that name a built corpus have no files and are passed over.
        discipline: Whose sources they are, for messages.
        base: Folder at which relative patterns start; by default the current one.
        left_out: Receives the number of rows left out, by file and reason.

    Raises:
        UserError: For a pattern without files, a row that cannot be read, or sources without text.
    """
    seen: set[bytes] = set()
    left_out = Counter() if left_out is None else left_out
    for source in sources:
        for text in _source_texts(source, discipline, base or Path.cwd(), left_out):
            key = _digest(text)
            if key not in seen:
                seen.add(key)
                yield text
    if not seen:
        rows = ", ".join(f"{count} rows: {reason}" for reason, count in left_out.items())
        raise UserError(
            f"discipline {discipline!r} has no text: no document found in its sources{f' (left out {rows})' if rows else ''}; "
            "add a source with text"
        )


def source_files(sources: Sequence[TextSource], discipline: str, base: Path | None = None) -> list[Path]:
    """Return the files of a discipline's sources; none is read.

    Raises:
        UserError: If it has no source, a pattern matches no file, or a file's format is unknown.
    """
    if not sources:
        raise UserError(f"discipline {discipline!r} has no sources: list its files under disciplines.{discipline}")
    found = []
    for source in sources:
        for pattern in source.paths:
            for path in _files(pattern, discipline, base or Path.cwd()):
                _require_format(path, source, discipline)
                found.append(path)
    return found


def hash_files(files: Iterable[Path]) -> list[tuple[str, str]]:
    """Return name and hash (xxh3) of every file, over all of its bytes.

    Raises:
        UserError: If a file cannot be read.
    """
    hashes = []
    for path in files:
        state = xxhash.xxh3_128()
        try:
            with path.open("rb", buffering=0) as file:
                while block := file.read(2**22):
                    state.update(block)
        except OSError as error:
            raise _unreadable(path, error) from None
        hashes.append((str(path), state.hexdigest()))
    return hashes


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be read ({error.strerror or error}); make it readable or drop the source")


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


def _require_format(path: Path, source: TextSource, discipline: str) -> None:
    from innovator_rl.data.corpus.readers import READERS, SUFFIXES
    from innovator_rl.data.corpus.readers.opening import COMPRESSIONS

    if source.reader and source.reader not in READERS:
        raise UserError(
            f"disciplines.{discipline}: unknown reader {source.reader!r}; expected one of {', '.join(READERS)}"
        )
    inner = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path
    reader = source.reader or SUFFIXES.get(inner.suffix.lower())
    if reader is None:
        raise UserError(
            f"discipline {discipline!r}: {path} has the unknown format {inner.suffix or 'without a suffix'!r}; known are "
            f"{', '.join(SUFFIXES)} and {', '.join(COMPRESSIONS)} of them; set `reader` (as in `reader: text`)"
        )
    if reader in ("jsonl", "json", "csv", "tsv", "parquet") and not source.template:
        raise UserError(f"discipline {discipline!r}: {path} holds rows; set `template` to the columns of its text")


def _source_texts(source: TextSource, discipline: str, base: Path, left_out: Counter[str]) -> Iterator[str]:
    from innovator_rl.data.corpus.manifest import RowError
    from innovator_rl.data.corpus.readers import read_files
    from innovator_rl.data.corpus.readers.opening import InputFile
    from innovator_rl.data.corpus.readers.rows import ABSENT
    from innovator_rl.data.corpus.recipe import Source

    for path in source_files([source], discipline, base):
        file = InputFile(str(path), str(path), path.stat().st_size)
        how = Source(
            name="text",
            path="",
            reader=source.reader or _page_reader(path),
            members=None,
            keep=(),
            template=source.template,
            selfies=source.selfies,
            max_document_bytes=LARGEST_DOCUMENT,
        )
        for item in _readable(read_files([file], how), path):
            if isinstance(item, RowError):
                if item.reason not in ABSENT:
                    row = f"row {item.row} of {path}" if item.row else str(path)
                    raise UserError(f"discipline {discipline!r}: {row} cannot be read: {item.reason} ({item.detail})")
                left_out[f"{item.reason} in {path}"] += 1
            elif len(text := item.text.strip()) >= source.min_characters:
                yield text


def _readable(items: Iterator[Item], path: Path) -> Iterator[Item]:
    """Yield what a file holds; a file that the system does not let us open is a `UserError`."""
    try:
        yield from items
    except OSError as error:
        raise _unreadable(path, error) from None


def _page_reader(path: Path) -> str | None:
    """Return the reader that keeps all text of a web page, which needs no optional package; None for other files."""
    from innovator_rl.data.corpus.readers import SUFFIXES
    from innovator_rl.data.corpus.readers.opening import COMPRESSIONS

    inner = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path
    return "html-text" if SUFFIXES.get(inner.suffix.lower()) == "html" else None
