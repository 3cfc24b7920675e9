"""Write token shards: a flat file of token ids, and the end of each document in it.

`NAME-0000.bin` holds token ids (uint16 where the vocabulary allows it, else uint32, little-endian), `NAME-0000.ends` the
place after each document's last token (uint64). Documents are appended one by one, so memory does not depend on how many
there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

Item = TypeVar("Item")
BATCH_CHARACTERS = 2**20
SHARD_BYTES = 2 * 2**30


def load_encoder(tokenizer_json: str) -> Any:
    """Return a tokenizer that reads every document as ordinary text.

    A special token that a document spells out ("<eos>") is encoded by its letters. Otherwise the text of a document could
    end it, and what follows would be trained on as another document.

    Args:
        tokenizer_json: Content of a tokenizer.json.
    """
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_str(tokenizer_json)
    encoder.no_padding()
    encoder.no_truncation()
    encoder.encode_special_tokens = True
    return encoder


def dtype_of(vocabulary: int) -> str:
    """Return the type of a stored token for a vocabulary of this size."""
    return "<u2" if vocabulary <= 2**16 else "<u4"


def batches_of(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Group items so that a group's sizes sum to about `BATCH_CHARACTERS`."""
    batch: list[Item] = []
    total = 0
    for item in items:
        batch.append(item)
        total += size(item)
        if total >= BATCH_CHARACTERS:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


class ShardWriter:
    """Append documents to the shards of one name.

    Attributes:
        total: Tokens written.
        documents: Documents written.
        shards: (stem of the files, tokens, documents) of every complete shard.
    """

    def __init__(self, folder: Path, name: str, dtype: str, limit: int) -> None:
        self._folder, self._name, self._dtype, self._limit = folder, name, np.dtype(dtype), limit
        self._number, self._length = 0, 0
        self._files: tuple[IO[bytes], IO[bytes]] | None = None
        self.total = self.documents = 0
        self._inside = 0
        self.shards: list[tuple[str, int, int]] = []

    def write(self, ids: Sequence[int]) -> None:
        """Append one document, its end token included."""
        if self._files and (self._length + len(ids)) * self._dtype.itemsize > self._limit:
            self.close()
        if self._files is None:
            stem = f"{self._name}-{self._number:04d}"
            self._files = (self._folder / f"{stem}.bin").open("wb"), (self._folder / f"{stem}.ends").open("wb")
        tokens, ends = self._files
        tokens.write(np.asarray(ids, self._dtype).tobytes())
        self._length += len(ids)
        self.total += len(ids)
        self.documents += 1
        self._inside += 1
        ends.write(np.asarray([self._length], "<u8").tobytes())

    def close(self) -> None:
        """Complete the open shard."""
        if self._files:
            self.shards.append((f"{self._name}-{self._number:04d}", self._length, self._inside))
        for file in self._files or ():
            file.close()
        self._files = None
        self._number, self._length, self._inside = self._number + 1, 0, 0
