"""Read documents from rows (JSON lines, JSON arrays, tables, Parquet) and from whole text files."""

from __future__ import annotations

import codecs
import csv
import io
import json
import shutil
import string
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.manifest import RowError

if TYPE_CHECKING:
    from innovator_rl.data.corpus.recipe import Source

Read = Iterator[Document | RowError]
NULL = "null"
NO_SELFIES = "no SELFIES"
MAX_LABEL = 64
"""Bytes of a discipline, which names files: a longer one is a text in the wrong column."""
ABSENT = (NULL, NO_SELFIES)
"""Reasons of rows that are well-formed and lack what the text is made of."""


def read_json_lines(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield a document per line; a line over the limit is skipped in bounded memory."""
    limit, row = source.max_document_bytes, 0
    while line := stream.readline(limit + 1):
        row += 1
        line = line.removeprefix(codecs.BOM_UTF8) if row == 1 else line
        if len(line) > limit and not line.endswith(b"\n"):
            length = len(line)
            while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
                length += len(rest)
            yield RowError(file=name, row=row, reason="too long", detail=f"over {limit} bytes (at least {length})")
        elif line.strip():
            yield _from_bytes(line, name, row, source)


def _from_bytes(line: bytes, name: str, row: int, source: Source) -> Document | RowError:
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return RowError(file=name, row=row, reason="not UTF-8", detail=f"byte {error.start}: {error.reason}")
    except (ValueError, RecursionError) as error:
        return RowError(file=name, row=row, reason="not JSON", detail=str(error)[:200])
    return from_record(record, name, row, source)


def read_json(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield a document per object of a JSON array; a file of JSON lines under this suffix is read as such."""
    start = stream.read(1)
    if start == codecs.BOM_UTF8[:1]:
        stream.read(len(codecs.BOM_UTF8) - 1)
        start = stream.read(1)
    while start.isspace():
        start = stream.read(1)
    if start == b"[":
        content = start + stream.read(source.max_document_bytes)
        if len(content) > source.max_document_bytes:
            yield RowError(file=name, row=0, reason="too long", detail="an array must fit in max_document_bytes")
            return
        try:
            records = json.loads(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield RowError(file=name, row=0, reason="not UTF-8", detail=f"byte {error.start}: {error.reason}")
            return
        except (ValueError, RecursionError) as error:
            yield RowError(file=name, row=0, reason="not JSON", detail=str(error)[:200])
            return
        for row, record in enumerate(records, start=1):
            yield from_record(record, name, row, source)
        return
    for row, line in enumerate(_lines(start, stream), start=1):
        if line.strip():
            yield _from_bytes(line, name, row, source)


def _lines(start: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    if start:
        yield start + stream.readline()
    yield from iter(stream.readline, b"")


def read_csv(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield a document per row of a comma-separated table whose first row names the columns."""
    return _read_table(stream, name, source, delimiter=",", strict=True)


def read_tsv(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield a document per row of a tab-separated table whose first row names the columns.

    Text holds apostrophes, double primes (4''-O-) and inches, so nothing is a quotation mark, as for the data of RL.
    """
    return _read_table(stream, name, source, delimiter="\t", quoting=csv.QUOTE_NONE)


def _read_table(stream: IO[bytes], name: str, source: Source, **dialect: Any) -> Read:
    # A field may hold a whole paper; the module's own limit is 131,072 characters, for all readers of the process.
    csv.field_size_limit(max(csv.field_size_limit(), source.max_document_bytes))
    # Undecodable bytes become lone surrogates, which `from_record` reports with their row.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    lines = csv.reader(text, **dialect)
    header: list[str] | None = None
    row = -1
    try:
        while True:
            row += 1
            try:
                cells = next(lines, None)
            except csv.Error as error:
                yield RowError(file=name, row=row, reason="not a table", detail=str(error)[:200])
                if header is None:
                    return
                continue
            if cells is None:
                return
            if header is None:
                header = cells
            elif not cells:
                row -= 1  # an empty line is no row
            elif len(cells) > len(header):
                found = f"{len(cells)} cells, the first row names {len(header)} columns"
                yield RowError(file=name, row=row, reason="more cells than columns", detail=found)
            else:
                values = [*cells, *[None] * (len(header) - len(cells))]
                yield from_record(dict(zip(header, values, strict=True)), name, row, source)
    finally:
        text.detach()


def read_parquet(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield a document per row, a batch in memory at a time."""
    row = 0
    with tempfile.TemporaryFile() as local:
        shutil.copyfileobj(stream, local)
        try:
            file = pq.ParquetFile(local)
            for batch in file.iter_batches(batch_size=512):
                for record in batch.to_pylist():
                    row += 1
                    yield from_record(record, name, row, source)
        except (pa.ArrowException, OSError) as error:
            yield RowError(file=name, row=row and row + 1, reason="not Parquet", detail=str(error)[:200])


def read_text(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield the whole file as one document."""
    content = stream.read(source.max_document_bytes + 1)
    if len(content) > source.max_document_bytes:
        yield RowError(file=name, row=1, reason="too long", detail=f"over {source.max_document_bytes} bytes")
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield RowError(file=name, row=1, reason="not UTF-8", detail=f"byte {error.start}: {error.reason}")
        return
    if "\0" in text:  # UTF-16 of plain letters is valid UTF-8, too
        yield RowError(file=name, row=1, reason="not text", detail=f"NUL at character {text.index(chr(0))}")
        return
    yield make_document(text.replace("\r\n", "\n"), name, 1, source)


def from_record(record: Any, name: str, row: int, source: Source) -> Document | RowError:
    """Make a document of a row's columns, or report what is wrong with them."""
    if not isinstance(record, Mapping):
        return RowError(file=name, row=row, reason="not an object", detail=type(record).__name__)
    text = _text(record, name, row, source)
    if isinstance(text, RowError):
        return text
    if len(text) > source.max_document_bytes:
        return RowError(file=name, row=row, reason="too long", detail=f"{len(text)} characters")
    own = {key: str(record[of]) for key, of in source.fields.items() if key != "text" and record.get(of) is not None}
    info = {key: json.loads(json.dumps(record.get(key), default=str)) for key in source.keep}
    for what, value in {"text": text, **info, **own}.items():
        try:
            (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode("utf-8")
        except UnicodeEncodeError as error:
            found = f"{what!r}, character {error.start}: lone surrogate"
            return RowError(file=name, row=row, reason="not UTF-8", detail=found)
    if len((label := own.get("discipline", "")).encode()) > MAX_LABEL:
        return RowError(file=name, row=row, reason="no discipline", detail=f"over {MAX_LABEL} bytes: {label[:80]}")
    return make_document(text, name, row, source, info, own)


def _text(record: Mapping[str, Any], name: str, row: int, source: Source) -> str | RowError:
    """Return the text of a row: its column, or the recipe's template filled with its columns."""
    if source.selfies:
        molecule = _selfies(record.get(source.selfies))
        if molecule is None:
            found = f"{source.selfies!r} is {record.get(source.selfies)!r}"
            return RowError(file=name, row=row, reason=NO_SELFIES, detail=found[:200])
        record = {**record, "SELFIES": molecule}
    if not source.template:
        column = source.fields.get("text", "text")
        text = record.get(column)
        if isinstance(text, str):
            return text
        found = f"{column!r} is {type(text).__name__}" if column in record else f"columns are {', '.join(record)}"
        return RowError(file=name, row=row, reason="no text", detail=found[:200])
    try:
        return _FILLER.vformat(source.template, (), record)
    except _NullColumnError as error:
        return RowError(file=name, row=row, reason=NULL, detail=f"{error.args[0]!r} is null")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        found = f"template {source.template!r}: {error!r}; columns are {', '.join(map(str, record))}"
        return RowError(file=name, row=row, reason="does not fit the template", detail=found[:300])


class _NullColumnError(Exception):
    """A column that the template names is null."""


class _Filler(string.Formatter):
    """Fill a template with columns; a null is an error, never the word None, and so is what has no text of its own."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        value, first = super().get_field(field_name, args, kwargs)
        if value is None or value != value:  # tables keep a missing number as NaN
            raise _NullColumnError(field_name)
        if isinstance(value, (Mapping, list, tuple, bytes)):
            raise TypeError(f"{field_name!r} is {type(value).__name__}, name one of its parts")
        return value, first


_FILLER = _Filler()


def _selfies(smiles: Any) -> str | None:
    """Return a SMILES as SELFIES; None where it has none."""
    import selfies

    try:
        return str(selfies.encoder(smiles)) if isinstance(smiles, str) else None
    except selfies.EncoderError:
        return None


def make_document(
    text: str,
    name: str,
    row: int,
    source: Source,
    info: dict[str, Any] | None = None,
    own: Mapping[str, str] | None = None,
) -> Document:
    """Make a document with its source's labels, and its own where the row has some."""
    own = own or {}
    return Document(
        id=f"{source.name}/{own.get('id') or f'{name}#{row}'}",
        text=text,
        source=source.name,
        discipline=own.get("discipline") or source.discipline,
        language=own.get("language") or source.language,
        license=source.license,
        file=name,
        row=row,
        info=info or {},
    )
