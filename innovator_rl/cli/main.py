"""`innovator`: one command, a file a verb.

A verb `NAME` is the module `innovator_rl.cli.NAME` with either `app` (a typer application with its own verbs) or a
function `NAME` (its options are its signature). The module is imported when its verb is called: `innovator --help`
reads one line of each file and imports neither torch nor verl.

People's mistakes (`UserError`, or a `ValueError` of the project's own code) become one line each on standard error and
exit code 2; anything else keeps its traceback.
"""

import ast
import importlib
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from innovator_rl import __version__
from innovator_rl.errors import UserError

VERBS = ("doctor", "train", "submit", "runs", "reward", "data", "upcycle", "dashboard")
MISTAKE = 2
OWN_PACKAGES = ("innovator_rl", "rewards", "upcycle")


class Verbs(TyperGroup):
    """The verbs whose files exist, each imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [verb for verb in VERBS if _file(verb).is_file()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return _load(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = self.list_commands(ctx)
        if args and args[0] not in known:
            near = get_close_matches(args[0], known, 2, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
            raise UserError(f"no verb {args[0]!r}: {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, summary(verb)) for verb in self.list_commands(ctx)])


def _file(verb: str) -> Path:
    return Path(__file__).with_name(f"{verb}.py")


def summary(verb: str) -> str:
    """What a verb is for: the first sentence of its module, read without importing it."""
    text = ast.get_docstring(ast.parse(_file(verb).read_text(encoding="utf-8"))) or ""
    first = text.split("\n\n")[0].replace("\n", " ")
    _, colon, rest = first.partition("`: ")
    sentence = rest if colon and first.startswith("`") else first
    return sentence[:1].upper() + sentence[1:]


@cache
def _load(verb: str) -> Any:
    module = importlib.import_module(f"innovator_rl.cli.{verb}")
    if hasattr(module, "app"):
        return typer.main.get_command(module.app)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name=verb)(getattr(module, verb))
    return typer.main.get_command(single)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"innovator {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def innovator(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train science language models on answers that can be checked, and read every rollout."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `innovator` command."""
    command = typer.main.get_command(app)
    try:
        command.main(list(sys.argv[1:] if arguments is None else arguments), prog_name="innovator")
    except ValueError as error:
        if not _is_mistake(error):
            raise
        for line in str(error).splitlines():
            sys.stderr.write(f"innovator: {line}\n")
        sys.exit(MISTAKE)


def _is_mistake(error: ValueError) -> bool:
    """A sentence for people: ours by type, or raised by the project's own code; a library's ValueError is a defect."""
    if isinstance(error, UserError):
        return True
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = frame.tb_frame.f_globals.get("__name__", "") if frame is not None else ""
    return str(place).split(".")[0] in OWN_PACKAGES


if __name__ == "__main__":
    main()
