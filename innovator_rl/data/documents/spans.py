r"""Find the parts of a Markdown text that must not be cut or rewritten: formulas, code and tables.

    for span in protected_spans(text):
        print(span.kind, text[span.start : span.end])

Formulas are `$..$`, `$$..$$`, `\(..\)`, `\[..\]` and LaTeX environments; code is fenced or in backticks; tables are pipe
tables, grid tables, `<table>` and `tabular`. An opening mark without its end protects nothing. The text is read once, from
left to right, in time linear in its length, whatever it contains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["inline", "display", "code", "table"]

INLINE_CHARS = 2_000
"""Longest formula in the line of the text; a dollar sign whose partner is farther away is money."""

_MATH = ("equation", "align", "alignat", "aligned", "gather", "multline", "eqnarray", "math", "displaymath", "flalign")
_TABLES = ("tabular", "tabularx", "longtable", "table")
_CODE = ("verbatim", "lstlisting", "minted")
_DELIMITERS = r"[ ]{0,3}\|?[ ]*:?-+:?[ ]*(?:\|[ ]*:?-+:?[ ]*)+\|?[ ]*"

_OPENER = re.compile(
    rf"""
      (?P<fence>^[ ]{{0,3}}(?P<mark>`{{3,}}|~{{3,}})[^\n]*$)
    | (?P<headed>^[^\n|]*\|[^\n]*\n{_DELIMITERS}$)
    | (?P<row>^[ ]{{0,3}}\|[^\n]*\n[ ]{{0,3}}\|)
    | (?P<grid>^\+[-=+]+\+[ ]*$)
    | (?P<bracket>\\\[)
    | (?P<paren>\\\()
    | \\begin\{{(?P<environment>(?:{"|".join(_MATH + _TABLES + _CODE)})\*?)\}}
    | \\.
    | (?P<html><table\b)
    | (?P<ticks>`+)
    | (?P<display>\$\$)
    | (?P<dollar>\$(?=[^\s$]))
    """,
    re.MULTILINE | re.VERBOSE,
)
_INLINE_END = re.compile(r"\\.|\n[ \t]*\n|(?<![\s$])\$(?![\d$])", re.DOTALL)
_NOT_GRID = re.compile(r"^(?![+|])", re.MULTILINE)
_LINE = re.compile(r"[^\n]*\n?")


class Span(NamedTuple):
    """A protected part of a text.

    Attributes:
        start: Offset of its first character, opening mark included.
        end: Offset behind its last character.
        kind: What it is.
        inner_start: Offset behind the opening mark; `inner_end` likewise, so that a formula's LaTeX is between the two.
        environment: Name of its LaTeX environment, where it is one.
    """

    start: int
    end: int
    kind: Kind
    inner_start: int
    inner_end: int
    environment: str = ""

    def moved(self, by: int) -> Span:
        """Return the span in a text that begins `-by` characters later."""
        return Span(
            self.start + by, self.end + by, self.kind, self.inner_start + by, self.inner_end + by, self.environment
        )


def protected_spans(text: str) -> Iterator[Span]:
    """Yield the formulas, code and tables of a text in order; they do not overlap."""
    finder = _Finder(text)
    place = 0
    while match := _OPENER.search(text, place):
        span = finder.close(match)
        if span is not None:
            yield span
            place = span.end
        else:
            place = max(finder.resume(match), match.start() + 1)


class _Finder:
    """Find the end of what an opening mark opens, and remember which ends occur no more."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._exhausted: set[str] = set()
        self._barren = 0  # offset before which no formula in the line can end

    def close(self, match: re.Match[str]) -> Span | None:
        kind, start, inner = match.lastgroup, match.start(), match.end()
        if match["fence"] is not None:
            return self._fence(match)
        if match["headed"] is not None or match["row"] is not None:
            return self._pipe_table(start)
        if match["grid"] is not None:
            end = _NOT_GRID.search(self._text, inner + 1)
            stop = end.start() if end else len(self._text)
            return Span(start, stop, "table", start, stop) if stop > inner + 1 else None
        if kind == "bracket":
            return self._until(start, inner, r"\]", "display")
        if kind == "paren":
            return self._until(start, inner, r"\)", "inline", INLINE_CHARS)
        if (name := match["environment"]) is not None:
            plain = name.rstrip("*")
            of: Kind = "display" if plain in _MATH else "table" if plain in _TABLES else "code"
            span = self._until(start, inner, rf"\end{{{name}}}", of)
            return span._replace(environment=name) if span else None
        if kind == "html":
            return self._until(start, inner, "</table>", "table")
        if kind == "ticks":
            return self._ticks(start, inner)
        if kind == "display":
            return self._until(start, inner, "$$", "display")
        if kind == "dollar":
            return self._inline(start, inner)
        return None  # an escaped character

    def resume(self, match: re.Match[str]) -> int:
        """Return where the search goes on behind a mark that opens nothing."""
        if match["headed"] is not None or match["row"] is not None or match["fence"] is not None:
            return match.start() + 1
        return match.end()

    def _until(self, start: int, inner: int, mark: str, kind: Kind, limit: int | None = None) -> Span | None:
        if mark in self._exhausted:
            return None
        found = self._text.find(mark, inner, None if limit is None else inner + limit)
        if found < 0:
            if limit is None:
                self._exhausted.add(mark)
            return None
        return Span(start, found + len(mark), kind, inner, found)

    def _fence(self, match: re.Match[str]) -> Span | None:
        mark = match["mark"]
        key = f"fence{mark}"
        if key in self._exhausted:
            return None
        closing = re.compile(rf"^[ ]{{0,3}}{mark[0]}{{{len(mark)},}}[ \t]*$", re.MULTILINE)
        found = closing.search(self._text, match.end())
        if found is None:
            self._exhausted.add(key)
            return None
        return Span(match.start(), found.end(), "code", match.end(), found.start())

    def _ticks(self, start: int, inner: int) -> Span | None:
        closing = re.compile(rf"(?<!`)`{{{inner - start}}}(?!`)|\n[ \t]*\n")
        found = closing.search(self._text, inner, inner + INLINE_CHARS)
        if found is None or found[0].startswith("\n"):
            return None
        return Span(start, found.end(), "code", inner, found.start())

    def _inline(self, start: int, inner: int) -> Span | None:
        stop = inner + INLINE_CHARS
        for found in _INLINE_END.finditer(self._text, max(inner, self._barren), stop):
            if found[0] == "$":
                return Span(start, found.end(), "inline", inner, found.start())
            if found[0].startswith("\n"):
                stop = found.start()
                break
        self._barren = max(self._barren, min(stop, len(self._text)))
        return None

    def _pipe_table(self, start: int) -> Span | None:
        end = start
        while end < len(self._text):
            line = _LINE.match(self._text, end)
            assert line is not None
            if "|" not in line[0]:
                break
            end = line.end()
        stop = end - 1 if end > start and self._text[end - 1] == "\n" else end
        return Span(start, stop, "table", start, stop) if "\n" in self._text[start:stop] else None


def outside(text: str, spans: Iterator[Span] | None = None) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a text in order, each with whether it is protected; joined they are the text."""
    place = 0
    for span in spans if spans is not None else protected_spans(text):
        if span.start > place:
            yield text[place : span.start], False
        yield text[span.start : span.end], True
        place = span.end
    if place < len(text):
        yield text[place:], False
