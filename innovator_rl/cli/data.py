"""Build, inspect and validate training data."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.application import make_app
from innovator_rl.cli.cells import one_line, plain
from innovator_rl.cli.data_distill import distill_command
from innovator_rl.cli.data_plan import plan_command
from innovator_rl.cli.data_probe import probe_command
from innovator_rl.cli.parameters import Kind
from innovator_rl.errors import UserError

PromptStyle = Annotated[Literal["full", "short", "bare"] | None, typer.Option("--style", help="Prompt style.")]

app = make_app("Build, inspect and validate training data.")
app.command("plan")(plan_command)


@app.command("build")
def build_command(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="The name of a dataset, a recipe file (.yaml), or a file of your own (.jsonl, .csv).",
            autocompletion=completion.datasets,
        ),
    ],
    source: Annotated[
        str | None, typer.Option(help="File, folder or hub:OWNER/NAME of the full set; by default the recipe's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for NAME/train.parquet and NAME/validation.parquet.")] = Path(
        "data"
    ),
    rows: Annotated[int | None, typer.Option(min=2, help="Number of problems to draw.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draw; the split does not depend on it.")] = None,
    style: PromptStyle = None,
    domain: Annotated[str | None, typer.Option(help="Domain of a file of your own.")] = None,
    reward: Annotated[str | None, typer.Option(help="Rewarder, over the recipe's.")] = None,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Score every gold answer.")] = True,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Reward workers, or processes that build a corpus.")
    ] = None,
    executor: Annotated[Literal["local", "ray"], typer.Option(help="Where a corpus is built.")] = "local",
) -> None:
    """Write the training files of a dataset, or a corpus from a recipe with `steps`."""
    from innovator_rl.cli import data_corpus, data_sft
    from innovator_rl.cli.data_rl import build_rows, require_folder

    require_folder(out)
    if data_sft.is_recipe(recipe):
        if any(option is not None for option in (source, rows, seed, style, domain, reward)):
            raise UserError(
                f"{recipe!r} is a recipe of kind sft: --source, --rows, --seed, --style, --domain and --reward do not "
                "apply to it"
            )
        data_sft.build(Path(recipe), out, workers or 2)
        return
    if data_corpus.is_recipe(recipe):
        if any(option is not None for option in (source, rows, seed, style, domain, reward)):
            raise UserError(
                f"{recipe!r} is a corpus recipe: --source, --rows, --seed, --style, --domain and --reward do not apply to it"
            )
        data_corpus.build(Path(recipe), out, workers or 1, executor)
        return
    build_rows(recipe, out, source, workers, check, rows=rows, seed=seed, style=style, domain=domain, reward=reward)


@app.command("show")
def show_command(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A Parquet file, a built corpus or the name of a dataset; without it, the datasets are listed.",
            autocompletion=completion.datasets,
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Number of rows in the table.")] = 5,
    split: Annotated[Kind, typer.Option(help="Which part.")] = "train",
    style: PromptStyle = None,
) -> None:
    """Show the first rows and one complete prompt."""
    import tempfile
    from itertools import islice

    from rich.console import Console
    from rich.table import Table

    from innovator_rl.cli import data_corpus, data_sft
    from innovator_rl.data.materialize import materialize
    from innovator_rl.data.rows import check_columns, read_rows

    if what is None:
        _list_datasets()
        return
    built = data_sft.built_folder(what)
    if built is not None:
        data_sft.show(built, n)
        return
    corpus = data_corpus.corpus_folder(what)
    if corpus is not None:
        data_corpus.show(corpus, n)
        return
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
            *(plain(text) for text in (row.id, row.domain, row.reward, one_line(prompt, 160), one_line(answer, 80)))
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
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A Parquet file, a file of your own, or the folder of a built set or corpus."
        ),
    ],
    model: Annotated[str | None, typer.Option(help="Measure prompts with the tokenizer of this model.")] = None,
    max_prompt_tokens: Annotated[int | None, typer.Option(min=1, help="Report prompts longer than this.")] = None,
    against: Annotated[Path | None, typer.Option(help="Report prompts that are also in this file.")] = None,
) -> None:
    """Validate a training file; exit with 2 if it has an error."""
    from rich.console import Console

    from innovator_rl.cli import data_corpus
    from innovator_rl.data.check import check_file

    corpus = data_corpus.corpus_folder(str(file))
    if corpus is not None:
        data_corpus.check(corpus)
        return
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
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    if report.problems:
        shown = report.problems[:20]
        more = [f"… and {len(report.problems) - 20} more"] if len(report.problems) > 20 else []
        raise UserError("\n".join(f"{file}: {problem}" for problem in shown + more))
    console.print("nothing wrong found")


app.command("probe")(probe_command)
app.command("distill")(distill_command)


@app.command("layout")
def layout_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON: {name, pages, blocks: [{page, bbox, type, text}]}.")
    ],
    out: Annotated[Path, typer.Option(help="File for the document with its blocks in order.")],
) -> None:
    """Put the blocks of a document's pages in reading order."""
    from innovator_rl.cli import data_corpus

    data_corpus.layout(file, out)


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
        table.add_row(*(plain(text) for text in (name, recipe.domain, recipe.rewarder, recipe.title, full)))
    Console(highlight=False).print(table)


def _tokenizer(model: str) -> object:
    from transformers import AutoTokenizer

    from innovator_rl.models import resolve

    return AutoTokenizer.from_pretrained(str(resolve(model)))
