"""Check every shell command of the documentation.

    python -m tools.check_docs_commands            # print what does not hold
    python -m tools.check_docs_commands --list     # print every command and how it is covered

A command of the documentation is *run* by tests/docs/test_commands.py if it matches `QUICK` or `SLOW`, unless a comment
before its block gives a reason, for example `<!-- needs: gpu (the full-size model) -->`. Either way its
subcommand, options and files of the repository must exist, and the same holds for inline code such as
`innovator runs list`. Shell blocks have the language `sh` or `console`; a block without a language is an error, so
that nothing is skipped silently.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NEEDS = ("cluster", "data", "gpu", "minutes", "network", "server")
QUICK = (
    r"innovator --help",
    r"innovator (runs|reward) list",
    r"innovator reward (new|check|score|rescore)\b",
    r"innovator data (show|build|check|plan)\b",
    r"innovator upcycle plan\b",
    r"innovator submit .*--dry-run",
    r"innovator train (plan|simulate)\b",
    r"innovator paper run .*--dry-run",
    r"innovator init\b",
)
CI = (r"make (setup|check|test|test-fast)$",)  # .ci/run calls them
SLOW = (r"innovator doctor\b", r"innovator train .*--dry-run", r"innovator upcycle run configs/upcycle/tiny.yaml$")
OUTSIDE = ("cd", "docker", "git", "mkdocs", "pip", "pre-commit", "ray", "torchrun", "vllm")
FENCE = re.compile(
    r"(?:<!-- needs: (?P<needs>.*?) -->\s*)?^(?P<indent> *)```(?P<language>\S*)\n(?P<body>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
INLINE = re.compile(r"(?<!`)`(innovator [^`]+)`(?!`)")
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]{2,}\b|\.\.\.|[\[\]|]|…")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a page."""

    path: str
    line: int
    text: str
    needs: str = ""
    inline: bool = False

    @property
    def covered(self) -> str:
        """Say how the command is covered, for example by `run` or `needs gpu (...)`.

        Empty if it is not.
        """
        if self.inline:
            return "parsed"
        if self.needs:
            return f"needs {self.needs}"
        for name, patterns in (("run", QUICK), ("run (slow)", SLOW), ("run by CI", CI)):
            if any(re.match(pattern, self.text) for pattern in patterns):
                return name
        return ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def pages(root: Path = ROOT) -> list[Path]:
    """Return the documentation's pages.

    The changelog, which names commands of the past, is left out.
    """
    names = [path for path in root.glob("*.md") if path.name != "CHANGELOG.md"]
    return sorted([*names, *root.glob("docs/**/*.md"), *root.glob("datasets/*/README.md")])


def commands(path: str, text: str) -> Iterator[Command]:
    """Yield the commands of a page in order."""
    for block in FENCE.finditer(text):
        first = text.count("\n", 0, block.start("body")) + 1
        if block["language"] in ("sh", "console"):
            yield from _block(path, first, block["body"], block["language"] == "console", block["needs"] or "")
    prose = FENCE.sub(lambda block: "\n" * block.group().count("\n"), text)
    prose = re.sub(
        r"<!-- prose: off -->.*?<!-- prose: on -->",
        lambda part: "\n" * part.group().count("\n"),
        prose,
        flags=re.DOTALL,
    )
    for span in INLINE.finditer(prose):
        yield Command(path=path, line=prose.count("\n", 0, span.start()) + 1, text=_folded(span[1]), inline=True)


def _block(path: str, first: int, body: str, console: bool, needs: str) -> Iterator[Command]:
    """Yield the commands of one block.

    A backslash continues a line, and a `#` starts a comment.
    """
    lines = body.split("\n")
    number = 0
    while number < len(lines):
        start, text = number, lines[number]
        while text.rstrip().endswith("\\"):
            number += 1
            text = text.rstrip()[:-1] + lines[number]
        number += 1
        if console and not text.startswith("$ "):
            continue
        text = _folded(re.sub(r"(^|\s)#\s.*$", "", text).removeprefix("$ "))
        if text:
            yield Command(path=path, line=first + start, text=text, needs=needs)


def _folded(text: str) -> str:
    return " ".join(text.split())


def faults(command: Command) -> Iterator[str]:
    """Yield what is wrong with a command: no coverage, or a name that is unknown."""
    if not command.covered:
        yield "is neither run by a test nor marked with <!-- needs: ... -->"
    if command.needs and not re.fullmatch(rf"({'|'.join(NEEDS)}) \(.+\)", command.needs):
        yield f"needs {command.needs!r}: expected one of {', '.join(NEEDS)} and a reason in parentheses"
    words = shlex.split(command.text)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if words:
        yield from _program(Path(words[0]).name if words[0].startswith(".venv/") else words[0], words[1:])


def _program(name: str, words: list[str]) -> Iterator[str]:
    """Yield what is wrong with a call of a program."""
    if name == "innovator":
        yield from _innovator(words)
    elif name == "make":
        yield from (f"make has no target {word!r}" for word in words if word not in _targets())
    elif name in ("python", "python3"):
        yield from _python(words)
    elif name == "ray" and "--" in words:
        after = words[words.index("--") + 1 :]
        yield from _program(after[0], after[1:])
    elif name not in OUTSIDE:
        yield f"{name!r} is not a known program; use the language `text` for a block that is no shell input"


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def _python(words: list[str]) -> Iterator[str]:
    """Yield a module or file that a Python command names and that does not exist."""
    if words[:1] == ["-m"]:
        package, *rest = words[1].split(".")
        spec = importlib.util.find_spec(package)
        places = [Path(place).joinpath(*rest) for place in (spec.submodule_search_locations or [])] if spec else []
        if not spec or (rest and not any(place.is_dir() or place.with_suffix(".py").is_file() for place in places)):
            yield f"module {words[1]!r} was not found"
    elif words and words[0].endswith(".py") and not (ROOT / words[0]).is_file():
        yield f"file {words[0]!r} was not found"


def _innovator(words: list[str]) -> Iterator[str]:
    """Yield an unknown subcommand, option or file, or arguments that do not fit."""
    import typer

    from innovator_rl.cli.main import SECOND_WORDS, app, load_command

    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="innovator")
    rest = list(words)
    while hasattr(command, "get_command"):
        while rest and rest[0].startswith("-"):
            rest.pop(0)
        if not rest or PLACEHOLDER.fullmatch(rest[0]):
            return
        name = rest.pop(0)
        known = command.list_commands(context)
        if name not in known and command.get_command(context, name) is None:
            yield f"unknown command {name!r}: expected one of {', '.join(known)}"
            return
        top = context.parent is None  # the top level gives names only; its commands are imported when they run
        if top and rest and rest[0] in SECOND_WORDS.get(name, ()):
            name = f"{name}_{rest.pop(0)}"
        command = load_command(name) if top else command.get_command(context, name)
        context = command.context_class(command, info_name=name, parent=context)
    yield from _arguments(command, context, rest)


def _arguments(command: Any, context: Any, words: list[str]) -> Iterator[str]:
    """Yield what does not fit the signature of a command.

    Placeholders such as CONFIG count as values.
    """
    words = [word for word in (re.sub(r"[\[\]]", "", word) for word in words) if word not in ("", "...", "…")]
    for word in words:
        if re.match(r"(configs|datasets)/", word) and not (ROOT / word).exists():
            yield f"file {word!r} was not found"
    if {"--help", "-h"} & set(words):
        return
    try:
        values, left, _ = command.make_parser(context).parse_args(words)
    except Exception as error:  # click's usage errors; typer ships its own copy of the classes
        yield str(error)
        return
    if left:
        yield f"unexpected arguments {left}"
    missing = [parameter.name for parameter in command.params if parameter.required and not values.get(parameter.name)]
    if missing:
        yield f"missing {', '.join(missing)}"


def page_faults(path: str, text: str) -> list[str]:
    """Return every fault of a page, with file and line."""
    found = []
    for block in FENCE.finditer(text):
        if not block["language"]:
            line = text.count("\n", 0, block.start("body"))
            found.append(f"{path}:{line}: the block has no language; use sh, console, text or another one")
    for command in commands(path, text):
        partial = command.inline and len(command.text.split()) < 4 and not PLACEHOLDER.search(command.text)
        found += [f"{command}: {fault}" for fault in faults(command) if not (partial and fault.startswith("missing"))]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print every fault, or all commands with `--list`; return 1 at a fault."""
    parser = argparse.ArgumentParser(prog="check_docs_commands", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--list", action="store_true", help="print every command and how it is covered")
    options = parser.parse_args(arguments)
    found = []
    for page in pages():
        path, text = str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
        if options.list:
            print("\n".join(f"{command.covered or 'NOT COVERED':28} {command}" for command in commands(path, text)))
        found += page_faults(path, text)
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
