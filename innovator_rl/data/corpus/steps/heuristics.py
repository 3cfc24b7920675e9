"""Drop documents whose form is not that of text, by rules with a bound and a reason each.

    steps:
      - {step: filter_heuristics, profile: science}

The rules are those of Gopher and C4 (length of words, symbols, bullets, ellipses, repetition, placeholders, code braces). With the
profile `science`, formulas, tables and code are set aside before letters and symbols are counted, numbers and single letters
count as words, and lists may be longer, so that a page of equations is measured by its sentences. Chinese is measured by characters.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import ClassVar, Literal

from pydantic import Field

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.steps.base import MapStep, Result, Transform
from innovator_rl.data.documents.spans import outside

LONGEST = 200_000
"""Characters that are measured; a longer document is measured by its beginning."""

_HAN = re.compile("[\u3400-\u9fff]")
_TOKEN = re.compile(r"[^\s\u3400-\u9fff]+|[\u3400-\u9fff]")
_STOP = frozenset(["the", "be", "to", "of", "and", "that", "have", "with", "is", "in", "a", "for"])
_STOP_HAN = frozenset("的是在和了有为与中对由以这一不")
_BULLET = re.compile(r"\s*(?:[-*•●◦▪]|\d+[.)、])\s")
_PLACEHOLDER = re.compile(r"lorem ipsum|此处填写", re.I)
_SCRIPT = re.compile(r"(?:enable|requires?|turn on) javascript|请(?:开启|启用) ?javascript", re.I)


class FilterHeuristics(MapStep):
    """Drop documents whose form is not that of text; the manifest counts them by rule.

    Attributes:
        profile: `science` sets formulas, tables and code aside; `general` counts everything.
        min_words: Fewest words; a Chinese character is one.
        max_words: Most words.
        max_symbol_share: Most tokens without a letter or digit, per token.
        min_letter_share: Fewest tokens with a letter, per token.
        max_bullet_share: Most lines that begin with a bullet or number.
        max_ellipsis_share: Most lines that end in an ellipsis.
        max_repeated_lines: Most characters in lines that occur before.
        max_repeated_runs: Most words in runs of ten that occur before.
        min_stop_words: Fewest different function words.
    """

    step: Literal["filter_heuristics"] = "filter_heuristics"
    profile: Literal["general", "science"] = "science"
    min_words: int = Field(30, ge=1)
    max_words: int = Field(1_000_000, ge=1)
    max_symbol_share: float = Field(0.3, ge=0, le=1)
    min_letter_share: float | None = Field(None, ge=0, le=1, description="By default 0.8 (general) or 0.5 (science).")
    max_bullet_share: float | None = Field(None, ge=0, le=1, description="By default 0.9 (general) or 0.97 (science).")
    max_ellipsis_share: float = Field(0.3, ge=0, le=1)
    max_repeated_lines: float = Field(0.3, ge=0, le=1)
    max_repeated_runs: float = Field(0.35, ge=0, le=1)
    min_stop_words: int = Field(2, ge=0)

    uses: ClassVar[tuple[str, ...]] = ("innovator_rl.data.documents.spans",)
    packages: ClassVar[tuple[str, ...]] = ("pyarrow",)

    def open(self) -> Transform:
        """Return the filter."""

        def transform(document: Document) -> Result:
            reason = self.reason(document.text)
            return Result(None, reason) if reason else Result(document)

        return transform

    def reason(self, text: str) -> str:
        """Return the rule that a text breaks; empty when it breaks none."""
        text = text[:LONGEST]
        prose = text
        if self.profile == "science":
            prose = "".join(" " if protected else piece for piece, protected in outside(text))
        everything = _TOKEN.findall(text)
        tokens = _TOKEN.findall(prose)
        if len(everything) < self.min_words:
            return "too few words"
        if len(everything) > self.max_words:
            return "too many words"
        if _PLACEHOLDER.search(prose) or (len(everything) < 150 and _SCRIPT.search(prose)):
            return "placeholder"
        return self._words(tokens, prose) or self._lines(prose) or self._repetition(everything)

    def _words(self, tokens: list[str], prose: str) -> str:
        if not tokens:
            return "no sentences"
        science = self.profile == "science"
        letters = sum(any(c.isalpha() for c in token) for token in tokens)
        symbols = sum(not any(c.isalnum() for c in token) for token in tokens)
        least = self.min_letter_share if self.min_letter_share is not None else (0.5 if science else 0.8)
        if symbols > self.max_symbol_share * len(tokens):
            return "too many symbols"
        if letters < least * len(tokens):
            return "too few words with letters"
        han = len(_HAN.findall(prose))
        latin = [token for token in tokens if not _HAN.match(token)]
        length = sum(map(len, latin)) / max(1, len(latin))
        if han < len(tokens) / 2 and not 2.5 <= length <= 11:
            return "unusual length of words"
        found = {token.strip(".,;:!?()").lower() for token in latin} & _STOP | set(prose) & _STOP_HAN
        return "too few function words" if len(found) < self.min_stop_words else ""

    def _lines(self, prose: str) -> str:
        lines = [line.strip() for line in prose.split("\n") if line.strip()]
        if not lines:
            return "no sentences"
        most = (
            self.max_bullet_share if self.max_bullet_share is not None else (0.97 if self.profile == "science" else 0.9)
        )
        if len(lines) > 5 and sum(bool(_BULLET.match(line)) for line in lines) > most * len(lines):
            return "bullets only"
        if sum(line.endswith(("...", "…")) for line in lines) > self.max_ellipsis_share * len(lines):
            return "cut lines"
        counts = Counter(line for line in lines if len(line) > 12)
        repeated = sum((count - 1) * len(line) for line, count in counts.items())
        return "repeated lines" if repeated > self.max_repeated_lines * sum(map(len, lines)) else ""

    def _repetition(self, tokens: list[str]) -> str:
        seen: set[tuple[str, ...]] = set()
        covered, reached = 0, 0
        for start in range(len(tokens) - 9):
            run = tuple(tokens[start : start + 10])
            if run in seen:
                covered += start + 10 - max(reached, start)
                reached = start + 10
            seen.add(run)
        return "repeated passages" if covered > self.max_repeated_runs * len(tokens) else ""
