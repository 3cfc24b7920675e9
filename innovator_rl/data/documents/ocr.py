r"""Repair what recognition and wrong encodings did to prose; formulas, code, tables and names of substances stay.

    repaired = repair_text("The e\ufb03ciency of the rea-\nction is cornplete.")
    repaired.text     # 'The efficiency of the reaction is complete.'
    repaired.changes  # {'encoding': 1, 'line-end hyphens': 1, 'misread words': 1}

Every rule is conservative. Encoding errors and ligatures are what ftfy recognizes. A misread word is replaced only where it is
no word, the only reading by one look-alike is a common word, and the paragraph around it is English: other languages,
abbreviations, rare terms that a text uses more than twice, and everything with capitals, digits or hyphens that chemistry
writes (`2,3-dimethyl`, `C6H12O6`) keep their letters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from innovator_rl.data.corpus.optional import require
from innovator_rl.data.documents.spans import outside
from innovator_rl.data.documents.symbols import recover_symbols
from innovator_rl.data.documents.vocabulary import COMMON, frequency, is_word, join_word

_HYPHEN = re.compile(r"(?<![^\W\d_])([^\W\d_]{2,})([-\u00ad\u2010])[ \t]*\n[ \t]*(?=[^\W\d_]{2})([^\W\d_]+)")
_LOST_HYPHEN = re.compile(r"(?<![^\W\d_])([^\W\d_]+)\ufffe\s*([^\W\d_]+)")
_CUT = re.compile(r"[-\u2010][ \t]*\n|[\ufffe\u00ad]")
_SOFT = re.compile(r"(?<=\w)\u00ad(?=\w)")
_WORD = re.compile(r"(?<![\w.@/\\^~+=:-])[A-Za-z015|][a-z0-9|]{3,}(?![\w@/\\^~+=-]|\.\w)")
_GAP = re.compile(r"\n[ \t]*\n\s*")
_LETTERS = re.compile("[a-z]{3}")
_PLAIN = re.compile(r"[A-Za-z]+")
_SENTENCE = re.compile(r"(?:\A|[.!?:]\s+|\n\s*)\Z")

CONFUSIONS = (
    ("rn", "m"), ("cl", "d"), ("vv", "w"), ("ii", "u"), ("li", "h"), ("lh", "th"), ("0", "o"), ("1", "l"), ("1", "i"),
    ("|", "l"), ("5", "s"), ("6", "b"), ("9", "g"), ("c", "e"), ("e", "c"), ("h", "b"), ("b", "h"), ("u", "n"), ("n", "u"),
    ("f", "t"), ("t", "f"), ("I", "l"),
)  # fmt: skip
"""What recognition writes -> what stood there."""

_SUSPECT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xbf\xc2-\xf4\u0100-\u02ff\u2010-\u2122\ufb00-\ufb06\ufffd&]")
"""What wrong decoding leaves at least one of; a line without is not looked at."""

USES = 2
"""An unknown word that a text uses more often is a term of its own."""

_COMMONEST = "the of and is to that for with are by from this which it be as we was were not can these have has"
COMMONEST = frozenset(_COMMONEST.split())
ENGLISH = 0.15
"""Share of the commonest words of English from which on a paragraph counts as English."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """A text after repair, and how much of each kind was changed."""

    text: str
    changes: dict[str, int] = field(default_factory=dict)


def repair_text(
    text: str, *, encoding: bool = True, hyphens: bool = True, symbols: bool = True, words: bool = True
) -> Repaired:
    """Repair the prose of a Markdown text.

    Args:
        text: Markdown with LaTeX.
        encoding: Undo wrong decoding (`Ã©`), ligatures, control characters and HTML entities.
        hyphens: Join words that a line end cuts.
        symbols: Recover symbols of symbol fonts, accents and degrees.
        words: Replace misread words.

    Returns:
        The text, in which every formula, table and code block is unchanged.

    Raises:
        UserError: when a package that a rule needs is not installed.
    """
    changes: Counter[str] = Counter()
    rules: list[tuple[str, Callable[[str], tuple[str, int]]]] = []
    if hyphens:
        rules.append(("line-end hyphens", _join_lines))
    if encoding:
        rules.append(("encoding", fix_encoding))
    if symbols:
        rules.append(("symbols", recover_symbols))
    pieces = []
    for piece, protected in outside(text):
        for name, rule in () if protected else rules:
            piece, count = rule(piece)
            changes[name] += count
        pieces.append((piece, protected))
    text = "".join(piece for piece, _ in pieces)
    if words:
        # Formulas are blanked out, so that offsets stay and a paragraph is read as a whole.
        prose = "".join(" " * len(piece) if protected else piece for piece, protected in pieces)
        text, changes["misread words"] = _repair_words(text, prose)
    return Repaired(text, {kind: count for kind, count in changes.items() if count})


@cache
def _ftfy() -> tuple[Any, Any]:
    ftfy = require("ftfy", "ftfy", "repairing the encoding of text")
    return ftfy, ftfy.TextFixerConfig(uncurl_quotes=False, fix_character_width=False, normalization=None, explain=False)


def fix_encoding(text: str) -> tuple[str, int]:
    """Return text with wrong decoding, ligatures and control characters undone, and the number of changed lines."""
    if not _SUSPECT.search(text):
        return text, 0
    ftfy, config = _ftfy()
    lines = text.split("\n")
    fixed = [ftfy.fix_text(line, config) if _SUSPECT.search(line) else line for line in lines]
    # ftfy cuts at some characters that end a line; one line must stay one line.
    fixed = [new if "\n" not in new else old for old, new in zip(lines, fixed, strict=True)]
    return "\n".join(fixed), sum(old != new for old, new in zip(lines, fixed, strict=True))


def _join_lines(text: str) -> tuple[str, int]:
    if not _CUT.search(text):
        return text, 0
    text, lost = _LOST_HYPHEN.subn(lambda m: join_word(m[1], "\ufffe", m[2]), text)
    text, soft = _SOFT.subn("", text)
    text, cut = _HYPHEN.subn(lambda m: join_word(m[1], m[2], m[3]), text)
    return text, lost + soft + cut


def _repair_words(text: str, prose: str) -> tuple[str, int]:
    uses = Counter(_WORD.findall(prose))
    parts, place, count = [], 0, 0
    for start, stop in _paragraphs(prose):
        found = [
            m
            for m in _WORD.finditer(prose, start, stop)
            if uses[m[0]] <= USES and not is_word(m[0]) and _LETTERS.search(m[0])
        ]
        if not found or not _is_english(prose[start:stop]):
            continue
        for match in found:
            word = match[0]
            if word[0].isupper() and not _SENTENCE.search(prose, max(0, match.start() - 20), match.start()):
                continue  # a name
            reading = misread(word)
            if reading:
                parts += [text[place : match.start()], reading]
                place = match.end()
                count += 1
    return "".join([*parts, text[place:]]), count


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    place = 0
    for gap in _GAP.finditer(text):
        yield place, gap.start()
        place = gap.end()
    yield place, len(text)


def _is_english(paragraph: str) -> bool:
    words = [word.lower() for word in _PLAIN.findall(paragraph)]
    letters = sum(c.isalpha() for c in paragraph)
    if sum(map(len, words)) < 0.8 * letters:
        return False
    return sum(word in COMMONEST for word in words) >= max(2, ENGLISH * len(words))


@lru_cache(maxsize=65536)
def misread(word: str) -> str:
    """Return the common word that a misread one stands for; empty when there is none or more than one."""
    lower = word.lower()
    readings = set()
    for wrong, right in CONFUSIONS:
        start = lower.find(wrong)
        while start >= 0:
            readings.add(lower[:start] + right + lower[start + len(wrong) :])
            start = lower.find(wrong, start + 1)
        readings.add(lower.replace(wrong, right))
    readings.add(lower.translate(str.maketrans("015|", "olsl")))
    known = [reading for reading in readings - {lower} if reading.isalpha() and frequency(reading) >= COMMON]
    if len(known) != 1:
        return ""
    return known[0].capitalize() if word[0].isupper() else known[0]
