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
from typing import Annotated, Any

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
        Path | None,
        typer.Option("--out", help="Copy of the report: a folder, or one file that ends in .md, .html or .json."),
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
    if tasks and not chosen:
        raise UserError(f"--tasks must name rows of the suite, got {tasks!r}")
    if contamination is not None:
        _check_contamination(suite, chosen, data, contamination, as_json)
        return
    if not model:
        raise UserError("--model not found: expected a checkpoint folder, a built-in model or a hub id")
    from innovator_rl.evaluation import compare, report
    from innovator_rl.evaluation.options import EvalOptions
    from innovator_rl.evaluation.results import document
    from innovator_rl.evaluation.run import evaluate

    if len(model) > 1 and name is not None:
        raise UserError("--name must be left out with several --model: each checkpoint has a run directory of its own")
    if out is not None:
        _require_writable(out, comparison=len(dict.fromkeys(model)) > 1)
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
        _write(Path(found["run"]), "report", _forms(found, report.markdown(found), report.html_page(found)))
        typer.echo(f"report: {Path(found['run']) / 'report.html'}", err=True)
    text = report.markdown(documents[0]) if len(documents) == 1 else compare.markdown(documents)
    result = documents[0]
    if len(documents) > 1:
        result = {
            "rows": [{"model": found["model"], **row} for found in documents for row in found["rows"]],
            "comparison": compare.compare(documents),
            "wins": compare.wins(documents),
        }
        _write(Path(documents[0]["run"]), "comparison", _forms(result, text))
        typer.echo(f"comparison: {Path(documents[0]['run']) / 'comparison.md'}", err=True)
    if out is not None:
        page = report.html_page(documents[0]) if len(documents) == 1 else ""
        _write(out, "report" if len(documents) == 1 else "comparison", _forms(result, text, page))
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


def _forms(document: dict[str, Any], markdown: str, page: str = "") -> dict[str, str]:
    """Return a report in every form by the ending of its file."""
    forms = {".json": json.dumps(document, indent=1, ensure_ascii=False) + "\n", ".md": markdown, ".html": page}
    return {end: text for end, text in forms.items() if text}


def _require_writable(place: Path, comparison: bool) -> None:
    """Refuse a place for the report before hours are spent on its numbers."""
    if comparison and place.suffix == ".html":
        raise UserError(
            f"--out {place}: a comparison must be written to a folder, or to a file that ends in .md or .json"
        )
    nearest = next((path for path in (place, *place.absolute().parents) if path.exists()), Path("/"))
    is_report = nearest == place and place.suffix in (".json", ".md", ".html") and place.is_file()
    if not is_report and not nearest.is_dir():
        raise UserError(f"the report cannot be written to {place} ({nearest} is no folder); choose another --out")
    if not os.access(nearest, os.W_OK):
        raise UserError(f"the report cannot be written to {place} (no permission in {nearest}); choose another --out")


def _write(place: Path, name: str, forms: dict[str, str]) -> None:
    """Write every form into a folder, or one into the file that `place` names."""
    if place.suffix == ".html" and ".html" not in forms:
        raise UserError(
            f"--out {place}: a comparison must be written to a folder, or to a file that ends in .md or .json"
        )
    files = {place: forms[place.suffix]} if place.suffix in forms else {place / f"{name}{e}": forms[e] for e in forms}
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"the report cannot be written to {place} ({error.strerror}); choose another --out") from None
