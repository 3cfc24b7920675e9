"""`innovator reward score`: a file of responses judged by a rewarder, one row in, one row out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from innovator_rl.errors import UserError
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool, registry

PROGRESS_ROWS = 200


def score_file(
    file: Annotated[
        Path, typer.Argument(help="JSON lines with response and answer; prompt, info, data_source if used.")
    ],
    reward: Annotated[
        str, typer.Option("--reward", help="An installed rewarder, module:attribute, path.py:attribute or a formula.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Where the scores go; standard output if absent.")] = None,
    workers: Annotated[int, typer.Option("--workers", help="Responses judged at the same time.")] = 2,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds that one judgement may take.")] = 10.0,
    memory_mb: Annotated[int, typer.Option("--memory-mb", help="MiB of address space for one judge.")] = 2048,
    code_isolation: Annotated[
        str, typer.Option(help="Least isolation in which programs are run: standard, strict or none.")
    ] = "standard",
) -> None:
    """Judge each row of FILE with a rewarder: one row in, one row out, in the same order."""
    registry.check(reward)
    rows = _rows(file)
    requests = [_request(row, reward) for row in rows]
    pool = ScoringPool(workers, timeout, memory_mb, code_isolation=code_isolation, warm=[reward])
    errors = 0
    with pool, out.open("w", encoding="utf-8") if out else _stdout() as sink:
        for done, (row, score) in enumerate(zip(rows, pool.map(requests), strict=True), 1):
            sink.write(json.dumps(_result(row, score)) + "\n")
            errors += score.outcome == "error"
            if len(rows) >= PROGRESS_ROWS and (done % max(1, len(rows) // 100) == 0 or done == len(rows)):
                typer.echo(f"\rscored {done}/{len(rows)}, {errors} errors", err=True, nl=done == len(rows))
    if errors:
        typer.echo(f"{errors} of {len(rows)} rows ended as infrastructure errors; see their reason", err=True)
        raise typer.Exit(3)


class _stdout:
    """Standard output as a context that does not close it."""

    def __enter__(self) -> IO[str]:
        return sys.stdout

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()


def _rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file, checked. Raises `UserError` naming the line."""
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


def _request(row: dict[str, Any], reward: str) -> ScoreRequest:
    info = row.get("info") or {}
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except ValueError as error:
            raise UserError(f"row {row.get('id', '?')}: `info` is a string that is not JSON ({error})") from error
    return ScoreRequest(
        rewarder=reward,
        response=row["response"],
        answer=_text(row.get("answer", "")),
        prompt=_text(row.get("prompt", "")),
        info=info,
        data_source=_text(row.get("data_source", "")),
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return "\n\n".join(_text(part.get("content", "")) for part in value)
    return "" if value is None else json.dumps(value)


def _result(row: dict[str, Any], score: Score) -> dict[str, Any]:
    fields = score.to_dict()
    order = ("value", "correct", "outcome", "reason", "extracted", "terms", "seconds")
    return ({"id": row["id"]} if "id" in row else {}) | {key: fields[key] for key in order}
