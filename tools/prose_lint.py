"""Check prose against the word list of the glossary.

    python -m tools.prose_lint                # every tracked file
    python -m tools.prose_lint docs README.md
    python -m tools.prose_lint --count        # how many reports each folder has

The rules are in `tools/prose_rules.yaml`, and `tools/prose_text.py` finds the prose. In tests, strings are data and are
not checked.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml

from tools.prose_text import EXTRACTORS

RULES = Path(__file__).with_name("prose_rules.yaml")
ALLOW = re.compile(r"prose: allow ([^\n>]*?)\s*(?:-->|\*/|$)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One phrase that prose must not use."""

    match: str
    use: str
    bad: str
    good: str
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """One use of a phrase that a rule forbids."""

    path: str
    line: int
    phrase: str
    use: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.phrase!r} -> use {self.use}"


def load_rules(path: Path = RULES) -> tuple[list[Rule], list[str]]:
    """Read the rules and the patterns of files that are not checked."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    rules = [
        Rule(exclude=tuple(row.get("except", ())), **{key: row[key] for key in ("match", "use", "bad", "good")})
        for row in content["rules"]
    ]
    return rules, content["skip"]


class Linter:
    """All rules as one regular expression, so that a file is scanned once."""

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        phrases = [rule.match.replace(" ", r"[ \t\n]+") for rule in rules]
        parts = [f"(?P<r{number}>{phrase})" for number, phrase in enumerate(phrases)]
        self.pattern = re.compile(rf"\b(?:{'|'.join(parts)})(?!\w)", re.IGNORECASE)

    def check(self, path: str, source: str) -> Iterator[Report]:
        """Yield every forbidden phrase of a file.

        Args:
            path: The file's path relative to the repository; its suffix decides how prose is found.
            source: The file's content.
        """
        extract = EXTRACTORS[Path(path).suffix]
        prose = extract(source, is_test(path))
        lines = source.split("\n")
        for found in self.pattern.finditer(prose):
            rule = self.rules[int(str(found.lastgroup)[1:])]
            phrase = " ".join(found.group().split())
            line = prose.count("\n", 0, found.start()) + 1
            if any(fnmatch(path, pattern) for pattern in rule.exclude) or allowed(lines, line, phrase):
                continue
            yield Report(path=path, line=line, phrase=phrase, use=rule.use)


def is_test(path: str) -> bool:
    """Return whether the strings of a file are test data."""
    return path.startswith("tests/")


def allowed(lines: list[str], line: int, phrase: str) -> bool:
    """Return whether a comment allows the phrase.

    It stands on the line, or at the end of the string that the line is part of.
    """
    text = lines[line - 1]
    ends = (number for number in range(line + 1, len(lines) + 1) if '"""' in lines[number - 1])
    end = line if text.count('"""') == 2 else next(ends, line)
    for number in {line, end}:
        for words in ALLOW.findall(lines[number - 1]):
            if phrase.lower() in (word.strip().lower() for word in words.split(",")):
                return True
    return False


def tracked(paths: Iterable[str]) -> list[str]:
    """Return the files below the paths that git knows or would add.

    They are relative to the current directory.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return sorted(name for name in set(listed) if Path(name).suffix in EXTRACTORS and Path(name).is_file())


def main(arguments: list[str] | None = None) -> int:
    """Print every report and return 1 if there is one."""
    parser = argparse.ArgumentParser(prog="prose_lint", description="Check prose against the glossary.")
    parser.add_argument("paths", nargs="*", help="files and folders (default: every tracked file)")
    parser.add_argument("--count", action="store_true", help="print the number of reports of each folder only")
    options = parser.parse_args(arguments)
    rules, skip = load_rules()
    linter = Linter(rules)
    files = [name for name in tracked(options.paths) if not any(fnmatch(name, pattern) for pattern in skip)]
    reports = [report for name in files for report in linter.check(name, Path(name).read_text(encoding="utf-8"))]
    if options.count:
        folders = Counter(str(Path(report.path).parent) for report in reports)
        print("\n".join(f"{count:5} {folder}" for folder, count in folders.most_common()))
    else:
        print("\n".join(map(str, reports)), end="\n" if reports else "")
    if reports:
        print(f"{len(reports)} phrases to replace; docs/glossary.md defines the words", file=sys.stderr)
    return 1 if reports else 0


if __name__ == "__main__":
    sys.exit(main())
