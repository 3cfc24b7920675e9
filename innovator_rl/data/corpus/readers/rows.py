"""Read documents from rows (JSON lines, JSON arrays, Parquet) and from whole text files."""

from __future__ import annotations

import json
import shutil
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


def read_json_lines(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield a document per line; a line over the limit is skipped in bounded memory."""
    limit, row = source.max_document_bytes, 0
    while line := stream.readline(limit + 1):
        row += 1
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
    row = 1
    for row, line in enumerate(_lines(start, stream), start=1):
        if line.strip():
            yield _from_bytes(line, name, row, source)


def _lines(start: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    if start:
        yield start + stream.readline()
    yield from iter(stream.readline, b"")


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
    yield make_document(text.replace("\r\n", "\n"), name, 1, source)


def from_record(record: Any, name: str, row: int, source: Source) -> Document | RowError:
    """Make a document of a row's columns, or report what is wrong with them."""
    if not isinstance(record, Mapping):
        return RowError(file=name, row=row, reason="not an object", detail=type(record).__name__)
    column = source.fields.get("text", "text")
    text = record.get(column)
    if not isinstance(text, str):
        found = f"{column!r} is {type(text).__name__}" if column in record else f"columns are {', '.join(record)}"
        return RowError(file=name, row=row, reason="no text", detail=found[:200])
    if len(text) > source.max_document_bytes:
        return RowError(file=name, row=row, reason="too long", detail=f"{len(text)} characters")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return RowError(file=name, row=row, reason="not UTF-8", detail=f"character {error.start}: lone surrogate")
    own = {key: str(record[of]) for key, of in source.fields.items() if key != "text" and record.get(of) is not None}
    info = {key: json.loads(json.dumps(record.get(key), default=str)) for key in source.keep}
    return make_document(text, name, row, source, info, own)


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
