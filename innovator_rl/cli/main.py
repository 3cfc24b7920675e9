"""Define `innovator`, the one command.

Each of its commands is a module of this package.

A command NAME is the module `innovator_rl.cli.NAME` with either `app` (a typer application with commands of its own)
or a function `NAME`, whose signature is its options. The module is imported when its command runs: `innovator --help`
reads the first sentence of each file and imports neither torch nor verl.
"""

import ast
import importlib
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from innovator_rl import __version__
from innovator_rl.cli.application import DEBUG_VARIABLE, EXIT_CODES, HELP_NAMES, CommandGroup, make_app, run

COMMANDS = (
    "doctor",
    "init",
    "train",
    "sft",
    "submit",
    "runs",
    "reward",
    "data",
    "upcycle",
    "eval",
    "paper",
    "dashboard",
)


SECOND_WORDS = {"train": ("plan", "simulate")}
"""Commands that a second word turns into another one: `train plan` is the module `train_plan`."""


class Commands(CommandGroup):
    """The commands whose modules exist, each imported when it runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help."""
        return [name for name in COMMANDS if _file(name).is_file()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command's name and summary, or None; help needs no more."""
        return TyperCommand(cmd_name, help=summary(cmd_name)) if cmd_name in self.list_commands(ctx) else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the first word names, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        if rest and rest[0] in SECOND_WORDS.get(name, ()):
            return f"{name} {rest[0]}", load_command(f"{name}_{rest[0]}"), rest[1:]
        return name, command and load_command(name), rest

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the exit codes, one per line."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES])


def _file(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.py")


def summary(name: str) -> str:
    """Return what a command is for, read from its module without importing it."""
    text = ast.get_docstring(ast.parse(_file(name).read_text(encoding="utf-8"))) or ""
    sentence = text.split("\n\n")[0].replace("\n", " ").removeprefix(f"`innovator {name}`: ")
    return sentence[:1].upper() + sentence[1:]


@cache
def load_command(name: str) -> Any:
    """Import a command's module and return the parser's command."""
    module = importlib.import_module(f"innovator_rl.cli.{name}")
    if hasattr(module, "app"):
        return typer.main.get_command(module.app)
    single = make_app()
    single.command(name=name, context_settings=HELP_NAMES)(getattr(module, name))
    return typer.main.get_command(single)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"innovator {__version__}")
        raise typer.Exit


app = make_app(group=Commands, add_completion=True)


@app.callback()
def innovator(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help=f"Show the traceback of mistakes too; {DEBUG_VARIABLE}=1 does the same.")
    ] = False,
) -> None:
    """Train science language models on checkable answers, and read every rollout."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the `innovator` command and exit with its code."""
    sys.exit(run(app, sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    main()
