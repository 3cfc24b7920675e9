"""Read rows from files of any usual kind, or from a data set of the Hugging Face hub.

`.jsonl`, `.json` (an array, or JSON lines), `.csv`, `.tsv` and `.parquet`, each also as `.gz`, `.xz`, `.bz2` or `.zst`
where it is text. A row that cannot be read is counted by its file and number (`rejections.py`); a file that breaks off
is an error, because the rows that it lost cannot be counted.
"""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from innovator_rl.data.hub import Hub, hub_rows
from innovator_rl.data.rejections import BadRow, Rejections
from innovator_rl.errors import UserError

COMPRESSED = ("", ".gz", ".xz", ".bz2", ".zst")
MAX_LINE = 64 << 20
"""Bytes of the longest row; a longer one is bad input, read past without keeping it."""

Source = Path | Hub


@dataclass(frozen=True)
class Record:
    """One row of a source.

    Attributes:
        values: The columns.
        file: The name of the file without its folder, or the id of the data set.
        number: The line in a text file (from 1), or the row of an array (from 0).
        place: File and number, for messages.
    """

    values: dict[str, Any]
    file: str
    number: int
    place: str

    def get(self, column: str, default: Any = None) -> Any:
        """Return a column, or the default where it is missing or null."""
        found = self.values.get(column)
        return default if found is None else found

    def need(self, column: str) -> Any:
        """Return a column.

        Raises:
            BadRow: There is no such column; the message has those that exist.
        """
        if column not in self.values:
            raise BadRow(f"{self.place} has no field {column!r}; it has {', '.join(map(str, self.values))}")
        return self.values[column]

    def text(self, column: str) -> str:
        """Return a column as text without surrounding white space; empty for null."""
        value = self.need(column)
        return "" if value is None else str(value).strip()


def records(source: Source, rejected: Rejections, *suffixes: str) -> Iterator[Record]:
    """Yield the rows of a file, of all files of a folder in the order of their names, or of a hub data set.

    Args:
        source: The file, folder or data set.
        rejected: Counts the rows that cannot be read.
        suffixes: The suffixes that are read from a folder, for example ".jsonl".

    Raises:
        UserError: There is no such file, or it cannot be read.
    """
    if isinstance(source, Hub):
        for number, values in enumerate(hub_rows(source)):
            yield Record(values, source.id, number, f"{source.id}, row {number}")
        return
    for path in source_files(source, *(f"*{suffix}{packed}" for suffix in suffixes for packed in COMPRESSED)):
        yield from file_records(path, rejected)


def source_files(source: Path, *patterns: str) -> list[Path]:
    """Return the file itself, or the sorted files of a folder that match any pattern.

    Raises:
        UserError: There is no such file.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        near = sorted(path.name for path in source.parent.glob("*"))[:8] if source.parent.is_dir() else []
        beside = f"; {str(source.parent)!r} has {', '.join(near)}" if near else ""
        raise UserError(f"source {str(source)!r} not found: give the file or folder with --source{beside}")
    files = sorted({file for pattern in patterns for file in source.glob(pattern)})
    if not files:
        plain = [pattern for pattern in patterns if pattern.count(".") == 1]
        raise UserError(f"source folder {str(source)!r} has no {' or '.join(plain)} file")
    return files


def file_records(path: Path, rejected: Rejections) -> Iterator[Record]:
    """Yield the rows of one file by the format that its suffix names."""
    kind = next((suffix for suffix in reversed(path.suffixes) if suffix not in COMPRESSED), "")
    if kind == ".parquet":
        yield from _parquet(path)
    elif kind in (".csv", ".tsv"):
        yield from _table(path, kind, rejected)
    elif kind in (".json", ".jsonl", ".ndjson"):
        with _bytes(path) as stream:
            head = stream.peek(4096)[:4096].lstrip()[:1]  # type: ignore[attr-defined]
            yield from _array(path, stream) if head == b"[" else _lines(path, stream, rejected)
    else:
        raise UserError(f"{path}: unknown format {kind!r}, expected .jsonl, .json, .csv, .tsv or .parquet")


@contextmanager
def _bytes(path: Path) -> Iterator[IO[bytes]]:
    from innovator_rl.data.corpus.readers.opening import BROKEN, decompressed

    try:
        with path.open("rb") as stored, decompressed(stored, path.name) as (stream, _):
            yield io.BufferedReader(stream, 1 << 18)  # type: ignore[type-var,arg-type]
    except BROKEN as error:
        raise UserError(f"{path} cannot be read ({error}): fetch the file again") from None


def _lines(path: Path, stream: IO[bytes], rejected: Rejections) -> Iterator[Record]:
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        place = f"{path}, line {number}"
        if not line.endswith(b"\n") and len(line) == MAX_LINE:
            while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            rejected.bad_row(place, f"{place} is longer than {MAX_LINE >> 20} MiB: remove it")
            continue
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:  # broken UTF-8 is a ValueError too
            rejected.bad_row(place, f"{place} is not JSON ({error}): correct or remove it")
            continue
        if not isinstance(values, dict):
            rejected.bad_row(place, f"{place} is not a JSON object")
            continue
        yield Record(values, path.name, number, place)


def _array(path: Path, stream: IO[bytes]) -> Iterator[Record]:
    try:
        rows = json.loads(stream.read())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): fetch the file again") from None
    for number, values in enumerate(rows):
        if not isinstance(values, dict):
            raise UserError(f"{path}, row {number} is not a JSON object")
        yield Record(values, path.name, number, f"{path}, row {number}")


def _table(path: Path, kind: str, rejected: Rejections) -> Iterator[Record]:
    csv.field_size_limit(MAX_LINE)
    with _bytes(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        # Captions hold apostrophes and double primes (4''-O-…), so nothing in a .tsv is a quotation mark.
        tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
        options: dict[str, Any] = tabs if kind == ".tsv" else {"strict": True}
        rows = csv.DictReader(text, **options)
        try:
            columns = len(rows.fieldnames or ())
            number = 1
            while (values := _next_row(rows, path, number + 1, rejected)) is not None:
                number += 1
                place = f"{path}, line {number}"
                if cells := values.pop(None, None):  # what is beyond the header
                    found = columns + len(cells)
                    rejected.bad_row(
                        place,
                        f"{place} has {found} cells, expected {columns} as in the header: put quotation marks around "
                        "a text with the separator in it",
                    )
                elif values:
                    yield Record(values, path.name, number, place)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read ({error}): fetch the file again") from None


def _next_row(rows: "csv.DictReader[Any]", path: Path, number: int, rejected: Rejections) -> dict[Any, Any] | None:
    """Return the next row; an empty one where its quotation marks are wrong, and None at the end of the file."""
    start = rows.line_num + 1
    try:
        return next(rows, None)
    except csv.Error as error:
        if "end of data" in str(error):  # all rows up to the end of the file are one cell
            raise UserError(
                f"{path}: the row of line {start} has a quotation mark that is not closed: close it"
            ) from None
        rejected.bad_row(
            f"{path}, line {number}", f"{path}, line {number} is not a row of CSV ({error}): correct or remove it"
        )
        return {}


def _parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for values in batch.to_pylist():
                yield Record(values, path.name, number, f"{path}, row {number}")
                number += 1
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a readable Parquet file ({reason}): fetch the file again") from None
