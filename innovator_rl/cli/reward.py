"""`innovator reward`: what rewarders are installed, and what they make of a file of responses.

    innovator reward list
    innovator reward score answers.jsonl --reward physics --out scores.jsonl

Exit code 0 when every row was judged or abstained, 3 when some ended as infrastructure errors, 2 for bad usage.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from innovator_rl.errors import UserError
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool, registry

app = typer.Typer(help="Rewarders: list them, judge a file with one.", no_args_is_help=True)

PROGRESS_ROWS = 200


@app.command("list")
def list_rewarders() -> None:
    """Show the installed rewarders and where each comes from."""
    names = registry.names()
    width = max(map(len, names), default=0)
    for name in names:
        typer.echo(f"{name:<{width}}  {registry.target(name)}")


@app.command("score")
def score_file(
    file: Annotated[
        Path, typer.Argument(help="JSON lines with response and answer; prompt, info, data_source if used.")
    ],
    reward: Annotated[str, typer.Option("--reward", help="Name of an installed rewarder, or module:attribute.")],
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
    pool = ScoringPool(workers, timeout, memory_mb, code_isolation=code_isolation, warm=[reward])
    errors = 0
    with pool, out.open("w", encoding="utf-8") if out else _stdout() as sink:
        for done, (row, score) in enumerate(_scores(pool, rows, reward), 1):
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


def _scores(pool: ScoringPool, rows: list[dict[str, Any]], reward: str) -> Iterator[tuple[dict[str, Any], Score]]:
    """Scores in the order of the rows, with a bounded number in flight."""
    waiting: deque[tuple[dict[str, Any], Future[Score]]] = deque()
    for row in rows:
        waiting.append((row, pool.submit(_request(row, reward))))
        if len(waiting) >= 64 * pool.workers:
            first, future = waiting.popleft()
            yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()


def _result(row: dict[str, Any], score: Score) -> dict[str, Any]:
    fields = score.to_dict()
    order = ("value", "correct", "outcome", "reason", "extracted", "terms", "seconds")
    return ({"id": row["id"]} if "id" in row else {}) | {key: fields[key] for key in order}
