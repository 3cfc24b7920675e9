"""Build batches of packed sequences from a run's tokens.

A sequence is a window: stretches of documents one after the other, each of which ends where its document ends or where the
window does. Positions start again with every stretch, which is how attention stops at document borders, and the last token
of a document predicts nothing. Tokens and window tables are memory-mapped, so a corpus may be larger than memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from innovator_rl.data.corpus.shards import TokenCorpus
from innovator_rl.errors import StorageError
from upcycle.config.stages import DataConfig, TextSource
from upcycle.data.batch import NO_LABEL, Batch
from upcycle.data.first_window import too_little
from upcycle.data.order import GENERAL
from upcycle.data.tokens import SPLITS, open_tokens, read_marker, write_marker
from upcycle.data.windows import (
    TABLE_SUFFIXES,
    Documents,
    WindowTable,
    documents_of,
    open_table,
    split_documents,
    write_table,
)

__all__ = ["GENERAL", "NO_LABEL", "Batch", "Corpora", "Corpus"]


@dataclass(frozen=True)
class Corpus:
    """Windows of one discipline and split.

    Attributes:
        parts: (tokens, windows): of its files and of the corpora that it names.
        length: Tokens of a window.
        text: Hash of the text behind the tokens, wherever it lies.
    """

    parts: tuple[tuple[TokenCorpus, WindowTable], ...]
    length: int
    text: str = ""

    def __len__(self) -> int:
        return sum(len(table) for _, table in self.parts)

    def window(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return tokens, labels and positions of one window, each (length,) int64.

        What is left of a window that no document fits is filled with the end token, which predicts nothing.
        """
        for corpus, table in self.parts:
            if index < len(table):
                return _window(corpus, table.window(index), self.length)
            index -= len(table)
        raise IndexError(index)


def _window(corpus: TokenCorpus, segments: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tokens = np.full(length, corpus.end_token, np.int64)
    labels = np.full(length, NO_LABEL, np.int64)
    positions = np.zeros(length, np.int64)
    place = 0
    for start, size in zip(segments["start"].tolist(), segments["length"].tolist(), strict=True):
        stop = min(start + size + 1, len(corpus))
        found = corpus.read(start, stop)
        tokens[place : place + size] = found[:size]
        following = found[1 : size + 1]
        labels[place : place + len(following)] = following
        positions[place : place + size] = np.arange(size)
        # A document ends with the end token; where the window cuts it, its next token is known.
        if found[size - 1] == corpus.end_token:
            labels[place + size - 1] = NO_LABEL
        place += size
    positions[place:] = np.arange(length - place)
    return tokens, labels, positions


class Corpora:
    """Windows of one split, by discipline."""

    def __init__(self, corpora: Mapping[str, Corpus], split: str) -> None:
        self.names = tuple(corpora)
        self._corpus = dict(corpora)
        for name, corpus in self._corpus.items():
            if not len(corpus):
                raise too_little(name, split, sum(table.tokens for _, table in corpus.parts), corpus.length)

    def size(self, name: str) -> int:
        """Return the number of sequences of one discipline."""
        return len(self._corpus[name])

    def text(self, name: str) -> str:
        """Return the hash of a discipline's text; another text has another one."""
        return self._corpus[name].text

    def fill(self, name: str) -> float:
        """Return the share of a discipline's windows that is text and not padding."""
        corpus = self._corpus[name]
        return sum(table.tokens for _, table in corpus.parts) / (len(corpus) * corpus.length)

    def batch(self, picks: Sequence[tuple[str, int]], ids: Mapping[str, int]) -> Batch:
        """Build a batch.

        Args:
            picks: (discipline, index) of each sequence.
            ids: Number of each discipline.
        """
        windows = [self._corpus[name].window(index) for name, index in picks]
        columns = [torch.from_numpy(np.stack(column)) for column in zip(*windows, strict=True)]
        tokens, labels, positions = columns
        return Batch(tokens, labels, positions, torch.tensor([ids[name] for name, _ in picks]))


def open_corpora(
    sources: Mapping[str, Sequence[TextSource]], tokenizer: Any, folder: Path, data: DataConfig
) -> dict[str, Corpora]:
    """Open the windows of both splits; tables that are missing or of another setting are written first.

    Args:
        sources: Sources of each discipline and of general text.
        tokenizer: The base model's tokenizer.
        folder: Folder that `tokenize` wrote; the tables lie next to the tokens.
        data: Sequence length, packing and held-out share.

    Raises:
        UserError: If a discipline has less than one sequence, or a corpus another tokenizer.
    """
    found: dict[str, dict[str, Corpus]] = {split: {} for split in SPLITS}
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, listed in sources.items():
            tokens = open_tokens(name, listed, folder, tokenizer)
            text = _text_hash(name, tokens["corpus"], folder)
            for split in SPLITS:
                parts = tuple(_parts(name, split, tokens, folder, data))
                found[split][name] = Corpus(parts, data.sequence_length, text)
    return {split: Corpora(corpora, split) for split, corpora in found.items()}


def _parts(
    name: str, split: str, tokens: Mapping[str, TokenCorpus | None], folder: Path, data: DataConfig
) -> Iterator[tuple[TokenCorpus, WindowTable]]:
    own, built = tokens[split], tokens["corpus"]
    if own is not None:
        yield own, _table(folder / f"{name}.{split}", own, documents_of(own), data, ())
    if built is not None:
        chosen = split_documents(built, data.held_out, data.split_seed, split)
        facts = (data.held_out, data.split_seed)
        yield built, _table(folder / f"{name}.{split}.corpus", built, chosen, data, facts)


def _text_hash(name: str, corpus: TokenCorpus | None, folder: Path) -> str:
    shards = [shard.model_dump() for shard in corpus.shards] if corpus else []
    return _digest([read_marker(folder / f"{name}.json").get("text"), shards])


def _table(
    stem: Path, corpus: TokenCorpus, groups: Iterator[Documents], data: DataConfig, facts: tuple[Any, ...]
) -> WindowTable:
    shards = [shard.model_dump() for shard in corpus.shards]
    if stem.suffix != ".corpus":  # the names of a corpus's shards hold their hashes, those of a run do not
        shards.append({"tokens": read_marker(_marker(stem))["fingerprint"]})
    wanted = _digest([shards, data.sequence_length, data.packing, facts])
    marker = Path(f"{stem}.table.json")
    known = read_marker(marker)
    if known.get("made_from") != wanted or known.get("bytes") != _sizes(stem):
        marker.unlink(missing_ok=True)
        try:
            write_table(groups, stem, data.sequence_length, data.packing)
        except OSError as error:
            raise StorageError(f"{stem}: the table of its windows cannot be written ({error})") from error
        write_marker(marker, {"made_from": wanted, "bytes": _sizes(stem)})
    return open_table(stem, data.sequence_length)


def _sizes(stem: Path) -> list[int]:
    files = [Path(f"{stem}{suffix}") for suffix in TABLE_SUFFIXES]
    return [file.stat().st_size if file.is_file() else -1 for file in files]


def _marker(stem: Path) -> Path:
    return stem.parent / f"{stem.name.rpartition('.')[0]}.json"


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
