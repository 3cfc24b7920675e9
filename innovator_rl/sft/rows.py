"""Check conversations from Parquet and JSON-lines files, and write those that can be trained on as one Parquet file.

A row has `messages`, a list of `{"role", "content"}` that ends with the assistant's. Whatever is wrong with a row is
reported with file and row. The prepared file is named after the content of the files, the tokenizer and the settings, so a
run that resumes prepares nothing twice. Several machines may prepare it at the same time on a shared disk: each writes a
draft of its own and renames it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from innovator_rl.errors import UserError
from innovator_rl.runs.files import write_atomic

ROLES = ("system", "user", "assistant")
SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".ndjson")
BATCH = 1000
SHOWN = 5
VERSION = 1  # increase it when the same rows would be written differently
SCHEMA = pa.schema([("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])))])

Message = dict[str, str]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be trained on: its file, its number from 1 (0: the file), the reason and what was found."""

    file: str
    row: int
    reason: str
    detail: str

    def line(self) -> str:
        """Format as one line."""
        return f"{self.file} row {self.row}: {self.reason} ({self.detail})"


@dataclass
class Prepared:
    """Rows that are ready to train on.

    Attributes:
        path: Parquet file with the column `messages`.
        rows: Number of its rows.
        tokens: Tokens of all rows, chat template included.
        longest: Tokens of the longest row.
        dropped: Reason -> number of rows that were left out.
    """

    path: Path
    rows: int = 0
    tokens: int = 0
    longest: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (row number from 1, row or `BadRow`) of a file, in constant memory."""
    name = str(path)
    if not name.endswith(SUFFIXES):
        raise UserError(f"{name}: unknown format; expected a file that ends with {', '.join(SUFFIXES)}")
    try:
        if name.endswith(".parquet"):
            yield from _parquet_rows(path)
        else:
            with path.open("rb") as raw:
                stream: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if name.endswith(".gz") else raw
                yield from _json_rows(stream, name)
    except (OSError, EOFError, pa.ArrowException) as error:
        yield 0, BadRow(name, 0, "broken file", " ".join(str(error).split())[:200])


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    row = 0
    for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH):
        for record in batch.to_pylist():
            row += 1
            yield row, record


def _json_rows(stream: IO[bytes], name: str) -> Iterator[tuple[int, Any]]:
    for row, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            yield row, json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield row, BadRow(name, row, "not UTF-8", f"byte {error.start}")
        except (ValueError, RecursionError) as error:
            yield row, BadRow(name, row, "not JSON", str(error)[:200])


def conversation(record: Any) -> list[Message] | str:
    """Return a row's messages, or what is wrong with them."""
    if not isinstance(record, Mapping):
        return f"expected an object, found {type(record).__name__}"
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        found = type(messages).__name__ if "messages" in record else f"keys {', '.join(map(str, record))}"
        return f"expected `messages`, a list of role and content, found {found}"[:200]
    clean: list[Message] = []
    for number, message in enumerate(messages, 1):
        role = message.get("role") if isinstance(message, Mapping) else None
        content = message.get("content") if isinstance(message, Mapping) else None
        if role not in ROLES:
            return f"message {number}: role {role!r} must be one of {', '.join(ROLES)}"
        if not isinstance(content, str) or not content.strip():
            return f"message {number}: content must be text, found {content!r:.40}"
        if role == "system" and number > 1:
            return f"message {number}: a system message must be the first"
        if any(0xD800 <= ord(character) < 0xE000 for character in content):
            return f"message {number}: content has a lone surrogate"
        clean.append({"role": role, "content": content})
    if clean[-1]["role"] != "assistant":
        return f"the last message must be the assistant's, found {clean[-1]['role']}"
    if not any(message["role"] == "user" for message in clean):
        return "expected a user message before the answer"
    return clean


def prepare(
    files: Iterable[Path],
    tokenizer_folder: Path | str,
    folder: Path,
    split: str,
    max_tokens: int,
    too_long: Literal["drop", "error"],
    bad_rows: Literal["error", "drop"],
) -> Prepared:
    """Write the usable rows of files to `folder/SPLIT-HASH.parquet`.

    Args:
        files: Parquet or JSON-lines files, in their order.
        tokenizer_folder: The model, whose tokenizer measures the rows.
        folder: Where the file is written; every bad row is listed in `SPLIT-bad-rows.jsonl` next to it.
        split: First part of the file's name.
        max_tokens: Longest row.
        too_long: Leave longer rows out, or raise.
        bad_rows: Raise for rows that are no conversation, or leave them out.

    Raises:
        UserError: A file is missing, rows are bad and must not be, or no row is left.
    """
    paths = list(files)
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file of training rows")
    key = _key(paths, tokenizer_folder, [max_tokens, too_long, bad_rows])
    target = folder / f"{split}-{key}.parquet"
    report = target.with_suffix(".json")
    if (known := _prepared_before(target, report)) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    prepared, bad = _write(paths, tokenizer_folder, target, max_tokens, folder / f"{split}-bad-rows.jsonl")
    _refuse(bad, prepared, too_long, bad_rows, folder / f"{split}-bad-rows.jsonl")
    if not prepared.rows:
        raise UserError(f"{', '.join(map(str, paths))}: no usable row; left out: {prepared.dropped}")
    figures = {"rows": prepared.rows, "tokens": prepared.tokens, "longest": prepared.longest}
    write_atomic(report, json.dumps({**figures, "dropped": prepared.dropped}))
    return prepared


def _prepared_before(target: Path, report: Path) -> Prepared | None:
    """Return what an earlier call wrote; None where a file is missing, or broken."""
    try:
        prepared = Prepared(target, **json.loads(report.read_text()))
        return prepared if pq.read_metadata(target).num_rows == prepared.rows else None
    except (OSError, ValueError, TypeError, pa.ArrowException):
        return None


def _refuse(bad: list[BadRow], prepared: Prepared, too_long: str, bad_rows: str, listed: Path) -> None:
    refused = [
        row
        for row in bad
        if (too_long if row.reason == "too long" else bad_rows) == "error" or row.reason == "broken file"
    ]
    if not refused:
        return
    total = sum(
        count
        for reason, count in prepared.dropped.items()
        if (too_long if reason == "too long" else bad_rows) == "error" or reason == "broken file"
    )
    prepared.path.unlink(missing_ok=True)
    lines = [row.line() for row in refused[:SHOWN]]
    more = [f"{total - len(lines)} more bad rows"] if total > len(lines) else []
    fix = f"all are in {listed}; correct them, or set data.bad_rows=drop (data.too_long=drop for long ones)"
    raise UserError("\n".join([*lines, *more, fix]))


def _write(
    paths: list[Path], tokenizer_folder: Path | str, target: Path, max_tokens: int, listed: Path
) -> tuple[Prepared, list[BadRow]]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(tokenizer_folder))
    if not tokenizer.chat_template:
        raise UserError(
            f"model.path {str(tokenizer_folder)!r}: its tokenizer has no chat template, which `messages` need"
        )
    prepared, dropped, kept_bad = Prepared(target), Counter[str](), []
    token = secrets.token_hex(4)
    draft, bad_draft = (path.with_name(f".{path.name}.{token}") for path in (target, listed))
    with (
        pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer,
        bad_draft.open("w", encoding="utf-8") as bad_file,
    ):
        waiting: list[list[Message]] = []
        for path in paths:
            for number, record in read_rows(path):
                found = _checked(path, number, record, tokenizer, max_tokens)
                if isinstance(found, BadRow):
                    dropped[found.reason] += 1
                    bad_file.write(json.dumps(vars(found), ensure_ascii=True) + "\n")
                    if dropped[found.reason] <= SHOWN:
                        kept_bad.append(found)
                    continue
                messages, tokens = found
                prepared.rows += 1
                prepared.tokens += tokens
                prepared.longest = max(prepared.longest, tokens)
                waiting.append(messages)
                if len(waiting) == BATCH:
                    writer.write_table(pa.table({"messages": waiting}, SCHEMA))
                    waiting = []
        if waiting:
            writer.write_table(pa.table({"messages": waiting}, SCHEMA))
    draft.replace(target)
    bad_draft.replace(listed)
    prepared.dropped = dict(dropped)
    return prepared, kept_bad


def _checked(path: Path, number: int, record: Any, tokenizer: Any, limit: int) -> tuple[list[Message], int] | BadRow:
    if isinstance(record, BadRow):
        return record
    messages = conversation(record)
    if isinstance(messages, str):
        return BadRow(str(path), number, "no conversation", messages)
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False)
    except Exception as error:  # a template raises what it likes about an order of roles that it does not know
        return BadRow(str(path), number, "no conversation", f"refused by the chat template: {error}"[:200])
    tokens = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    if tokens > limit:
        return BadRow(str(path), number, "too long", f"{tokens} tokens, data.max_tokens is {limit}")
    return messages, tokens


def _key(paths: list[Path], tokenizer_folder: Path | str, settings: list[Any]) -> str:
    digest = hashlib.sha256(json.dumps([VERSION, settings]).encode())
    tokenizer_file = Path(tokenizer_folder) / "tokenizer.json"
    template = Path(tokenizer_folder) / "chat_template.jinja"
    for path in [*paths, *(part for part in (tokenizer_file, template) if part.is_file())]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
