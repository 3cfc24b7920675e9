"""Check that a discipline's text fills a window of each split, reading no more of it than that takes.

A run refuses a discipline with less than one sequence of training or held-out text. `plan` finds that out here, together
with text that cannot be read, without tokenizing all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from innovator_rl.data.corpus.shards import TokenCorpus
from innovator_rl.data.corpus.shards.writer import dtype_of, load_encoder
from innovator_rl.errors import UserError
from upcycle.config.stages import DataConfig, TextSource
from upcycle.data.documents import documents, is_held_out
from upcycle.data.tokens import SPLITS, corpus_shards, tokenizer_json
from upcycle.data.windows import split_documents

AT_ONCE = 64  # documents that are tokenized together
MOST_CHARACTERS = 2**24
"""Characters of files after which their text counts as enough, so that a small held-out share costs no more than seconds."""


def require_windows(name: str, sources: Sequence[TextSource], tokenizer: Any, data: DataConfig) -> None:
    """Check that each split of a discipline has a window.

    Args:
        name: The discipline, or `general`.
        sources: Its sources.
        tokenizer: The base model's tokenizer.
        data: Sequence length, packing and held-out share.

    Raises:
        UserError: For text that cannot be read, or a split with less than one sequence.
    """
    need = data.sequence_length if data.packing == "stream" else 1
    files = [source for source in sources if source.paths]
    found = _count_files(name, files, tokenizer, data, need) if files else dict.fromkeys(SPLITS, 0)
    built = corpus_shards(name, sources, tokenizer)
    corpus = TokenCorpus(built, dtype_of(len(tokenizer)), int(tokenizer.eos_token_id)) if built else None
    for split, own in found.items():
        tokens = own
        if own < need and corpus is not None:
            tokens = max(own, _count_corpus(corpus, split, data, need))
        if tokens < need:
            raise too_little(name, split, tokens, data.sequence_length)


def too_little(name: str, split: str, tokens: int, length: int) -> UserError:
    """Return the error about a split that has less than one sequence."""
    return UserError(
        f"discipline {name!r} has {tokens} {split} tokens in whole windows, less than one sequence of "
        f"data.sequence_length = {length}: add text, shorten the sequence, or change data.held_out"
    )


def _count_files(name: str, files: Sequence[TextSource], tokenizer: Any, data: DataConfig, need: int) -> dict[str, int]:
    """Return the tokens of each split, counted until both have what they need."""
    encoder = load_encoder(tokenizer_json(tokenizer))
    found = dict.fromkeys(SPLITS, 0)
    characters = 0
    texts: Iterator[str] = documents(files, name)
    while batch := list(islice(texts, AT_ONCE)):
        for text, encoding in zip(batch, encoder.encode_batch(batch, add_special_tokens=False), strict=True):
            found[SPLITS[is_held_out(text, data.held_out, data.split_seed)]] += len(encoding.ids) + 1
        characters += sum(map(len, batch))
        if min(found.values()) >= need:
            break
        if characters > MOST_CHARACTERS and 0 < data.held_out < 1:
            return dict.fromkeys(SPLITS, need)
    return found


def _count_corpus(corpus: TokenCorpus, split: str, data: DataConfig, need: int) -> int:
    total = 0
    for _, lengths in split_documents(corpus, data.held_out, data.split_seed, split):
        total += int(lengths.sum())
        if total >= need:
            break
    return total
