"""Cut documents into windows of the sequence length, as a table on disk.

A window is a list of segments, each a stretch of one document. The table holds them in order, so that reading a window
touches only its own entries, and memory does not depend on the size of the corpus:

    NAME.SPLIT.segments    (start: uint64, length: uint32) of every segment; `start` is a place in the discipline's tokens
    NAME.SPLIT.windows     uint64: number of the first segment of each window, and one more

There are two ways to cut (`data.packing`). `stream` lays the documents end to end and cuts at every multiple of the length:
no place is lost, documents are cut anywhere. `documents` packs whole documents by best fit, longest first, within groups of
`GROUP` documents: only those longer than a window are cut, and the rest of a window that nothing fits is padding.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from innovator_rl.data.corpus.shards import TokenCorpus

Packing = Literal["stream", "documents"]
SEGMENT = np.dtype([("start", "<u8"), ("length", "<u4")])
TABLE_SUFFIXES = (".segments", ".windows")
GROUP = 2**18
PROBE = 32
"""Tokens of a document, with its length, that decide whether it is held out."""

Documents = tuple[NDArray[np.int64], NDArray[np.int64]]  # starts and lengths


@dataclass(frozen=True)
class WindowTable:
    """The windows of one discipline and split.

    Attributes:
        segments: (N,) of `SEGMENT`.
        firsts: (W + 1,) first segment of each window.
        length: Tokens of a window.
    """

    segments: np.ndarray
    firsts: np.ndarray
    length: int

    def __len__(self) -> int:
        return max(0, len(self.firsts) - 1)

    def window(self, index: int) -> np.ndarray:
        """Return the segments of a window."""
        return self.segments[int(self.firsts[index]) : int(self.firsts[index + 1])]

    @property
    def tokens(self) -> int:
        """Number of tokens in all windows, padding not counted."""
        return int(self.segments["length"].sum(dtype=np.int64)) if len(self.segments) else 0


def documents_of(corpus: TokenCorpus) -> Iterator[Documents]:
    """Yield start and length of every document, `GROUP` at a time."""
    previous = 0
    for ends in corpus.document_ends():
        for low in range(0, len(ends), GROUP):
            stops = np.asarray(ends[low : low + GROUP], np.int64)
            starts = np.concatenate([[previous], stops[:-1]])
            previous = int(stops[-1])
            yield starts, stops - starts


def split_documents(corpus: TokenCorpus, held_out: float, seed: int, split: str) -> Iterator[Documents]:
    """Yield the documents of one split of a corpus.

    A document is held out by a hash of its length and first tokens, so equal documents are in the same split.

    Args:
        corpus: The tokens.
        held_out: Share of held-out documents, 0 to 1.
        seed: Chooses which documents are held out.
        split: `train` or `held_out`.
    """
    for starts, lengths in documents_of(corpus):
        state = _mix(lengths.astype(np.uint64) ^ _mix(np.full(len(starts), seed, np.uint64)))
        low, high = int(starts[0]), int(starts[-1] + lengths[-1])
        tokens = corpus.read(low, high).astype(np.uint64) if held_out > 0 else np.zeros(0, np.uint64)
        for place in range(PROBE if held_out > 0 else 0):
            inside = lengths > place
            state[inside] = _mix(state[inside] ^ tokens[starts[inside] - low + place])
        held = (state >> np.uint64(11)).astype(np.float64) / 2**53 < held_out
        chosen = held if split == "held_out" else ~held
        yield starts[chosen], lengths[chosen]


def write_table(groups: Iterator[Documents], stem: Path, length: int, packing: Packing) -> None:
    """Write the window table of some documents as `STEM.segments` and `STEM.windows`.

    Args:
        groups: Start and length of the documents, in groups.
        stem: Path of the files without their suffix.
        length: Tokens of a window.
        packing: How documents are cut.
    """
    with Path(f"{stem}.segments").open("wb") as segments, Path(f"{stem}.windows").open("wb") as windows:
        writer = _TableWriter(segments, windows)
        if packing == "stream":
            _stream(groups, length, writer)
        else:
            for starts, lengths in groups:
                _best_fit(starts, lengths, length, writer)
        writer.close()


def open_table(stem: Path, length: int) -> WindowTable:
    """Open a table by memory map."""
    segments, firsts = Path(f"{stem}.segments"), Path(f"{stem}.windows")
    return WindowTable(_mapped(segments, SEGMENT), _mapped(firsts, np.dtype("<u8")), length)


def _mapped(path: Path, dtype: np.dtype) -> np.ndarray:
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.zeros(0, dtype)


class _TableWriter:
    """Append segments, and the number of the first one of each window."""

    def __init__(self, segments: IO[bytes], windows: IO[bytes]) -> None:
        self._segments, self._windows = segments, windows
        self._written = self._complete = 0

    def segments(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        rows = np.empty(len(starts), SEGMENT)
        rows["start"], rows["length"] = starts, lengths
        self._segments.write(rows.tobytes())
        self._written += len(rows)

    def windows(self, sizes: NDArray[np.int64]) -> None:
        """Begin windows of so many segments each, from the first segment that belongs to none."""
        if len(sizes):
            firsts = self._complete + np.concatenate([[0], np.cumsum(sizes)])
            self._windows.write(firsts[:-1].astype("<u8").tobytes())
            self._complete = int(firsts[-1])

    def close(self) -> None:
        self._windows.write(np.asarray([self._complete], "<u8").tobytes())


def _stream(groups: Iterator[Documents], length: int, writer: _TableWriter) -> None:
    filled = waiting = 0  # tokens and segments of the window that is not full yet
    for starts, lengths in groups:
        if not len(starts):
            continue
        places = filled + np.concatenate([[0], np.cumsum(lengths)])
        total = int(places[-1])
        cuts = np.unique(np.concatenate([places[:-1], np.arange(length, total, length)]))
        cuts = cuts[cuts >= filled]
        document = np.searchsorted(places, cuts, side="right") - 1
        writer.segments(starts[document] + cuts - places[document], np.diff(cuts, append=total))
        full = total // length
        window = cuts // length
        sizes = np.bincount(window, minlength=full + 1)
        sizes[0] += waiting
        writer.windows(sizes[:full])
        filled, waiting = total - full * length, int(sizes[full:].sum())


def _best_fit(starts: NDArray[np.int64], lengths: NDArray[np.int64], length: int, writer: _TableWriter) -> None:
    pieces = -(-lengths // length)  # a document longer than a window gives full windows and a rest
    document = np.repeat(np.arange(len(starts)), pieces)
    offset = (np.arange(len(document)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * length
    begin, size = starts[document] + offset, np.minimum(lengths[document] - offset, length)
    order = np.argsort(-size, kind="stable")
    window = np.empty(len(order), np.int64)
    open_by_free: dict[int, list[int]] = {}
    free: list[int] = []  # free lengths of the open windows, ascending
    count = 0
    for piece in order.tolist():
        need = int(size[piece])
        place = bisect.bisect_left(free, need)
        if place < len(free):
            left = free[place]
            chosen = open_by_free[left].pop()
            if not open_by_free[left]:
                del open_by_free[left], free[place]
        else:
            left, chosen = length, count
            count += 1
        window[piece] = chosen
        rest = left - need
        if rest:
            if rest not in open_by_free:
                open_by_free[rest] = []
                bisect.insort(free, rest)
            open_by_free[rest].append(chosen)
    by_window = np.argsort(window, kind="stable")
    writer.segments(begin[by_window], size[by_window])
    writer.windows(np.bincount(window, minlength=count))


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers (the finalizer of SplitMix64)."""
    mixed = value + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)
