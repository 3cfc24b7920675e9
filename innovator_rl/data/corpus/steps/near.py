"""Drop near-duplicate documents: candidates by MinHash, decided by the exact Jaccard similarity of their word runs.

Banding alone is approximate at both ends: it misses some pairs above the threshold, and passes some below it. With the
default of 24 bands of 8 rows, 98.8 % of the pairs at similarity 0.8 become candidates, and the exact check removes all
that are below the threshold. A document is dropped only for a similarity to an earlier document that is itself kept, so
that a chain of similar documents does not pull unlike ones together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.steps.base import GlobalStep, Result, decision_name
from innovator_rl.data.corpus.words import Hashes, hash_ngrams, split_words

BANDS = "bands.npy"
SHINGLES = "shingles.npy"
STARTS = "starts.npy"
PAIRS = "pairs.npy"
MAX_BUCKET = 64
"""In a larger bucket each document is compared with the first ones only: all pairs of it would be too many."""

_BLOCK = 2**14
"""Hash values that are computed at once: few enough to stay in the processor's cache."""


class DropNearDuplicates(GlobalStep):
    """Drop documents whose runs of `ngram` words have a Jaccard similarity of at least `threshold` with an earlier one.

    Attributes:
        ngram: Words of a run. Numbers are words: exercises that differ in their numbers differ.
        bands: Bands of the signature.
        rows: Hash functions of one band.
    """

    step: Literal["drop_near_duplicates"] = "drop_near_duplicates"
    threshold: float = Field(0.8, gt=0, le=1)
    ngram: int = Field(5, ge=1, le=32)
    bands: int = Field(24, ge=1, le=256)
    rows: int = Field(8, ge=1, le=64)
    seed: int = 0

    uses: ClassVar[tuple[str, ...]] = ("innovator_rl.data.corpus.words",)
    packages: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow", "xxhash")

    def scan(self, documents: Iterable[Document], folder: Path) -> None:
        """Write the bands and the sorted runs of each document."""
        bands: list[Hashes] = []
        starts = [0]
        with (folder / SHINGLES).open("wb") as file:
            for document in documents:
                shingles = self.shingles(document.text)
                bands.append(self.signature(shingles))
                # 32 bits are enough to compare two documents, and half the disk.
                short = np.unique((shingles >> np.uint64(32)).astype(np.uint32))
                file.write(short.tobytes())
                starts.append(starts[-1] + len(short))
        np.save(folder / BANDS, np.array(bands, np.uint64).reshape(-1, self.bands).T)
        np.save(folder / STARTS, np.array(starts, np.int64))

    def shingles(self, text: str) -> Hashes:
        """Return the distinct hashed word runs of a text; a shorter text is one run."""
        words = split_words(text)
        return np.unique(hash_ngrams(words, min(self.ngram, max(1, len(words)))))

    def signature(self, shingles: Hashes) -> Hashes:
        """Return one hash per band, uint64 [bands]; that of no runs is all zero."""
        if not len(shingles):
            return np.zeros(self.bands, np.uint64)
        multipliers, offsets = self._functions
        lowest = np.empty(len(multipliers), np.uint64)
        block = max(1, _BLOCK // len(shingles))
        for start in range(0, len(multipliers), block):
            chosen = slice(start, start + block)
            hashed = multipliers[chosen, None] * shingles
            hashed += offsets[chosen, None]
            lowest[chosen] = hashed.min(axis=1)
        rows = lowest.reshape(self.bands, self.rows)
        total: Hashes = np.zeros(self.bands, np.uint64)
        for row in range(self.rows):
            total = (total ^ rows[:, row]) * np.uint64(0x9E3779B97F4A7C15)
            total ^= total >> np.uint64(29)
        return total

    @cached_property
    def _functions(self) -> tuple[Hashes, Hashes]:
        random = np.random.Generator(np.random.PCG64(self.seed))
        drawn = random.integers(0, 2**64, (2, self.bands * self.rows), np.uint64)
        return drawn[0] | np.uint64(1), drawn[1]

    def decide(self, scans: Sequence[Path], folder: Path) -> dict[str, int | float | str]:
        """Write which documents are dropped, and the pairs of similar documents with their similarity."""
        signatures = [np.load(scan / BANDS, mmap_mode="r") for scan in scans]
        counts = [signature.shape[1] for signature in signatures]
        total = sum(counts)
        candidates = _candidates(signatures)
        runs = _Runs(scans)
        dropped = np.zeros(total, bool)
        pairs = []
        for first, second in candidates:
            similarity = runs.similarity(int(first), int(second))
            if similarity >= self.threshold:
                pairs.append((first, second, similarity))
                dropped[second] |= not dropped[first]
        for number, mask in enumerate(np.split(dropped, np.cumsum(counts)[:-1])):
            np.save(folder / decision_name(number), mask)
        np.save(folder / PAIRS, np.array(pairs, np.float64).reshape(-1, 3))
        return {"candidate_pairs": len(candidates), "similar_pairs": len(pairs), "dropped": int(dropped.sum())}

    def apply(self, documents: Iterable[Document], decision: Path) -> Iterator[tuple[Document, Result]]:
        """Yield each document, dropped or as it is."""
        for document, drop in zip(documents, np.load(decision), strict=True):
            yield document, Result(None, "near duplicate") if drop else Result(document)


def _candidates(signatures: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """Return the pairs of documents that share a band, int64 [pairs, 2], the earlier one first, ordered by the later one.

    One band of all documents is in memory at a time.
    """
    total = sum(signature.shape[1] for signature in signatures)
    found: set[int] = set()
    for band in range(signatures[0].shape[0]):
        values = np.concatenate([signature[band] for signature in signatures])
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        edges = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, [total]])
        shared = np.flatnonzero(np.diff(edges) > 1)
        for start, stop in zip(edges[shared], edges[shared + 1], strict=True):
            if not ordered[start]:  # no words at all
                continue
            bucket = order[start:stop]
            for place, first in enumerate(bucket[:MAX_BUCKET]):
                found.update(second * total + first for second in bucket[place + 1 :].tolist())
    packed = np.array(sorted(found), np.int64)
    return np.stack([packed % max(total, 1), packed // max(total, 1)], axis=1)


class _Runs:
    """The word runs of all documents, by memory map."""

    def __init__(self, scans: Sequence[Path]) -> None:
        self._starts = [np.load(scan / STARTS) for scan in scans]
        self._first = np.cumsum([0, *(len(starts) - 1 for starts in self._starts)])
        self._runs = [
            np.memmap(scan / SHINGLES, np.uint32, mode="r") if starts[-1] else np.empty(0, np.uint32)
            for scan, starts in zip(scans, self._starts, strict=True)
        ]

    def _of(self, document: int) -> NDArray[np.uint32]:
        part = int(np.searchsorted(self._first, document, side="right")) - 1
        start, stop = self._starts[part][document - self._first[part] :][:2]
        return self._runs[part][start:stop]

    def similarity(self, first: int, second: int) -> float:
        """Return the Jaccard similarity of two documents."""
        a, b = self._of(first), self._of(second)
        common = len(np.intersect1d(a, b, assume_unique=True))
        return common / max(1, len(a) + len(b) - common)
