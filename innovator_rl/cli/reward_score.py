"""Score each row of a file with a rewarder: one row in, one row out, in order."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from innovator_rl.api import score_request
from innovator_rl.cli.parameters import CodeIsolation, MemoryMb, Rewarder, Timeout, Workers
from innovator_rl.errors import UserError
from innovator_rl.scoring import Score, ScoringPool, registry
from innovator_rl.scoring.grouping import require_loaded, score_rows

PROGRESS_ROWS = 200


def score_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="JSON lines with `response` and `answer`; `prompt`, `info`, `data_source` where used."
        ),
    ],
    reward: Rewarder,
    out: Annotated[Path | None, typer.Option("--out", help="File for the scores; standard output if absent.")] = None,
    workers: Workers = 2,
    timeout: Timeout = 10.0,
    memory_mb: MemoryMb = 2048,
    code_isolation: CodeIsolation = "standard",
) -> None:
    """Score each row of a file: one row in, one row out, in the same order.

    A rewarder that compares the responses of a prompt gets the rows with the same `group` together, or without that
    field the rows with the same prompt, answer and info.
    """
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise UserError(f"--out {out} must be another file than FILE: the scores would replace the responses")
    registry.require_usable(
        reward, {"code_isolation": code_isolation, "timeout_seconds": timeout, "memory_mb": memory_mb}
    )
    rows = _rows(file)
    requests = [score_request(row, reward) for row in rows]
    pool = ScoringPool(workers, timeout, memory_mb, code_isolation=code_isolation, warm=[reward])
    errors = 0
    with pool:
        require_loaded(pool, reward)
        scores = score_rows(pool, requests, [row.get("group") for row in rows])
        with open_for_writing(out) if out else _stdout() as sink:
            for done, (row, score) in enumerate(zip(rows, scores, strict=True), 1):
                sink.write(json.dumps(_result(row, score)) + "\n")
                errors += score.outcome == "error"
                if len(rows) >= PROGRESS_ROWS and (done % max(1, len(rows) // 100) == 0 or done == len(rows)):
                    typer.echo(f"\rscored {done}/{len(rows)}, {errors} errors", err=True, nl=done == len(rows))
    if errors:
        typer.echo(f"{errors} of {len(rows)} rows ended as errors; each row has its reason", err=True)
        raise typer.Exit(3)


def open_for_writing(path: Path) -> IO[str]:
    """Open a text file for writing, and make its folder.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out {path} cannot be written: {error.strerror}; choose another file") from error


class _stdout:
    """Standard output as a context that does not close it."""

    def __enter__(self) -> IO[str]:
        return sys.stdout

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()


def _rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON-lines file; a `UserError` names the first bad line."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{file}:{number}: not JSON ({error})") from error
        if not isinstance(row, dict) or not isinstance(row.get("response"), str):
            raise UserError(f"{file}:{number}: each row is an object with a string `response`")
        if not isinstance(row.get("info") or {}, (dict, str)):
            raise UserError(f"{file}:{number}: `info` is an object, got {type(row['info']).__name__}")
        rows.append(row)
    return rows


def _result(row: dict[str, Any], score: Score) -> dict[str, Any]:
    fields = score.to_dict()
    order = ("value", "correct", "outcome", "reason", "extracted", "terms", "seconds")
    return ({"id": row["id"]} if "id" in row else {}) | {key: fields[key] for key in order}
