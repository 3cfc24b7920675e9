"""List, write and check rewarders; score files and recorded runs.

    innovator reward list
    innovator reward new solubility
    innovator reward check solubility --watch
    innovator reward score answers.jsonl --reward physics --out scores.jsonl
    innovator reward rescore runs/demo

`score` and `rescore` exit with 0 when every row was scored or abstained, and with 3 when some ended as errors.
`check` exits with 0 when there is nothing to fix, with 1 when there is, and with 2 for a rewarder that cannot be called.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.application import make_app
from innovator_rl.cli.parameters import AsJson, CodeIsolation, MemoryMb, Timeout
from innovator_rl.cli.reward_rescore import rescore_run
from innovator_rl.cli.reward_score import score_file
from innovator_rl.errors import UserError
from innovator_rl.scoring import registry
from innovator_rl.scoring.authoring import scaffold, validate

app = make_app("List, write and check rewarders; score files and recorded runs.")


@app.command("list")
def list_rewarders() -> None:
    """List the installed rewarders: what each scores, and where it comes from."""
    rows = [(name, registry.target(name), registry.summary(name)) for name in registry.names()]
    first, second = (max((len(row[place]) for row in rows), default=0) for place in (0, 1))
    for name, target, summary in rows:
        typer.echo(f"{name:<{first}}  {target:<{second}}  {summary}".rstrip())


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the reward: a-z, 0-9 and _.")],
    directory: Annotated[Path, typer.Option("--dir", help="Folder in which the package is written.")] = Path("."),
) -> None:
    """Write a package with a rewarder, golden cases and a test, which passes `check`."""
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
        str,
        typer.Argument(
            metavar="NAME",
            help="An installed name, module:attribute, path.py:attribute, or the folder of a package.",
            autocompletion=completion.rewarders,
        ),
    ],
    golden: Annotated[
        Path | None, typer.Option("--golden", help="Golden cases, if they are not next to the rewarder.")
    ] = None,
    timeout: Timeout = 10.0,
    memory_mb: MemoryMb = 2048,
    code_isolation: CodeIsolation = "standard",
    watch: Annotated[bool, typer.Option("--watch", help="Check again after each change, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check golden cases, adversarial probes, determinism, speed, memory and faults."""
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


app.command("score")(score_file)
app.command("rescore")(rescore_run)


def _resolve(name: str) -> tuple[str, str | None]:
    """Return a rewarder's name and the one its golden file has.

    A folder means the reward its package offers.
    """
    folder = Path(name)
    installed = name in registry.names()
    offered = None if installed else registry.offered_by(folder)
    if offered is None:
        return name, None
    sys.path.insert(0, str(folder.absolute()))
    return offered[1], offered[0]


def _progress(quiet: bool) -> Callable[[str], None]:
    return lambda step: None if quiet else typer.echo(f"... {step}", err=True)


def _tolerant(once: Callable[[], None]) -> Callable[[], None]:
    """Return a check that prints the mistakes of an edited file, for `--watch`."""

    def run() -> None:
        try:
            once()
        except UserError as error:
            typer.echo(f"innovator: {error}", err=True)

    return run
