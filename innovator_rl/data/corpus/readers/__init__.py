"""Readers of a corpus: from an input file to documents and to errors with file and row.

A file's format is the reader that its source names, or what its suffix stands for. Compression (`.gz`, `.xz`, `.zst`,
`.bz2`) and archives (`.tar`, `.tgz` and the like) are undone first. An archive that lacks its end is an error.
"""

from __future__ import annotations

import fnmatch
import tarfile
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Self, cast

from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.readers.cnxml import read_cnxml
from innovator_rl.data.corpus.readers.html import read_html
from innovator_rl.data.corpus.readers.html_text import read_html_text
from innovator_rl.data.corpus.readers.hub import SCHEME, read_hub
from innovator_rl.data.corpus.readers.latex import read_latex
from innovator_rl.data.corpus.readers.mathml import convert_pending
from innovator_rl.data.corpus.readers.opening import BROKEN, InputFile, decompressed, open_input
from innovator_rl.data.corpus.readers.pdf import read_pdf
from innovator_rl.data.corpus.readers.rows import (
    Read,
    read_csv,
    read_json,
    read_json_lines,
    read_parquet,
    read_text,
    read_tsv,
)
from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from innovator_rl.data.corpus.recipe import Source

READERS: dict[str, Callable[[IO[bytes], str, Source], Read]] = {
    "jsonl": read_json_lines,
    "json": read_json,
    "csv": read_csv,
    "tsv": read_tsv,
    "parquet": read_parquet,
    "text": read_text,
    "cnxml": read_cnxml,
    "html": read_html,
    "html-text": read_html_text,
    "latex": read_latex,
    "pdf": read_pdf,
}
SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".txt": "text",
    ".md": "text",
    ".markdown": "text",
    ".rst": "text",
    ".cnxml": "cnxml",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".tex": "latex",
    ".ltx": "latex",
    ".pdf": "pdf",
}
_READERS = ("opening", "rows", "cnxml", "mathml", "html", "html_text", "latex", "pdf", "hub")
_DOCUMENTS = ("reading_order", "furniture", "pages", "pdf", "vocabulary")
MODULES = (
    "innovator_rl.data.corpus.document",
    "innovator_rl.data.corpus.readers",
    *(f"innovator_rl.data.corpus.readers.{name}" for name in _READERS),
    *(f"innovator_rl.data.documents.{name}" for name in _DOCUMENTS),
)
"""Modules whose source decides what a reader gives."""

PACKAGES = ("pyarrow", "lxml", "pypandoc-binary", "zstandard", "trafilatura", "pypdfium2", "docling-slim", "wordfreq")


def check_reader(source: Source) -> None:
    """Check that a source's reader exists.

    Raises:
        UserError: with the known readers.
    """
    if source.reader is not None and source.reader not in READERS:
        raise UserError(
            f"source {source.name!r}: unknown reader {source.reader!r}; expected one of {', '.join(READERS)}"
        )


def read_files(files: Iterable[InputFile], source: Source) -> Read:
    """Yield the documents of input files, and an error for everything in them that cannot be read."""
    yield from convert_pending(item for file in files for item in _read_file(file, source))


def _read_file(file: InputFile, source: Source) -> Read:
    if file.url.startswith(SCHEME):
        yield from read_hub(file, source)
        return
    with open_input(file) as stream:
        yield from _read_stream(stream, file.name, file.name, source)


def _read_stream(stream: IO[bytes], name: str, shown: str, source: Source) -> Read:
    row = 0
    try:
        with decompressed(stream, name) as (plain, inner):
            suffix = PurePosixPath(inner).suffix.lower()
            if suffix == ".tar":
                yield from _read_archive(plain, shown, source)
                return
            reader = source.reader or SUFFIXES.get(suffix)
            if reader is None:
                yield RowError(file=shown, row=0, reason="unknown format", detail=f"suffix {suffix or 'missing'}")
                return
            for item in READERS[reader](plain, shown, source):
                row = item.row
                yield item
    except BROKEN as error:
        yield RowError(file=shown, row=row + 1, reason="broken file", detail=str(error)[:200] or type(error).__name__)


class _Member(tarfile.TarInfo):
    """A member of an archive; a damaged or missing header is an error, where `tarfile` takes it as the end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"the header at byte {tarfile_.offset} is damaged or missing ({error})") from None


def _read_archive(stream: IO[bytes], shown: str, source: Source) -> Read:
    try:
        # Names that are not UTF-8 get replacement characters.
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member, errors="replace") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if not member.isfile() or (source.members and not fnmatch.fnmatch(name, source.members)):
                    continue
                content = archive.extractfile(member)
                assert content is not None, name
                yield from _read_stream(content, name, f"{shown}!{name}", source)
            rest = cast(IO[bytes], archive.fileobj)
            while block := rest.read(2**18):
                if block.strip(b"\0"):
                    raise tarfile.ReadError("there is data after the end of the archive (another archive?)")
    except tarfile.TarError as error:
        yield RowError(file=shown, row=0, reason="broken file", detail=str(error))
