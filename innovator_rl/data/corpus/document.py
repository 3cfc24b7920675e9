"""Represent a document of a corpus, and store documents in Parquet parts.

A part is one Parquet file. Documents are written in groups of bounded size, so that neither writing nor reading a part
needs more memory than one group.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_BYTES = 16 * 2**20
"""Text of one row group, at most (except for a single longer document)."""

GROUP_ROWS = 4096

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("discipline", pa.string()),
        ("language", pa.string()),
        ("license", pa.string()),
        ("file", pa.string()),
        ("row", pa.int64()),
        ("info", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Document:
    """One document with its origin.

    Attributes:
        id: Unique within a corpus: the source's name, the file and the row or member.
        discipline: Empty where nothing states it.
        file: Name of the file (or `archive!member`) that it was read from.
        row: Row in that file, from 1.
        info: What the reader kept besides the text; JSON values only.
    """

    id: str
    text: str
    source: str = ""
    discipline: str = ""
    language: str = ""
    license: str = ""
    file: str = ""
    row: int = 1
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the text in UTF-8."""
        return len(self.text.encode("utf-8", "surrogatepass"))


class PartWriter:
    """Write documents to one Parquet part; a context manager.

    Attributes:
        documents: Documents written so far.
        bytes: Bytes of their text.
    """

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self._pending: list[Document] = []
        self._pending_bytes = 0
        self.documents = 0
        self.bytes = 0

    def write(self, document: Document) -> None:
        """Append one document."""
        size = document.size
        self._pending.append(document)
        self._pending_bytes += size
        self.documents += 1
        self.bytes += size
        if self._pending_bytes >= GROUP_BYTES or len(self._pending) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        columns: dict[str, list[Any]] = {
            name: [getattr(d, name) for d in self._pending] for name in SCHEMA.names if name != "info"
        }
        columns["info"] = [json.dumps(d.info, ensure_ascii=False, sort_keys=True) for d in self._pending]
        self._writer.write_table(pa.table(columns, schema=SCHEMA))
        self._pending, self._pending_bytes = [], 0

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()


def read_part(path: Path) -> Iterator[Document]:
    """Yield the documents of a part in order, one row group in memory at a time."""
    with pq.ParquetFile(path, memory_map=True) as file:
        for group in range(file.num_row_groups):
            for row in file.read_row_group(group).to_pylist():
                yield Document(**{**row, "info": json.loads(row["info"])})


def count_documents(path: Path) -> int:
    """Return the number of documents of a part without reading them."""
    return int(pq.read_metadata(path).num_rows)
