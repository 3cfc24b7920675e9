"""`innovator data`: recipes to training files, a look into them, and a check before they train a model."""

from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Build, look at and check training files.")


@app.command("build")
def build_command(
    recipe: Annotated[str, typer.Argument(help="A dataset's name (a folder in datasets/) or a recipe file (.yaml).")],
    source: Annotated[
        Path | None, typer.Option(help="File or folder of the full set; else the shipped sample.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Files go to OUT/NAME/{train,validation}.parquet.")] = Path("data"),
    rows: Annotated[int | None, typer.Option(min=2, help="Draw this many problems.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draw; the split does not depend on it.")] = None,
    style: Annotated[str | None, typer.Option(help="Prompt style: full, short or bare.")] = None,
) -> None:
    """Write a dataset's training and validation files."""
    from rich.console import Console

    from innovator_rl.data.build import build, open_recipe, overridden
    from innovator_rl.data.prompts import STYLES

    if style is not None and style not in STYLES:
        raise UserError(f"--style {style!r} is not one of {', '.join(STYLES)}")
    opened, folder = open_recipe(recipe)
    if source is not None and opened.task:
        raise UserError(f"dataset {opened.name!r} is generated (task {opened.task}): leave --source out, use --rows")
    reader = (opened.reader or "jsonl") if source is not None else None
    report = build(overridden(opened, source=source, reader=reader, rows=rows, seed=seed, style=style), folder, out)
    console = Console(highlight=False, soft_wrap=True)
    for name, path in report.files.items():
        console.print(f"{path}  {report.rows[name]} rows")
    for reason, count in sorted(report.rejected.items(), key=lambda item: -item[1]):
        console.print(f"left out {count}: {reason}", markup=False)
    console.print(f"{report.seconds:.1f} s")


@app.command("show")
def show_command(
    what: Annotated[str | None, typer.Argument(help="A Parquet file or a dataset's name; none: list datasets.")] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Rows in the table.")] = 5,
    split: Annotated[str, typer.Option(help="train or validation.")] = "train",
    style: Annotated[str | None, typer.Option(help="Prompt style for a dataset's sample: full, short or bare.")] = None,
) -> None:
    """Show the first rows and one whole prompt."""
    import tempfile
    from itertools import islice

    from rich.console import Console
    from rich.table import Table

    from innovator_rl.data.build import SPLITS, materialize
    from innovator_rl.data.prompts import STYLES
    from innovator_rl.data.rows import check_columns, read_rows

    if what is None:
        _list_datasets()
        return
    if split not in SPLITS:
        raise UserError(f"--split {split!r} is not one of {', '.join(SPLITS)}")
    if style is not None and style not in STYLES:
        raise UserError(f"--style {style!r} is not one of {', '.join(STYLES)}")
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as work:
        path = materialize(what, Path(work), split, style=style)
        total = check_columns(path)
        rows = list(islice(read_rows(path), n))
    title = f"{what}: {len(rows)} of {total} rows"
    table = Table("id", "domain", "rewarder", "prompt", "answer", title=title, title_justify="left")
    for row in rows:
        prompt, answer = row.prompt[-1]["content"], row.answer
        table.add_row(
            *(_plain(text) for text in (row.id, row.domain, row.reward, _one_line(prompt, 160), _one_line(answer, 80)))
        )
    console.print(table)
    for message in rows[0].prompt if rows else ():
        console.rule(message["role"])
        console.print(message["content"], markup=False, soft_wrap=True)
    if rows:
        console.rule("answer")
        console.print(rows[0].answer, markup=False, soft_wrap=True)


@app.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(help="A Parquet file.")],
    model: Annotated[str | None, typer.Option(help="Measure prompts with this model's tokenizer.")] = None,
    max_prompt_tokens: Annotated[int | None, typer.Option(help="Report prompts longer than this.")] = None,
    against: Annotated[Path | None, typer.Option(help="Report prompts that also stand in this file.")] = None,
) -> None:
    """Check a training file; exit code 2 if anything is wrong with it."""
    from rich.console import Console

    from innovator_rl.data.check import check_file

    if max_prompt_tokens and model is None:
        raise UserError("--max-prompt-tokens needs --model, whose tokenizer measures the prompts")
    report = check_file(file, _tokenizer(model) if model else None, max_prompt_tokens, against)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{report.path}: {report.rows} rows", markup=False)
    for label, counts in (("sources", report.sources), ("rewarders", report.rewarders)):
        if counts:
            console.print(f"{label}: " + ", ".join(f"{key} {value}" for key, value in counts.items()), markup=False)
    if report.token_lengths:
        console.print("prompt tokens: " + ", ".join(f"{k} {v}" for k, v in report.token_lengths.items()), markup=False)
    if report.problems:
        shown = report.problems[:20]
        more = [f"… and {len(report.problems) - 20} more"] if len(report.problems) > 20 else []
        raise UserError("\n".join(f"{file}: {problem}" for problem in shown + more))
    console.print("nothing wrong found")


def _list_datasets() -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from innovator_rl.data.build import open_recipe
    from innovator_rl.data.recipe import dataset_names

    table = Table(
        Column("name", no_wrap=True), "domain", "rewarder", Column("what", ratio=2), Column("full set", ratio=3)
    )
    for name in dataset_names():
        recipe, _ = open_recipe(name)
        full = "generated, any size" if recipe.task else recipe.origin
        table.add_row(*(_plain(text) for text in (name, recipe.domain, recipe.rewarder, recipe.title, full)))
    Console(highlight=False).print(table)


def _plain(text: str) -> str:
    """Text for a table cell: SELFIES brackets must not be taken for markup."""
    from rich.markup import escape

    return escape(text)


def _one_line(text: str, width: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def _tokenizer(model: str) -> object:
    from transformers import AutoTokenizer

    from innovator_rl.models import resolve

    return AutoTokenizer.from_pretrained(str(resolve(model)))
