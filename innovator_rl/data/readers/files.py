"""Open source files: plain or gzip, one file or a folder of them."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from innovator_rl.errors import UserError


def open_text(path: Path) -> IO[str]:
    """Open a UTF-8 text file, unpacking `.gz`."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def source_files(source: Path, *patterns: str) -> list[Path]:
    """Return the file itself, or the sorted files of a folder that match any pattern.

    Raises:
        UserError: There is no such file.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UserError(f"source {str(source)!r} not found: give the file or folder with --source")
    files = sorted({file for pattern in patterns for file in source.glob(pattern)})
    if not files:
        raise UserError(f"source folder {str(source)!r} has no {' or '.join(patterns)} file")
    return files


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and object for each line that is not blank.

    Raises:
        UserError: A line is not a JSON object; the message has file and line.
    """
    try:
        with open_text(path) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise UserError(f"{path}, line {number} is not JSON ({error}): correct or remove it") from None
                if not isinstance(record, dict):
                    raise UserError(f"{path}, line {number} is not a JSON object")
                yield number, record
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): fetch the file again") from None


def field(record: dict[str, Any], column: str, path: Path, number: int) -> Any:
    """Return `record[column]`.

    Raises:
        UserError: There is no such column; the message has those that exist.
    """
    if column not in record:
        raise UserError(f"{path}, line {number} has no field {column!r}; it has {', '.join(record)}")
    return record[column]
