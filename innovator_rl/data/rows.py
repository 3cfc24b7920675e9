"""Define training rows and the Parquet files that verl's dataset reads.

verl requires `data_source, prompt, ability, reward_model, extra_info` and concatenates files, so every file is written
with one explicit schema; a type inferred from the rows would differ between a file with and one without `info`.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from innovator_rl.errors import UserError

Message = dict[str, str]

SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("id", pa.string()),
                    ("index", pa.int64()),
                    ("domain", pa.string()),
                    ("reward", pa.string()),
                    ("info", pa.string()),
                    ("split", pa.string()),
                ]
            ),
        ),
    ]
)
#: The columns and fields without which a row cannot be trained on. Files of others, such as those that verl's own scripts
#: write, may lack the rest; a row without `extra_info.reward` needs a route in the run's configuration.
REQUIRED = ("data_source", "prompt", "reward_model", "extra_info")
REQUIRED_FIELDS = ("role", "content", "ground_truth")
FINGERPRINT = b"innovator_rl.fingerprint"
BATCH_ROWS = 2048


@dataclass(frozen=True)
class Row:
    """One prompt to train or validate on; `info` is JSON data for the rewarder."""

    data_source: str
    prompt: tuple[Message, ...]
    domain: str
    answer: str
    reward: str
    id: str
    index: int
    split: str
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt_text(self) -> str:
        """Return the contents of all messages, in order."""
        return "\n\n".join(message["content"] for message in self.prompt)


def write_rows(path: Path, rows: Iterable[Row], fingerprint: str = "") -> int:
    """Write rows to a Parquet file atomically and return their number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([_to_record(row) for row in rows], schema=SCHEMA)
    if fingerprint:
        table = table.replace_schema_metadata({FINGERPRINT: fingerprint.encode()})
    handle, work = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        pq.write_table(table, work, compression="zstd")
        Path(work).chmod(0o644)
        Path(work).replace(path)
    finally:
        Path(work).unlink(missing_ok=True)
    return table.num_rows


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file in order.

    Raises:
        UserError: A row is faulty; the message has file, row and column.
    """
    file = _open(path)
    number = 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=_present(file)):
        for record in batch.to_pylist():
            fault = _fault(record)
            if fault:
                raise UserError(f"{path}, row {number}, {fault}")
            yield _from_record(record, number)
            number += 1


def faults(path: Path, limit: int = 20) -> list[str]:
    """Return at most `limit` faults of a file, each with row and column."""
    found: list[str] = []
    number = 0
    file = _open(path)
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=_present(file)):
        for record in batch.to_pylist():
            fault = _fault(record)
            if fault:
                found.append(f"row {number}, {fault}")
                if len(found) >= limit:
                    return found
            number += 1
    return found


def fingerprint_of(path: Path) -> str:
    """Return the fingerprint of a file; empty for a missing or unrelated file."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return ""
    return metadata.get(FINGERPRINT, b"").decode()


def check_columns(path: Path) -> int:
    """Open the file, check its columns and return the number of rows."""
    return int(_open(path).metadata.num_rows)


def _open(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise UserError(f"data file {str(path)!r} does not exist: build it with `innovator data build`")
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"data file {str(path)!r} is not a readable Parquet file ({str(error).splitlines()[0]}): build it again"
        ) from None
    schema = file.schema_arrow
    for expected in SCHEMA:
        if expected.name in schema.names:
            _check_type(path, expected.name, expected.type, schema.field(expected.name).type)
        elif expected.name in REQUIRED:
            raise UserError(
                f"data file {str(path)!r} has no column {expected.name!r} (it has {', '.join(schema.names)}): "
                "build it with `innovator data build`"
            )
    return file


def _check_type(path: Path, column: str, expected: pa.DataType, actual: pa.DataType) -> None:
    if pa.types.is_struct(expected) and pa.types.is_struct(actual):
        inner = {field.name: field.type for field in actual}
        for part in expected:
            if part.name not in inner:
                if part.name in REQUIRED_FIELDS:
                    raise UserError(f"data file {str(path)!r}: column {column!r} lacks the field {part.name!r}")
                continue
            if part.name == "ground_truth" or column == "extra_info":
                continue  # verl passes any value on, and the reward adapter reads it as text
            _check_type(path, f"{column}.{part.name}", part.type, inner[part.name])
    elif pa.types.is_list(expected) and (pa.types.is_list(actual) or pa.types.is_large_list(actual)):
        _check_type(path, f"{column}[]", expected.value_type, actual.value_type)
    elif _kind(expected) != _kind(actual):
        raise UserError(f"data file {str(path)!r}: column {column!r} is {actual}, expected {expected}")


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return "string"
    return "integer" if pa.types.is_integer(kind) else str(kind)


def _to_record(row: Row) -> dict[str, Any]:
    return {
        "data_source": row.data_source,
        "prompt": [{"role": message["role"], "content": message["content"]} for message in row.prompt],
        "ability": row.domain,
        "reward_model": {"style": "rule", "ground_truth": row.answer},
        "extra_info": {
            "id": row.id,
            "index": row.index,
            "domain": row.domain,
            "reward": row.reward,
            "info": json.dumps(row.info, ensure_ascii=False, sort_keys=True),
            "split": row.split,
        },
    }


def _present(file: pq.ParquetFile) -> list[str]:
    return [name for name in SCHEMA.names if name in file.schema_arrow.names]


def _from_record(record: dict[str, Any], number: int) -> Row:
    extra = record["extra_info"] or {}
    index = extra.get("index")
    return Row(
        data_source=record["data_source"],
        prompt=tuple({"role": m["role"], "content": m["content"]} for m in record["prompt"]),
        domain=record.get("ability") or extra.get("domain") or "",
        answer=str(record["reward_model"]["ground_truth"]),
        reward=extra.get("reward") or "",
        id=str(extra.get("id") or f"row {number}"),
        index=number if index is None else int(index),
        split=extra.get("split") or "",
        info=_info(extra.get("info")),
    )


def _info(info: Any) -> dict[str, Any]:
    return dict(json.loads(info) if isinstance(info, str) and info else info or {})


def _fault(record: dict[str, Any]) -> str:
    """Return the first fault of a record, as "column 'x': …", or an empty string."""
    extra = record["extra_info"] or {}
    if not record["data_source"]:
        return "column 'data_source': empty, so no rewarder can be chosen for it"
    if not record["prompt"] or not all(m and m.get("role") and m.get("content") for m in record["prompt"]):
        return "column 'prompt': every message needs a role and a content"
    if record["prompt"][-1]["role"] != "user":
        return f"column 'prompt': the last message is from {record['prompt'][-1]['role']!r}, expected 'user'"
    try:
        info = _info(extra.get("info"))
    except (TypeError, ValueError):
        return f"column 'extra_info.info': {str(extra['info'])[:40]!r} is not a JSON object"
    truth = (record["reward_model"] or {}).get("ground_truth")
    if truth is None or (not str(truth).strip() and not info):
        return "column 'reward_model.ground_truth': empty, so no answer could ever be right"
    return ""
