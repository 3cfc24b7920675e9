"""`innovator eval`: measure a checkpoint on the paper's tables, or on a suite of your own.

    innovator eval smoke --model smollm2-135m --limit 20
    innovator eval general --model runs/first/export --data my-data --json
    innovator eval reasoning --model before --model after
    innovator eval reasoning --contamination data/math/train.parquet

The same command again goes on from the responses that are stored, whatever ended the first one. Exit code 0 means that
every task that could run has run; what was skipped, and what to supply, is in the report.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.parameters import AsJson, RunsDir
from innovator_rl.errors import UserError


def eval(
    suite: Annotated[
        str,
        typer.Argument(
            metavar="SUITE",
            help="general, science, reasoning, smoke, or a YAML file.",
            autocompletion=completion.configurations("eval"),
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="A checkpoint folder, a built-in model or a hub id; several are compared."),
    ] = None,
    contamination: Annotated[
        Path | None,
        typer.Option("--contamination", help="A training file: look for the suite's questions in it; no model runs."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Rows per task, drawn at random by the seed.")] = None,
    tasks: Annotated[str, typer.Option("--tasks", help="Only these tasks of the suite, separated by commas.")] = "",
    data: Annotated[
        str | None, typer.Option("--data", help="Folder of the evaluation sets; INNOVATOR_DATA by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for report.md, report.html and report.json.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run directory.")] = None,
    runs_dir: RunsDir = "runs",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the drawing of rows and of sampling.")] = 0,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="Number format; float32 on a CPU, else bfloat16.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", help="Longest response in tokens, in place of the suite's.")
    ] = None,
    context: Annotated[int | None, typer.Option("--context", help="Longest sequence in tokens.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Threads on a CPU; all cores by default.")] = None,
    workers: Annotated[int, typer.Option("--workers", help="Responses scored at the same time.")] = 2,
    backend: Annotated[str, typer.Option("--backend", help="auto, vllm or hf, for log-probabilities.")] = "auto",
    tensor_parallel: Annotated[int, typer.Option("--tensor-parallel", help="Accelerators that share the model.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Evaluate a checkpoint on a suite and write a report."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    chosen = tuple(part.strip() for part in tasks.split(",") if part.strip())
    if contamination is not None:
        _check_contamination(suite, chosen, data, contamination, as_json)
        return
    if not model:
        raise UserError("--model not found: expected a checkpoint folder, a built-in model or a hub id")
    from innovator_rl.evaluation import compare, report
    from innovator_rl.evaluation.run import EvalOptions, document, evaluate

    if len(model) > 1 and name is not None:
        raise UserError("--name must be left out with several --model: each checkpoint has a run directory of its own")
    options = EvalOptions(
        model=model[0],
        limit=limit,
        tasks=chosen,
        data=data,
        runs_dir=runs_dir,
        name=name,
        seed=seed,
        dtype=dtype,
        max_new_tokens=max_new_tokens,
        context=context,
        threads=threads,
        workers=workers,
        backend=backend,
        tensor_parallel=tensor_parallel,
    )
    documents = [
        document(evaluate(suite, replace(options, model=path), lambda line: typer.echo(line, err=True)))
        for path in dict.fromkeys(model)
    ]
    for found in documents:
        folder = Path(found["run"]) if out is None or len(documents) > 1 else out
        files = {"json": json.dumps(found, indent=1, ensure_ascii=False) + "\n", "md": report.markdown(found)}
        _write(folder, {f"report.{end}": text for end, text in (files | {"html": report.html_page(found)}).items()})
        typer.echo(f"report: {folder / 'report.html'}", err=True)
    text = report.markdown(documents[0]) if len(documents) == 1 else compare.markdown(documents)
    result = documents[0]
    if len(documents) > 1:
        result = {
            "rows": [{"model": found["model"], **row} for found in documents for row in found["rows"]],
            "comparison": compare.compare(documents),
            "wins": compare.wins(documents),
        }
        folder = out or Path(documents[0]["run"])
        _write(folder, {"comparison.md": text, "comparison.json": json.dumps(result, indent=1) + "\n"})
        typer.echo(f"comparison: {folder / 'comparison.md'}", err=True)
    typer.echo(json.dumps(result, ensure_ascii=False) if as_json else text)
    typer.echo(f"responses: innovator dashboard {Path(documents[0]['run']).parent}", err=True)


def _check_contamination(suite: str, tasks: tuple[str, ...], data: str | None, training: Path, as_json: bool) -> None:
    """Print what a training file has of a suite; exit code 1 where it has anything."""
    from dataclasses import asdict

    from innovator_rl.evaluation.contamination import check_training_file
    from innovator_rl.evaluation.local_data import data_root
    from innovator_rl.evaluation.suite import load_suite

    loaded, _ = load_suite(suite)
    found, skipped = check_training_file(loaded.only(tasks) if tasks else loaded, data_root(data), training)
    if as_json:
        typer.echo(json.dumps({"tasks": [asdict(item) for item in found], "skipped": skipped}, ensure_ascii=False))
    else:
        for item in found:
            hits = f"{len(item.text)} by text, {len(item.molecules)} by molecule"
            names = ", ".join([*item.text, *item.molecules][:5])
            typer.echo(f"{item.task}: {item.rows} questions, {hits}{f' ({names}, ...)' if names else ''}")
        for name, reason in skipped.items():
            typer.echo(f"skipped {name}: {reason}")
    if any(item.text or item.molecules for item in found):
        raise typer.Exit(1)


def _write(folder: Path, files: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"the report cannot be written to {folder} ({error.strerror}); choose another --out") from None
