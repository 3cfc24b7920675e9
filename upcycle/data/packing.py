"""Tokenize text into files, pack it into sequences and schedule the batches.

The text of a discipline and split is tokenized once into two arrays on disk: the tokens of all its documents end to
end, each document closed by the end token, and each token's position in its document. A sequence is a window of them;
attention and loss stop at document borders. Files are memory-mapped, so a corpus may be larger than memory.

The sequences of a step are a function of (seed, step) alone: a resumed run, a run on other ranks and a rerun use the
same global batch. Disciplines are interleaved in their shares by a low-discrepancy sequence; within a discipline,
sequences come in a new random order every epoch.
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

from innovator_rl.errors import UserError
from upcycle.config.stages import TextSource
from upcycle.data.documents import documents, is_held_out

GENERAL = "general"  # name of general text among the corpora; its number is -1
NO_LABEL = -100
SPLITS = ("train", "held_out")
_GOLDEN = 0.6180339887498949
_TOKENIZE_AT_ONCE = 512


class Batch(NamedTuple):
    """Packed sequences, all int64.

    Attributes:
        tokens: (B, S) token ids.
        labels: (B, S) next token; `NO_LABEL` at the end of a document.
        positions: (B, S) position of each token in its document.
        discipline: (B,) number of each sequence's discipline, -1 for general text.
    """

    tokens: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    discipline: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        return Batch(*(field.to(device) for field in self))


@dataclass(frozen=True)
class Corpus:
    """Tokens of one discipline and split, as windows of `length` tokens.

    Attributes:
        tokens: (N,) token ids.
        positions: (N,) position of each token in its document.
        length: Tokens of a window.
    """

    tokens: np.ndarray
    positions: np.ndarray
    length: int

    def __len__(self) -> int:
        return max(0, (len(self.tokens) - 1) // self.length)

    def window(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return tokens, labels and positions of one window, each (length,) int64.

        The last token of a document has no label.
        """
        start = index * self.length
        tokens = self.tokens[start : start + self.length + 1].astype(np.int64)
        positions = self.positions[start : start + self.length + 1].astype(np.int64)
        labels = np.where(positions[1:] == 0, NO_LABEL, tokens[1:])
        own = positions[:-1]
        # The first document of a window may have begun in the window before: its positions start at 0 here as well.
        head = np.maximum.accumulate(own == 0)
        return tokens[:-1], labels, np.where(head, own, own - own[0])


class Corpora:
    """Token files of one split, by discipline."""

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
                raise UserError(
                    f"discipline {name!r} has {len(corpus.tokens)} {split} tokens, less than one sequence of "
                    f"data.sequence_length = {length}: add text, shorten the sequence, or change data.held_out"
                )

    def size(self, name: str) -> int:
        """Return the number of sequences of one discipline."""
        return len(self._corpus[name])

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


class BatchSchedule:
    """Order of the sequences in a run; it is the same on every rank."""

    def __init__(
        self, sizes: Mapping[str, int], shares: Mapping[str, float], batch: int, steps: int, seed: int
    ) -> None:
        """Lay out the disciplines of all sequences of the run.

        Args:
            sizes: Sequences of each discipline.
            shares: Share of each discipline in the batches.
            batch: Sequences of a global batch.
            steps: Steps of the run.
            seed: Chooses the order within each discipline.
        """
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
        """Return (discipline, index) of every sequence of the global batches in order."""
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
    """Return equal shares of the disciplines next to the share `general`.

    That share is of general text.
    """
    shares = {name: (1 - general) / len(disciplines) for name in disciplines}
    return {**shares, GENERAL: general} if general else shares


def tokenize(
    sources: Mapping[str, Sequence[TextSource]], tokenizer: Any, folder: Path, held_out: float, seed: int
) -> dict[str, dict[str, int]]:
    """Write the token files of every discipline, unless they are there already.

    Many processes may call this at once: one writes, the others wait for its lock and find the files. Files are written
    again when the sources, the tokenizer or the split have changed.

    Args:
        sources: Sources of each discipline and of general text.
        tokenizer: A transformers tokenizer.
        folder: Folder of the token files.
        held_out: Share of held-out documents, 0 to 1.
        seed: Chooses which documents are held out.

    Returns:
        Number of tokens by discipline and split.

    Raises:
        UserError: If the tokenizer has no end token.
    """
    if tokenizer.eos_token_id is None:
        raise UserError(
            "the base model's tokenizer has no end token, which separates packed documents; set its eos_token"
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


def _fingerprint(sources: Sequence[TextSource], tokenizer: Any, held_out: float, seed: int) -> str:
    probe = tokenizer("The energy levels are E_n = -13.6 eV / n^2, 12345.")["input_ids"]
    described = [source.model_dump() for source in sources]
    facts = [described, probe, len(tokenizer), tokenizer.eos_token_id, held_out, seed]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _tokenize_one(
    name: str, sources: Sequence[TextSource], tokenizer: Any, folder: Path, held_out: float, seed: int
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
