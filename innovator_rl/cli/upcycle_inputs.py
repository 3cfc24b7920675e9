"""Define the parameters of `innovator upcycle`, and print what its parts report."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from innovator_rl.cli import completion

if TYPE_CHECKING:
    from upcycle.checkpoint.verify import Check
    from upcycle.config.schema import UpcycleConfig

Config = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        help="A YAML file, or the name of one in configs/upcycle.",
        autocompletion=completion.configurations("upcycle"),
    ),
]
Settings = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings to change, as key=value.")]
Ranks = Annotated[int, typer.Option(min=1, help="Processes on this machine, started with torchrun.")]
FAILED_CHECK = 3  # exit code


def load_config(path: Path, settings: list[str] | None) -> "UpcycleConfig":
    """Load an upcycling configuration; warn of keys of the previous release.

    Raises:
        UserError: With one line per mistake.
    """
    from innovator_rl.config.load import read_yaml
    from innovator_rl.packaged_files import find_config
    from upcycle.config.aliases import renamed_keys
    from upcycle.config.schema import load

    file = find_config(str(path), "upcycle")
    loaded = load(file, settings or [])
    for old, new in renamed_keys(read_yaml(file), settings or []):
        warn_renamed(old, new)
    return loaded


def warn_renamed(old: str, new: str) -> None:
    """Warn on standard error that a command, an option or a key was renamed."""
    typer.echo(f"innovator: {old} is now {new}; the old name works for one more release", err=True)


def print_checks(checks: "Iterable[Check]") -> "list[Check]":
    """Print each check as soon as it is done, and return all of them."""
    done = []
    for check in checks:
        typer.echo(f"{'ok    ' if check.ok else 'FAILED'}  {check.name}: {check.figure}  [bound: {check.bound}]")
        done.append(check)
    return done


def print_progress(line: str) -> None:
    """Print a line of progress to standard error."""
    typer.echo(f"        {line} ...", err=True)
