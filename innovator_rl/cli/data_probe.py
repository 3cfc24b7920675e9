"""The command `innovator data probe`: measure tasks for a model, and say which of them it can learn from."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.cells import one_line, plain
from innovator_rl.cli.parameters import AsJson
from innovator_rl.errors import UserError

if TYPE_CHECKING:
    from innovator_rl.data.probe import ProbeResult


def probe_command(
    tasks: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="Names of datasets, Parquet files or files of your own.",
            autocompletion=completion.datasets,
        ),
    ],
    model: Annotated[str, typer.Option(help="Built-in model, folder or hub id; the server's name with --endpoint.")],
    endpoint: Annotated[str, typer.Option(help="Base URL of an OpenAI-compatible server; vLLM here if absent.")] = "",
    rows: Annotated[int, typer.Option(min=1, help="Prompts per task.")] = 100,
    samples: Annotated[int, typer.Option(min=1, help="Responses per prompt.")] = 8,
    temperature: Annotated[float, typer.Option(min=0.0, help="Sampling temperature.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a response.")] = 256,
    split: Annotated[Literal["train", "validation"], typer.Option(help="Which part.")] = "validation",
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Number format in vLLM; float32 on a CPU and the checkpoint's elsewhere if absent."),
    ] = None,
    style: Annotated[Literal["full", "short", "bare"] | None, typer.Option(help="Prompt style.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Reward workers.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the results to this file, as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure tasks for a model: which ones pass the rule for training on them."""
    from innovator_rl.data.checks.progress import RowProgress
    from innovator_rl.data.generators import Sampling, make_generator
    from innovator_rl.data.materialize import materialize
    from innovator_rl.data.probe import probe
    from innovator_rl.data.rows import Row, read_rows
    from innovator_rl.runs.files import write_atomic
    from innovator_rl.scoring.pool import ScoringPool

    asked: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as work:
        for task in tasks:
            path = materialize(task, Path(work), split, style=style)
            asked[task] = list(islice(read_rows(path), rows))
    for task, found in asked.items():
        nameless = next((row for row in found if not row.reward), None)
        if nameless is not None or not found:
            raise UserError(f"task {task!r}: its rows must name a rewarder in the column `reward` or `domain`")
    generator = make_generator(model, endpoint, dtype=dtype)
    sampling = Sampling(samples, temperature, max_tokens, seed)
    names = {row.reward for found in asked.values() for row in found}
    try:
        with ScoringPool(workers or os.cpu_count() or 1, warm=names) as pool:
            progress = RowProgress(None if as_json else sys.stderr)
            results = [probe(task, found, generator, sampling, pool, progress) for task, found in asked.items()]
    finally:
        generator.close()
    shown = [{**dataclasses.asdict(result), "passes": result.passes} for result in results]
    document = json.dumps({"model": model, "rows": shown})
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, document)
    if as_json:
        typer.echo(document)
        return
    _print(results, model)


def _print(results: list[ProbeResult], model: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from innovator_rl.data.probe import shown_name

    table = Table(
        "task",
        "accuracy",
        "best constant",
        "usable",
        "unreadable",
        "cut",
        "prompts",
        "passes",
        title=model,
        title_justify="left",
    )
    for result in results:
        constant = f"{result.constant:.0%} ({one_line(result.constant_answer, 16)})"
        table.add_row(
            plain(shown_name(result.task)),
            f"{result.accuracy:.1%} ± {result.error:.1%}",
            plain(constant),
            f"{result.usable:.0%}",
            f"{result.unreadable:.0%}",
            f"{result.cut:.0%}",
            f"{result.prompts} x {result.samples}" + (f", {result.failed} failed" if result.failed else ""),
            "yes" if result.passes else "no: " + "; ".join(result.reasons),
        )
    Console(highlight=False).print(table)
    print(
        "rule: accuracy 10 to 70 %, at least 10 points above the best constant answer, at least 50 % of prompts usable"
    )
