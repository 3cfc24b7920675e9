"""Opening source files: plain or gzip, one file or a folder of them, faults named with file and line."""

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
    """The file itself, or the files in the folder that match any pattern, sorted."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UserError(f"source {str(source)!r} does not exist: give the file or folder with --source")
    files = sorted({file for pattern in patterns for file in source.glob(pattern)})
    if not files:
        raise UserError(f"source folder {str(source)!r} holds no {' or '.join(patterns)} file")
    return files


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) for each line that is not blank."""
    try:
        with open_text(path) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise UserError(f"{path}, line {number} is not JSON ({error}): mend or remove it") from None
                if not isinstance(record, dict):
                    raise UserError(f"{path}, line {number} is not a JSON object")
                yield number, record
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): fetch the file again") from None


def field(record: dict[str, Any], column: str, path: Path, number: int) -> Any:
    """`record[column]`, or a `UserError` that names the columns there are."""
    if column not in record:
        raise UserError(f"{path}, line {number} has no field {column!r}; it has {', '.join(record)}")
    return record[column]
