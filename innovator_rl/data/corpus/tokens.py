"""Turn the documents of a part into token shards.

Documents are streamed, so that memory does not depend on the size of a part. There is a shard per part and discipline,
and more where a shard would be larger than the recipe allows. `shards/writer.py` describes their files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from innovator_rl.data.corpus.content import hash_file
from innovator_rl.data.corpus.document import read_part
from innovator_rl.data.corpus.manifest import CorpusManifest, TaskReport, TokenSet, TokenShard
from innovator_rl.data.corpus.paths import expand_path
from innovator_rl.data.corpus.publish import publish_file
from innovator_rl.data.corpus.recipe import Tokens
from innovator_rl.data.corpus.shards.writer import ShardWriter, batches_of, dtype_of, load_encoder
from innovator_rl.data.corpus.tasks import Task
from innovator_rl.errors import UserError

MODULES = (
    "innovator_rl.data.corpus.document",
    "innovator_rl.data.corpus.tokens",
    "innovator_rl.data.corpus.shards.writer",
)
PACKAGES = ("tokenizers", "pyarrow", "numpy")
UNLABELED = "unlabeled"
# Where a tokenizer has no configuration next to it. One that has is asked first: upcycling ends documents as its base model does.
END_TOKENS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>")


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
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library has no class of its own for it
        raise UserError(f"outputs.tokens.tokenizer: {str(file)!r} is not a tokenizer.json ({error})") from None
    wanted = [settings.end_token] if settings.end_token else [_configured_end(file), *END_TOKENS]
    found = next((i for name in wanted if name and (i := tokenizer.token_to_id(name)) is not None), None)
    if found is None:
        lack = f"has no token {settings.end_token!r}" if settings.end_token else "names no end token, name one"
        raise UserError(f"outputs.tokens.end_token: the tokenizer {settings.tokenizer!r} {lack}")
    dtype = dtype_of(tokenizer.get_vocab_size(with_added_tokens=True))
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
        """Write `DISCIPLINE-NNNN.bin` and `.ends`; the discipline is percent-encoded."""
        encoder = load_encoder(self.tokenizer.file.read_text(encoding="utf-8"))
        writers: dict[str, ShardWriter] = {}
        tally = report.tally
        for batch in batches_of(read_part(self.part), lambda document: len(document.text)):
            encoded = encoder.encode_batch([d.text for d in batch], add_special_tokens=False)
            for document, encoding in zip(batch, encoded, strict=True):
                # Data may name a discipline as in "math/algebra": in the name of a file, such characters are escaped.
                name = quote(document.discipline or UNLABELED, safe=" ")
                if name not in writers:
                    writers[name] = ShardWriter(folder, name, self.tokenizer.dtype, self.shard_bytes)
                writers[name].write([*encoding.ids, self.tokenizer.end_token])
                tally.documents_in += 1
                tally.documents_out += 1
                tally.bytes_in += document.size
        for writer in writers.values():
            writer.close()
        report.facts = {"tokens": sum(writer.total for writer in writers.values())}
        tally.bytes_out = sum(path.stat().st_size for path in folder.iterdir())


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
                    discipline=unquote(stem.rpartition("-")[0]),
                    file=names[".bin"],
                    ends=names[".ends"],
                    tokens=report.files[name].bytes // itemsize,
                    documents=report.files[stem + ".ends"].bytes // 8,
                )
            )
    return TokenSet(
        tokenizer=settings.tokenizer,
        tokenizer_sha256=hash_file(tokenizer.file),
        dtype=tokenizer.dtype,
        end_token=tokenizer.end_token,
        shards=shards,
    )
