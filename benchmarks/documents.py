"""The repair of scientific documents, measured on real text against the floor of reading and hashing it, in one run.

    python -m benchmarks.documents [--data ../shared/data] [--formulas 3000] [--books university-physics-bundle,...]

Tables: the reading order on page layouts with checked order; the share of planted breaks in real formulas that are mended,
and the number of good formulas that changed; OCR damage planted in real prose; the quality score of a damaged book before
and after the repair; MB per second of each step; and the share of MathML formulas that convert token by token. What the folder
of `--data` does not hold is left out by name.
"""

import argparse
import hashlib
import json
import os
import random
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import mean

from benchmarks.corpus import formulas as mathml
from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.readers import read_files
from innovator_rl.data.corpus.readers.opening import find_files
from innovator_rl.data.corpus.recipe import Source
from innovator_rl.data.corpus.steps.base import MapStep
from innovator_rl.data.corpus.steps.repair import RemoveIrrelevant, RepairFormulas, RepairText
from innovator_rl.data.documents.formulas import Parser, repair_formulas, repair_latex
from innovator_rl.data.documents.ocr import repair_text
from innovator_rl.data.documents.reading_order import is_furniture, neighbor_share, order_document
from innovator_rl.data.documents.spans import outside, protected_spans
from innovator_rl.data.documents.windows import merge, split
from innovator_rl.data.quality.rubric import score_text

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
    texts = [f"$${latex}$$" for latex in sound]
    changed_good = sum(done.text != text for done, text in zip(repair_formulas(texts, parser), texts, strict=True))
    print(f"\n{len(sample):,} formulas, {len(sound):,} parse; good formulas changed: {changed_good}")
    print("\n| planted break | broken | mended | same as before the damage |\n| --- | ---: | ---: | ---: |")
    totals = [0, 0, 0]
    for name, damage in DAMAGE.items():
        planted = {}
        for latex in sound:
            changed = damage(latex, source)
            if changed != latex:
                planted[changed] = latex
        parsed = parser.parses(planted)
        broken = [text for text in planted if not parsed[text]]
        repaired = repair_latex(broken, parser)
        same = sum(_squeezed(repaired[text]) == _squeezed(planted[text]) for text in repaired)
        for place, count in enumerate((len(broken), len(repaired), same)):
            totals[place] += count
        print(f"| {name} | {len(broken):,} | {_share(len(repaired), len(broken))} | {_share(same, len(broken))} |")
    print(f"| all | {totals[0]:,} | {_share(totals[1], totals[0])} | {_share(totals[2], totals[0])} |", flush=True)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"


def layouts(data: Path) -> None:
    """Print the share of neighboring blocks in the right order, with the blocks shuffled."""
    print("\n| layout | pages | pairs | right, body blocks |\n| --- | ---: | ---: | ---: |")
    pairs = right = 0.0
    for path in sorted((data / "layout").glob("*.json")):
        document = json.loads(path.read_text())
        gold = [block for block in document["blocks"] if not is_furniture(block)]
        blocks = list(document["blocks"])
        random.Random(0).shuffle(blocks)
        ordered = order_document({**document, "blocks": blocks})["blocks"]
        share = neighbor_share([block for block in ordered if not is_furniture(block)], gold)
        pairs, right = pairs + len(gold) - 1, right + share * (len(gold) - 1)
        print(f"| {path.stem} | {len(document['pages'])} | {len(gold) - 1} | {share:.3f} |")
    print(f"| all | | {pairs:.0f} | {right / pairs:.3f} |", flush=True)


def read_books(data: Path, names: list[str], count: int) -> list[tuple[str, Document]]:
    """Return the first documents of each book."""
    found: list[tuple[str, Document]] = []
    for name in names:
        source = Source.model_validate(
            {"name": name, "path": str(data / "textbooks/raw" / f"{name}.tar.xz"), "members": "modules/*/index.cnxml"}
        )
        items = read_files(find_files(name, source.path), source)
        found += [(name, item) for item in islice(items, count) if isinstance(item, Document)]
    return found


MISREAD = (("m", "rn"), ("d", "cl"), ("l", "1"), ("o", "0"), ("h", "li"), ("e", "c"))


def damaged(text: str, source: random.Random) -> tuple[str, int]:
    """Return prose with misread words, ligatures and words that a line end cuts, and the number of damaged words."""
    count = 0
    pieces = []
    for piece, protected in outside(text):
        words = piece.split(" ") if not protected else [piece]
        for place, word in enumerate(words if not protected else ()):
            if not word.isalpha() or not word.islower() or len(word) < 5 or source.random() > 0.03:
                continue
            kind = source.randrange(4)
            old, new = source.choice(MISREAD)
            changed = word
            if kind == 0:
                changed = word.replace(old, new, 1)
            elif kind == 1:
                changed = word.replace("ffi", "\ufb03").replace("fi", "\ufb01").replace("fl", "\ufb02")
            elif kind == 2:
                changed = f"{word[:-3]}-\n{word[-3:]}"
            else:
                changed = f"{word[:-3]}\ufffe{word[-3:]}"
            count += changed != word
            words[place] = changed
        pieces.append(" ".join(words) if not protected else piece)
    return "".join(pieces), count


def prose(documents: list[tuple[str, Document]]) -> None:
    """Print how much planted damage of prose is repaired, what good prose loses, and the quality before and after."""
    source = random.Random(0)
    print(
        "\n| book | words damaged | words still damaged | good documents changed | quality clean | damaged | repaired |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in dict.fromkeys(book for book, _ in documents):
        texts = [document.text for book, document in documents if book == name]
        planted = left = touched = 0
        scores: list[list[float]] = [[], [], []]
        for text in texts:
            bad, count = damaged(text, source)
            done = repair_text(bad).text
            planted += count
            good_words, done_words = text.split(), done.split()
            left += sum(a != b for a, b in zip(good_words, done_words, strict=False)) if count else 0
            touched += repair_text(text).text != text
            for place, version in enumerate((text, bad, done)):
                scores[place].append(score_text(version[:20_000]).total)
        figures = " | ".join(f"{mean(values):.2f}" for values in scores)
        print(f"| {name} | {planted:,} | {left:,} | {touched} of {len(texts)} | {figures} |", flush=True)


def _cpu() -> float:
    """Return the seconds of processor time of this process and its children, which other load does not lengthen."""
    return sum(os.times()[:4])


def speed(documents: list[tuple[str, Document]]) -> None:
    """Print MB of each step per second of processor time, against reading and hashing the same text."""
    texts = [document for _, document in documents]
    size = sum(document.size for document in texts) / 1e6
    started = _cpu()
    for document in texts * 20:
        hashlib.sha256(document.text.encode())
    floor = max((_cpu() - started) / 20, 1e-9)
    print(f"\n{len(texts)} documents, {size:.1f} MB\n\n| step | MB/s | share of the floor |\n| --- | ---: | ---: |")
    print(f"| encode and hash only | {size / floor:.0f} | 1 |")
    repair_text("The words of the language are loaded here.")
    steps: list[MapStep] = [RepairText(), RepairFormulas(), RemoveIrrelevant()]
    timed: dict[str, Callable[[], object]] = {step.step: lambda step=step: list(step.apply(texts)) for step in steps}  # type: ignore[misc]
    timed["windows of 4,000 characters"] = lambda: [merge(split(d.text, 4_000, 400)) == d.text for d in texts]
    timed["find formulas, code and tables"] = lambda: [list(protected_spans(d.text)) for d in texts]
    timed["quality score"] = lambda: [score_text(d.text) for d in texts]
    for name, work in timed.items():
        started = _cpu()
        work()
        seconds = _cpu() - started
        print(f"| {name} | {size / seconds:.2f} | 1 / {seconds / floor:,.0f} |", flush=True)


def book_formulas(documents: list[tuple[str, Document]], count: int) -> list[str]:
    """Return distinct formulas of the books, the same sample each time."""
    found = {
        document.text[span.inner_start : span.inner_end].strip()
        for _, document in documents
        for span in protected_spans(document.text)
        if span.kind in ("inline", "display")
    }
    return random.Random(0).sample(sorted(found), min(count, len(found)))


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--formulas", type=int, default=3000, help="formulas in which breaks are planted")
    parser.add_argument("--documents", type=int, default=60, help="documents of each book")
    parser.add_argument("--books", default=",".join(BOOKS))
    parser.add_argument("--mathml", type=int, default=0, help="MathML formulas of each book to convert and compare")
    arguments = parser.parse_args()
    if (arguments.data / "layout").is_dir():
        layouts(arguments.data)
    else:
        print("layout/ is not found: the reading order is left out")
    if not (arguments.data / "textbooks").is_dir():
        print("textbooks/ is not found: the rest is left out")
        return
    documents = read_books(arguments.data, arguments.books.split(","), arguments.documents)
    formulas(book_formulas(documents, arguments.formulas))
    prose(documents)
    speed(documents)
    if arguments.mathml:
        mathml(arguments.data, arguments.mathml)


if __name__ == "__main__":
    main()
