"""Read token shards by memory map, in an order that depends on the seed and the step only.

    corpus = TokenCorpus.open(Path("data/textbooks"), disciplines=["physics"])
    reader = WindowReader(corpus, length=4096, seed=0)
    tokens = reader.batch(step=12, batch=64, rank=3, ranks=8)     # int64 [8, 4097]

The state of a reader is the number of the step: a restart costs nothing, and the global batch of a step is the same on any
number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from innovator_rl.data.corpus.manifest import TokenSet, TokenShard, load_manifest
from innovator_rl.data.corpus.shards.permutation import Permutation
from innovator_rl.errors import StorageError, UserError


class TokenCorpus:
    """The tokens of some shards end to end.

    Args:
        shards: (folder, shard) in order; the shards may lie in several corpora.
        dtype: Type of a token on disk.
        end_token: The token that ends every document.

    Raises:
        StorageError: when a shard's size is not what its entry states.
    """

    def __init__(self, shards: Sequence[tuple[Path, TokenShard]], dtype: str, end_token: int) -> None:
        self.dtype, self.end_token = np.dtype(dtype), end_token
        self.shards = [shard for _, shard in shards]
        self._tokens = [_mapped(folder / s.file, self.dtype, s.tokens) for folder, s in shards]
        self._ends = [_mapped(folder / s.ends, np.dtype("<u8"), s.documents) for folder, s in shards]
        self._starts = np.cumsum([0, *(s.tokens for s in self.shards)])

    @classmethod
    def open(cls, folder: Path, disciplines: Sequence[str] | None = None) -> TokenCorpus:
        """Open a built corpus, or some of its disciplines.

        Raises:
            UserError: when the corpus has no tokens or not the discipline.
            StorageError: when a shard's size is not what the manifest states.
        """
        tokens = token_set(folder)
        known = tokens.by_discipline()
        for name in disciplines or ():
            if name not in known:
                raise UserError(
                    f"corpus {str(folder)!r}: unknown discipline {name!r}; expected one of {', '.join(known)}"
                )
        chosen = [(folder, s) for s in tokens.shards if disciplines is None or s.discipline in disciplines]
        return cls(chosen, tokens.dtype, tokens.end_token)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def documents(self) -> int:
        """Number of documents."""
        return sum(shard.documents for shard in self.shards)

    def document_ends(self) -> Iterator[NDArray[np.uint64]]:
        """Yield the place after each document's last token, shard by shard."""
        for base, ends in zip(self._starts, self._ends, strict=False):
            yield ends + np.uint64(base)

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return tokens [start, stop) as int64, across shards where necessary."""
        return self._gather(start, stop, lambda shard, low, high: self._tokens[shard][low:high])

    def positions(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the place of each token of [start, stop) in its document, from 0."""

        def inside(shard: int, low: int, high: int) -> NDArray[np.int64]:
            places = np.arange(low, high)
            ends = self._ends[shard]
            document = np.searchsorted(ends, places, side="right")
            starts = np.where(document > 0, ends[np.maximum(document, 1) - 1].astype(np.int64), 0)
            return places - starts

        return self._gather(start, stop, inside)

    def _gather(self, start: int, stop: int, part: object) -> NDArray[np.int64]:
        assert callable(part)
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"tokens [{start}, {stop}) are not within [0, {len(self)})")
        pieces = []
        shard = int(np.searchsorted(self._starts, start, side="right")) - 1
        while start < stop:
            base, end = int(self._starts[shard]), int(self._starts[shard + 1])
            upper = min(stop, end)
            if upper > start:
                pieces.append(np.asarray(part(shard, start - base, upper - base), np.int64))
            start, shard = upper, shard + 1
        return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


def token_set(folder: Path) -> TokenSet:
    """Return the table of a built corpus's token shards.

    Raises:
        UserError: when there is no corpus, or it has no tokens.
    """
    manifest = load_manifest(folder)
    if manifest.tokens is None:
        raise UserError(f"corpus {str(folder)!r} has no tokens: add outputs.tokens to its recipe and build it")
    return manifest.tokens


def _mapped(path: Path, dtype: np.dtype, length: int) -> np.ndarray:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise StorageError(f"{path} is not found: build the corpus again") from None
    if size != length * dtype.itemsize:
        raise StorageError(f"{path} has {size} bytes, expected {length * dtype.itemsize}: build the corpus again")
    return np.memmap(path, dtype, mode="r") if length else np.empty(0, dtype)


class WindowReader:
    """Windows of a token corpus in a fresh order every epoch.

    Args:
        corpus: The tokens.
        length: Tokens that a window predicts; a window has one token more.
        seed: Another seed gives another order.
    """

    def __init__(self, corpus: TokenCorpus, length: int, seed: int = 0) -> None:
        self.corpus, self.length, self.seed = corpus, length, seed
        self.windows = (len(corpus) - 1) // length
        if self.windows < 1:
            raise UserError(f"the corpus has {len(corpus)} tokens, a window needs {length + 1}")
        self._epoch, self._order = -1, Permutation(1)

    def window_number(self, sample: int) -> int:
        """Return which window the sample with this number in the whole run is."""
        epoch, place = divmod(sample, self.windows)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, Permutation(self.windows, self.seed, epoch)
        return int(self._order(place))

    def sample(self, sample: int) -> NDArray[np.int64]:
        """Return the tokens of a sample, int64 [length + 1]."""
        start = self.window_number(sample) * self.length
        return self.corpus.read(start, start + self.length + 1)

    def batch(self, step: int, batch: int, rank: int = 0, ranks: int = 1) -> NDArray[np.int64]:
        """Return a rank's share of the global batch of a step.

        Args:
            step: From 0.
            batch: Windows of the global batch; a multiple of `ranks`.
            rank: This process.
            ranks: Number of processes.

        Returns:
            int64 [batch / ranks, length + 1].
        """
        if batch % ranks or not 0 <= rank < ranks:
            raise ValueError(f"batch {batch} must be a multiple of ranks {ranks}, and rank {rank} below it")
        share = batch // ranks
        first = step * batch + rank * share
        return np.stack([self.sample(first + i) for i in range(share)])
