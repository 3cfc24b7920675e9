"""Turn the documents of a part into token shards.

A shard is a flat file of token ids (uint16 where the vocabulary allows it, else uint32, little-endian) and a file of the
end of each document in it (uint64). Documents are streamed, so that memory does not depend on the size of a part. There
is a shard per part and discipline, and more where a shard would be larger than the recipe allows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from innovator_rl.data.corpus.document import Document, read_part
from innovator_rl.data.corpus.manifest import CorpusManifest, TaskReport, TokenSet, TokenShard
from innovator_rl.data.corpus.paths import expand_path
from innovator_rl.data.corpus.publish import publish_file
from innovator_rl.data.corpus.recipe import Tokens
from innovator_rl.data.corpus.tasks import Task
from innovator_rl.errors import UserError

MODULES = ("innovator_rl.data.corpus.document", "innovator_rl.data.corpus.tokens")
PACKAGES = ("tokenizers", "pyarrow", "numpy")
UNLABELED = "unlabeled"
END_TOKENS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>")
BATCH_BYTES = 2**20


@dataclass(frozen=True)
class ResolvedTokenizer:
    """A tokenizer on disk.

    Attributes:
        file: Its tokenizer.json.
        end_token: Id of the token that ends every document.
        dtype: Type of a token on disk.
    """

    name: str
    file: Path
    end_token: int
    dtype: str


def resolve_tokenizer(settings: Tokens) -> ResolvedTokenizer:
    """Find the tokenizer of a recipe and its end token.

    Raises:
        UserError: when there is no tokenizer or no such end token.
    """
    from tokenizers import Tokenizer

    path = Path(expand_path(settings.tokenizer))
    if not path.exists():
        from innovator_rl.models import resolve

        path = Path(resolve(settings.tokenizer))
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"outputs.tokens.tokenizer: {str(file)!r} is not found")
    tokenizer = Tokenizer.from_file(str(file))
    wanted = [settings.end_token] if settings.end_token else [*END_TOKENS, _configured_end(file)]
    found = next((i for name in wanted if name and (i := tokenizer.token_to_id(name)) is not None), None)
    if found is None:
        raise UserError(f"outputs.tokens.end_token: the tokenizer {settings.tokenizer!r} has no token {wanted[0]!r}")
    dtype = "<u2" if tokenizer.get_vocab_size(with_added_tokens=True) <= 2**16 else "<u4"
    return ResolvedTokenizer(settings.tokenizer, file, found, dtype)


def _configured_end(file: Path) -> str | None:
    config = file.with_name("tokenizer_config.json")
    token = json.loads(config.read_text(encoding="utf-8")).get("eos_token") if config.is_file() else None
    return token["content"] if isinstance(token, dict) else token


@dataclass(frozen=True)
class Tokenize:
    """Write the token shards of a part."""

    tokenizer: ResolvedTokenizer
    shard_bytes: int
    part: Path

    def __call__(self, folder: Path, report: TaskReport) -> None:
        """Write `DISCIPLINE-NNNN.bin` and `.ends`."""
        from tokenizers import Tokenizer

        encoder = Tokenizer.from_file(str(self.tokenizer.file))
        encoder.no_padding()
        encoder.no_truncation()
        writers: dict[str, _ShardWriter] = {}
        tally = report.tally
        for batch in _batches(read_part(self.part)):
            encoded = encoder.encode_batch([d.text for d in batch], add_special_tokens=False)
            for document, encoding in zip(batch, encoded, strict=True):
                name = document.discipline or UNLABELED
                writer = writers.setdefault(name, _ShardWriter(folder, name, self.tokenizer.dtype, self.shard_bytes))
                writer.write([*encoding.ids, self.tokenizer.end_token])
                tally.documents_in += 1
                tally.documents_out += 1
                tally.bytes_in += document.size
        for writer in writers.values():
            writer.close()
        report.facts = {"tokens": sum(writer.total for writer in writers.values())}
        tally.bytes_out = sum(path.stat().st_size for path in folder.iterdir())


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _ShardWriter:
    """Append documents to the shards of one discipline."""

    def __init__(self, folder: Path, name: str, dtype: str, limit: int) -> None:
        self._folder, self._name, self._dtype, self._limit = folder, name, np.dtype(dtype), limit
        self._number, self._length = 0, 0
        self._files: tuple[IO[bytes], IO[bytes]] | None = None
        self.total = 0

    def write(self, ids: list[int]) -> None:
        if self._files and (self._length + len(ids)) * self._dtype.itemsize > self._limit:
            self.close()
        if self._files is None:
            stem = f"{self._name}-{self._number:04d}"
            self._files = (self._folder / f"{stem}.bin").open("wb"), (self._folder / f"{stem}.ends").open("wb")
        tokens, ends = self._files
        tokens.write(np.asarray(ids, self._dtype).tobytes())
        self._length += len(ids)
        self.total += len(ids)
        ends.write(np.asarray([self._length], "<u8").tobytes())

    def close(self) -> None:
        for file in self._files or ():
            file.close()
        self._files = None
        self._number, self._length = self._number + 1, 0


def publish_tokens(
    folder: Path,
    manifest: CorpusManifest,
    settings: Tokens,
    tokenizer: ResolvedTokenizer,
    tasks: Sequence[Task],
    reports: Sequence[TaskReport],
) -> TokenSet:
    """Publish the shards of all parts and return their table; the manifest's files grow by them."""
    itemsize = np.dtype(tokenizer.dtype).itemsize
    shards = []
    for number, (task, report) in enumerate(zip(tasks, reports, strict=True)):
        for name in sorted(file for file in report.files if file.endswith(".bin")):
            stem = name.removesuffix(".bin")
            names: dict[str, Any] = {}
            for suffix in (".bin", ".ends"):
                entry = report.files[stem + suffix]
                published = f"tokens/{number:05d}-{stem}-{entry.sha256[:12]}{suffix}"
                publish_file(task.folder / (stem + suffix), folder / published)
                manifest.files[published] = entry
                names[suffix] = published
            shards.append(
                TokenShard(
                    discipline=stem.rpartition("-")[0],
                    file=names[".bin"],
                    ends=names[".ends"],
                    tokens=report.files[name].bytes // itemsize,
                    documents=report.files[stem + ".ends"].bytes // 8,
                )
            )
    return TokenSet(tokenizer=settings.tokenizer, dtype=tokenizer.dtype, end_token=tokenizer.end_token, shards=shards)
