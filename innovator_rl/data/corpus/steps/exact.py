"""Drop documents and paragraphs that occur before in the corpus, word for word.

Layout, case and punctuation do not count; numbers do. The first occurrence stays, in the order of the recipe's sources.
Decisions are made in slices of the hash space, so that memory is a sixteenth of all hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.steps.base import GlobalStep, Result, decision_name
from innovator_rl.data.corpus.words import hash_text, split_words

SLICES = 16
HASHES = "hashes.npy"
_GAP = re.compile(r"\n{2,}")


class _FirstOccurrence(GlobalStep):
    """Mark every hash that occurs before; shared by documents and paragraphs."""

    uses: ClassVar[tuple[str, ...]] = ("innovator_rl.data.corpus.words",)
    packages: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow", "xxhash")

    def decide(self, scans: Sequence[Path], folder: Path) -> dict[str, int | float | str]:
        """Mark repeated hashes."""
        parts = [np.load(scan / HASHES, mmap_mode="r") for scan in scans]
        repeated = first_occurrences(parts)
        for number, mask in enumerate(repeated):
            np.save(folder / decision_name(number), mask)
        return {"hashes": sum(map(len, parts)), "repeated": int(sum(mask.sum() for mask in repeated))}


class DropDuplicates(_FirstOccurrence):
    """Drop a document whose words all occur in the same order as an earlier document."""

    step: Literal["drop_duplicates"] = "drop_duplicates"

    def scan(self, documents: Iterable[Document], folder: Path) -> None:
        """Write the hashes of a part in order."""
        np.save(folder / HASHES, np.fromiter((hash_text(document.text) for document in documents), np.uint64))

    def apply(self, documents: Iterable[Document], decision: Path) -> Iterator[tuple[Document, Result]]:
        """Yield each document without what is marked."""
        repeated = np.load(decision)
        for document, drop in zip(documents, repeated, strict=True):
            yield document, Result(None, "duplicate document") if drop else Result(document)


class DropDuplicateParagraphs(_FirstOccurrence):
    """Remove paragraphs that occur before; a document of which nothing remains is dropped.

    Attributes:
        min_words: Shorter paragraphs (headings, legends) are never removed.
    """

    step: Literal["drop_duplicate_paragraphs"] = "drop_duplicate_paragraphs"
    min_words: int = Field(15, ge=1)

    def scan(self, documents: Iterable[Document], folder: Path) -> None:
        """Write the hashes of a part in order."""
        np.save(folder / HASHES, np.fromiter(self._hashes(documents), np.uint64))

    def _hashes(self, documents: Iterable[Document]) -> Iterator[int]:
        for document in documents:
            for paragraph in paragraphs(document.text):
                if len(split_words(paragraph)) >= self.min_words:
                    yield hash_text(paragraph)

    def apply(self, documents: Iterable[Document], decision: Path) -> Iterator[tuple[Document, Result]]:
        """Yield each document without what is marked."""
        repeated = np.load(decision)
        place = 0
        for document in documents:
            kept, removed = [], 0
            for paragraph in paragraphs(document.text):
                if len(split_words(paragraph)) >= self.min_words:
                    place += 1
                    if repeated[place - 1]:
                        removed += 1
                        continue
                kept.append(paragraph)
            if not removed:
                yield document, Result(document)
            elif not any(paragraph.strip() for paragraph in kept):
                yield document, Result(None, "duplicate paragraphs only")
            else:
                shorter = replace(document, text="\n\n".join(kept))
                yield document, Result(shorter, "duplicate paragraph", removed)
        assert place == len(repeated), (place, len(repeated))


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text: what blank lines separate."""
    return _GAP.split(text)


def first_occurrences(parts: Sequence[NDArray[np.uint64]]) -> list[NDArray[np.bool_]]:
    """Return for each hash whether an equal one stands before it, in this or an earlier part.

    Args:
        parts: Hashes of each part, uint64 [n]; they may be memory maps.
    """
    starts = np.cumsum([0, *map(len, parts)])
    repeated = np.zeros(starts[-1], bool)
    for number in range(SLICES):
        inside = [np.flatnonzero(part >> np.uint64(60) == number) for part in parts]
        values = np.concatenate([part[chosen] for part, chosen in zip(parts, inside, strict=True)])
        places = np.concatenate([chosen + start for chosen, start in zip(inside, starts, strict=False)])
        order = np.argsort(values, kind="stable")
        same = np.flatnonzero(values[order][1:] == values[order][:-1]) + 1
        repeated[places[order[same]]] = True
    return np.split(repeated, starts[1:-1])
