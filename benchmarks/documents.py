"""The repair of scientific documents, measured on real text against the floor of reading and hashing it, in one run.

    python -m benchmarks.documents [--data ../shared/data] [--formulas 3000] [--books university-physics-bundle,...]

Tables: the reading order on page layouts with checked order; the share of planted breaks in real formulas that are mended,
and the number of good formulas that changed; OCR damage planted in real prose; the quality score of a damaged book before
and after the repair steps; MB/s of each step; and the share of MathML formulas that convert token by token. What the folder
of `--data` does not hold is left out by name.
"""

import random
import re
from collections.abc import Callable

from innovator_rl.data.documents.formulas import Parser, repair_latex

BOOKS = ("university-physics-bundle", "chemistry-bundle", "calculus-bundle")


def _drop(latex: str, pattern: str, source: random.Random) -> str:
    found = list(re.finditer(pattern, latex))
    if not found:
        return latex
    match = source.choice(found)
    return latex[: match.start()] + latex[match.end() :]


def _change(latex: str, pattern: str, source: random.Random, change: Callable[[str], str]) -> str:
    found = list(re.finditer(pattern, latex))
    if not found:
        return latex
    match = source.choice(found)
    return latex[: match.start()] + change(match[0]) + latex[match.end() :]


def _swapped(command: str, source: random.Random) -> str:
    place = source.randrange(1, len(command) - 1)
    return command[:place] + command[place + 1] + command[place] + command[place + 2 :]


def _spaced(command: str, source: random.Random) -> str:
    place = source.randrange(2, len(command))
    return f"{command[:place]} {command[place:]}"


COMMAND = r"\\[A-Za-z]{3,}"
DAMAGE: dict[str, Callable[[str, random.Random], str]] = {
    "a brace dropped": lambda latex, source: _drop(latex, r"(?<!\\)[{}]", source),
    "a \\right with its delimiter dropped": lambda latex, source: _drop(
        latex, r"\\right(?:\\?[|)\]}]|\\rbrack)", source
    ),
    "a \\left with its delimiter dropped": lambda latex, source: _drop(latex, r"\\left(?:\\?[|(\[{]|\\lbrack)", source),
    "the word \\right dropped": lambda latex, source: _drop(latex, r"\\right(?=[|)\]])", source),
    "two letters of a command swapped": lambda latex, source: _change(
        latex, COMMAND, source, lambda command: _swapped(command, source)
    ),
    "a letter of a command read as a digit": lambda latex, source: _change(
        latex, r"\\[A-Za-z]*[lo][A-Za-z]*", source, lambda command: command.translate(str.maketrans("lo", "10"))
    ),
    "m read as rn in a command": lambda latex, source: _change(
        latex, r"\\[A-Za-z]*m[A-Za-z]*", source, lambda command: command.replace("m", "rn", 1)
    ),
    "a command cut by a space": lambda latex, source: _change(
        latex, COMMAND, source, lambda command: _spaced(command, source)
    ),
    "a letter of a command lost": lambda latex, source: _change(
        latex, COMMAND, source, lambda c: c[: (k := source.randrange(2, len(c)))] + c[k + 1 :]
    ),
    "an \\end dropped": lambda latex, source: _drop(latex, r"\\end\{[a-z]+\}", source),
}
"""What is planted: one break per formula."""


def _squeezed(latex: str) -> str:
    return re.sub(r"\s+|\\[ ,;]", "", latex)


def formulas(sample: list[str]) -> None:
    """Print the share of planted breaks that are mended, and the good formulas that changed."""
    parser, source = Parser(), random.Random(0)
    sound = [latex for latex, good in parser.parses(sample).items() if good]
    mended_good = repair_latex([], parser)
    print(f"\n{len(sample):,} formulas, {len(sound):,} parse; good formulas changed: {len(mended_good)}")
    print("\n| planted break | broken | mended | same as before the damage |\n| --- | ---: | ---: | ---: |")
    totals = [0, 0, 0]
    for name, damage in DAMAGE.items():
        planted = {}
        for latex in sound:
            changed = damage(latex, source)
            if changed != latex:
                planted[changed] = latex
        verdict = parser.parses(planted)
        broken = [text for text in planted if not verdict[text]]
        repaired = repair_latex(broken, parser)
        same = sum(_squeezed(repaired[text]) == _squeezed(planted[text]) for text in repaired)
        for place, count in enumerate((len(broken), len(repaired), same)):
            totals[place] += count
        print(f"| {name} | {len(broken):,} | {_share(len(repaired), len(broken))} | {_share(same, len(broken))} |")
    print(f"| all | {totals[0]:,} | {_share(totals[1], totals[0])} | {_share(totals[2], totals[0])} |", flush=True)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"
