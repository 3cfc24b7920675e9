"""`innovator reward`: write a rewarder, check it, judge a file or a recorded run with it.

    innovator reward list
    innovator reward new solubility
    innovator reward check solubility --watch
    innovator reward score answers.jsonl --reward physics --out scores.jsonl
    innovator reward rescore runs/demo

`score` and `rescore`: exit code 0 when every row was judged or abstained, 3 when some ended as infrastructure errors.
`check`: 0 when there is nothing to fix, 1 otherwise. 2 for bad usage.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.cli.reward_rescore import rescore_run
from innovator_rl.cli.reward_score import score_file
from innovator_rl.errors import UserError
from innovator_rl.scoring import registry
from innovator_rl.scoring.authoring import scaffold, validate

app = typer.Typer(help="Rewarders: list, write, check, judge a file or a recorded run.", no_args_is_help=True)
app.command("score")(score_file)
app.command("rescore")(rescore_run)


@app.command("list")
def list_rewarders() -> None:
    """Show the installed rewarders and where each comes from."""
    names = registry.names()
    width = max(map(len, names), default=0)
    for name in names:
        typer.echo(f"{name:<{width}}  {registry.target(name)}")


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The reward's name: a-z, 0-9 and _.")],
    directory: Annotated[Path, typer.Option("--dir", help="Where the package's folder is made.")] = Path("."),
) -> None:
    """Write a package with a rewarder, its golden cases and a test; it passes `check` as it is."""
    if name in registry.names():
        raise UserError(f"a rewarder named {name!r} is installed ({registry.target(name)}); choose another name")
    folder = scaffold.write(name, directory)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            typer.echo(str(path))
    typer.echo(f"next: innovator reward check {folder}")


@app.command("check")
def check(
    name: Annotated[
        str, typer.Argument(help="An installed name, module:attribute, path.py:attribute, or a package's folder.")
    ],
    golden: Annotated[
        Path | None, typer.Option("--golden", help="Golden cases, where not beside the rewarder.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds that one judgement may take.")] = 10.0,
    memory_mb: Annotated[int, typer.Option("--memory-mb", help="MiB of address space for one judge.")] = 2048,
    code_isolation: Annotated[
        str, typer.Option(help="Least isolation in which programs are run: standard, strict or none.")
    ] = "standard",
    watch: Annotated[bool, typer.Option("--watch", help="Check again after each change, until interrupted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Golden cases, probes, determinism, speed, memory, faults: is the rewarder ready, and what is to fix?"""
    rewarder, label = _resolve(name)
    bounds = validate.CheckConfig(timeout, memory_mb, code_isolation)
    ready: list[bool] = []

    def once() -> None:
        report = validate.check(rewarder, name=label, golden=golden, bounds=bounds, progress=_progress(as_json))
        ready.append(report.ready)
        typer.echo(json.dumps(report.as_dict()) if as_json else report.text())

    if not watch:
        once()
        raise typer.Exit(0 if ready[-1] else 1)
    try:
        validate.watch(lambda: validate.watched(rewarder, golden), _tolerant(once))
    except KeyboardInterrupt:
        raise typer.Exit(0 if ready and ready[-1] else 1) from None


def _resolve(name: str) -> tuple[str, str | None]:
    """A rewarder's name, and the one its golden file has. A folder stands for the reward its package offers."""
    folder = Path(name)
    installed = name in registry.names()
    offered = scaffold.entry_point(folder) if not installed and (folder / "pyproject.toml").is_file() else None
    if offered is None:
        return name, None
    sys.path.insert(0, str(folder.absolute()))
    return offered[1], offered[0]


def _progress(quiet: bool) -> Callable[[str], None]:
    return lambda step: None if quiet else typer.echo(f"... {step}", err=True)


def _tolerant(once: Callable[[], None]) -> Callable[[], None]:
    """A run under --watch: a mistake in a file that is being edited is printed, not fatal."""

    def run() -> None:
        try:
            once()
        except UserError as error:
            typer.echo(f"innovator: {error}", err=True)

    return run
