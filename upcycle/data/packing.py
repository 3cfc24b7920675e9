"""Text as token files, token files as packed sequences, and which sequences make which batch.

A corpus is tokenized once into two arrays on disk a discipline and split: the tokens of all its documents end to end,
each ended by the end token, and each token's position in its document. A sequence is a window of them; attention and
loss stop at document borders. Reading is by memory map, so a corpus may be larger than memory.

Which sequences a step sees is a function of (seed, step) alone: a resumed run, a run on other ranks and a rerun see the
same global batch. Disciplines are interleaved in their shares by a low-discrepancy sequence; within one, sequences come
in a fresh random order every epoch.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from upcycle.config.stages import Source
from upcycle.data.documents import documents, is_held_out

GENERAL = "general"  # the name of general text among the corpora; its discipline id is -1
NO_LABEL = -100
SPLITS = ("train", "held_out")
_GOLDEN = 0.6180339887498949
_TOKENIZE_AT_ONCE = 512


class Batch(NamedTuple):
    """Packed sequences. Shapes: [B, S] int64 but `discipline` [B]: its index, -1 for general text."""

    tokens: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    discipline: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(*(field.to(device) for field in self))


@dataclass(frozen=True)
class Corpus:
    """One discipline's tokens of one split, as windows of `length` tokens."""

    tokens: np.ndarray
    positions: np.ndarray
    length: int

    def __len__(self) -> int:
        return max(0, (len(self.tokens) - 1) // self.length)

    def window(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(tokens, labels, positions), each [length] int64; a document's last token has no label."""
        start = index * self.length
        tokens = self.tokens[start : start + self.length + 1].astype(np.int64)
        positions = self.positions[start : start + self.length + 1].astype(np.int64)
        labels = np.where(positions[1:] == 0, NO_LABEL, tokens[1:])
        own = positions[:-1]
        # The first document of a window may have begun in the window before: its positions start at 0 here as well.
        head = np.maximum.accumulate(own == 0)
        return tokens[:-1], labels, np.where(head, own, own - own[0])


class Corpora:
    """The token files of one split, by discipline."""

    def __init__(self, folder: Path, split: str, names: Sequence[str], length: int) -> None:
        self.names = tuple(names)
        self._corpus = {
            name: Corpus(
                np.load(folder / f"{name}.{split}.tokens.npy", mmap_mode="r"),
                np.load(folder / f"{name}.{split}.positions.npy", mmap_mode="r"),
                length,
            )
            for name in names
        }
        for name, corpus in self._corpus.items():
            if not len(corpus):
                raise ValueError(
                    f"discipline {name!r} has {len(corpus.tokens)} {split} tokens, less than one sequence of "
                    f"data.sequence_length = {length}: add text, shorten the sequence, or change data.held_out"
                )

    def size(self, name: str) -> int:
        """Sequences of one discipline."""
        return len(self._corpus[name])

    def batch(self, picks: Sequence[tuple[str, int]], ids: Mapping[str, int]) -> Batch:
        """The sequences `picks` = (discipline, index); `ids` gives each discipline's number."""
        windows = [self._corpus[name].window(index) for name, index in picks]
        columns = [torch.from_numpy(np.stack(column)) for column in zip(*windows, strict=True)]
        tokens, labels, positions = columns
        return Batch(tokens, labels, positions, torch.tensor([ids[name] for name, _ in picks]))


class Schedule:
    """Which sequence stands where: `picks(step)` is the global batch of a step, equal on every rank."""

    def __init__(
        self, sizes: Mapping[str, int], shares: Mapping[str, float], batch: int, steps: int, seed: int
    ) -> None:
        names = [name for name, share in shares.items() if share > 0]
        edges = np.cumsum([shares[name] for name in names])
        places = (np.arange(1, batch * steps + 1) * _GOLDEN + 0.5) % 1.0
        self._names, self._batch, self._seed = names, batch, seed
        self._sizes = {name: sizes[name] for name in names}
        self._domain = np.minimum(np.searchsorted(edges / edges[-1], places, side="right"), len(names) - 1)
        self._rank = np.zeros(batch * steps, dtype=np.int64)
        for number in range(len(names)):
            mine = self._domain == number
            self._rank[mine] = np.arange(mine.sum())
        self._order: dict[tuple[int, int], np.ndarray] = {}

    def picks(self, step: int) -> list[tuple[str, int]]:
        """The (discipline, index) of every sequence of step 0, 1, ..."""
        slots = range(step * self._batch, (step + 1) * self._batch)
        return [self._pick(int(self._domain[slot]), int(self._rank[slot])) for slot in slots]

    def _pick(self, domain: int, rank: int) -> tuple[str, int]:
        name = self._names[domain]
        epoch, place = divmod(rank, self._sizes[name])
        if (domain, epoch) not in self._order:
            self._order = {key: order for key, order in self._order.items() if key[0] != domain}
            word = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
            self._order[domain, epoch] = np.random.default_rng([self._seed, word, epoch]).permutation(self._sizes[name])
        return name, int(self._order[domain, epoch][place])


def even_shares(disciplines: Sequence[str], general: float) -> dict[str, float]:
    """`general` for general text, the rest evenly over the disciplines."""
    shares = {name: (1 - general) / len(disciplines) for name in disciplines}
    return {**shares, GENERAL: general} if general else shares


def tokenize(
    sources: Mapping[str, Sequence[Source]], tokenizer: Any, folder: Path, held_out: float, seed: int
) -> dict[str, dict[str, int]]:
    """Write the token files of every discipline into `folder` once; tokens by discipline and split.

    Safe to call from many processes: one builds, the others wait for its lock and find the files. Other sources, another
    tokenizer or split build anew. Raises `ValueError` for a tokenizer without an end token.
    """
    if tokenizer.eos_token_id is None:
        raise ValueError(
            "the donor's tokenizer has no end token, which must stand between packed documents: set eos_token"
        )
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, found in sources.items():
            wanted = _fingerprint(found, tokenizer, held_out, seed)
            marker = folder / f"{name}.json"
            known = json.loads(marker.read_text()) if marker.is_file() else {}
            if known.get("fingerprint") != wanted:
                marker.unlink(missing_ok=True)
                known = {"fingerprint": wanted, "tokens": _tokenize_one(name, found, tokenizer, folder, held_out, seed)}
                marker.write_text(json.dumps(known, indent=1))
            counts[name] = known["tokens"]
    return counts


def _fingerprint(sources: Sequence[Source], tokenizer: Any, held_out: float, seed: int) -> str:
    probe = tokenizer("The energy levels are E_n = -13.6 eV / n^2, 12345.")["input_ids"]
    described = [source.model_dump() for source in sources]
    facts = [described, probe, len(tokenizer), tokenizer.eos_token_id, held_out, seed]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _tokenize_one(
    name: str, sources: Sequence[Source], tokenizer: Any, folder: Path, held_out: float, seed: int
) -> dict[str, int]:
    kind = np.uint16 if len(tokenizer) <= 2**16 else np.uint32
    parts: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for texts in _chunks(documents(sources, name)):
        for text, ids in zip(texts, tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True):
            parts[SPLITS[is_held_out(text, held_out, seed)]].append(
                np.array([*ids, tokenizer.eos_token_id], dtype=kind)
            )
    for split, arrays in parts.items():
        empty = [np.zeros(0, dtype=kind)]
        np.save(folder / f"{name}.{split}.tokens.npy", np.concatenate(arrays or empty))
        positions = [np.arange(len(array), dtype=np.uint32) for array in arrays]
        np.save(folder / f"{name}.{split}.positions.npy", np.concatenate(positions or [np.zeros(0, dtype=np.uint32)]))
    return {split: sum(map(len, arrays)) for split, arrays in parts.items()}


def _chunks(texts: Iterator[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    for text in texts:
        chunk.append(text)
        if len(chunk) == _TOKENIZE_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
