"""Count the text of a run before it is tokenized: tokens, disk, windows, fill, epochs and hours.

A built corpus is counted exactly, from its manifest and the ends of its documents. Files are read until `SAMPLE_CHARACTERS`
and counted in proportion to their size from there; the tokenizer's speed is measured on what was read.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from innovator_rl.data.corpus.shards import TokenCorpus
from innovator_rl.data.corpus.shards.writer import batches_of, dtype_of, load_encoder
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import TextSource
from upcycle.data.documents import documents, source_files
from upcycle.data.order import GENERAL, shares_of
from upcycle.data.tokens import corpus_tokens
from upcycle.data.windows import SEGMENT, Documents, documents_of, open_table, write_table

SAMPLE_CHARACTERS = 8 * 2**20
END_BYTES = 8
SAMPLE_GROUPS = 4  # groups of documents that are packed to measure the fill


@dataclass(frozen=True)
class TextPlan:
    """The text of one discipline.

    Attributes:
        tokens: All tokens, end tokens included; those of files are an estimate unless `exact`.
        documents: Number of documents, likewise.
        exact: Whether everything was counted and nothing estimated.
        disk_bytes: Token shards that are still to be written (files), ends and window tables.
        windows: Sequences of both splits together.
        fill: Share of the windows that is text and not padding.
        hours: Hours of one core to tokenize the files; a built corpus is tokenized already.
        epochs: Passes over the text by stage.
    """

    name: str
    tokens: int
    documents: int
    exact: bool
    disk_bytes: int
    windows: int
    fill: float
    hours: float
    epochs: dict[str, float]


@dataclass(frozen=True)
class _Count:
    tokens: int
    documents: int
    exact: bool
    seconds: float
    lengths: np.ndarray


def plan_text(config: UpcycleConfig, tokenizer: Any) -> Iterator[TextPlan]:
    """Yield the plan of each discipline and of general text.

    Args:
        config: The run's configuration.
        tokenizer: The base model's tokenizer; None if no discipline has files.

    Raises:
        UserError: For text that is missing or cannot be read.
    """
    sources = {**config.disciplines, **({GENERAL: config.general} if config.general else {})}
    for name, listed in sources.items():
        yield _plan_one(config, name, listed, tokenizer)


def _plan_one(config: UpcycleConfig, name: str, listed: Sequence[TextSource], tokenizer: Any) -> TextPlan:
    files = source_files(listed, name)
    own = _count_files(name, [s for s in listed if s.paths], files, tokenizer) if files else _nothing()
    built = [_count_corpus(source, name) for source in listed if source.corpus]
    counts = [own, *built]
    tokens, count = sum(c.tokens for c in counts), sum(c.documents for c in counts)
    length = config.data.sequence_length
    lengths = np.concatenate([c.lengths for c in counts])
    fill, segments = _pack(lengths, config)
    windows = int(tokens / (length * fill)) if fill else 0
    token_bytes = own.tokens * np.dtype(dtype_of(len(tokenizer) if tokenizer is not None else 2**16)).itemsize
    per_document = segments / max(1, len(lengths))
    table = int(count * per_document) * SEGMENT.itemsize + windows * END_BYTES
    return TextPlan(
        name,
        tokens,
        count,
        own.exact,
        token_bytes + own.documents * END_BYTES + table,
        windows,
        fill,
        own.seconds / 3600,
        _epochs(config, name, tokens * (1 - config.data.held_out)),
    )


def _epochs(config: UpcycleConfig, name: str, tokens: float) -> dict[str, float]:
    if not tokens:
        return {}
    joint = config.train_joint
    shares = shares_of(tuple(config.disciplines), joint.general_share if config.general else 0.0, config.data.weights)
    wanted = {"train-joint": joint.tokens * shares.get(name, 0.0)}
    if name != GENERAL:
        wanted = {"train-experts": config.train_experts.tokens, **wanted}
    return {stage: number / tokens for stage, number in wanted.items()}


def _nothing() -> _Count:
    return _Count(0, 0, True, 0.0, np.zeros(0, np.int64))


def _count_corpus(source: TextSource, name: str) -> _Count:
    tokens = corpus_tokens(source, name)
    corpus = TokenCorpus.open(Path(source.corpus), [source.label or name])
    sample = [lengths for _, lengths in islice(documents_of(corpus), SAMPLE_GROUPS)]
    return _Count(tokens, corpus.documents, True, 0.0, np.concatenate(sample) if sample else np.zeros(0, np.int64))


def _count_files(name: str, sources: Sequence[TextSource], files: Sequence[Path], tokenizer: Any) -> _Count:
    encoder = load_encoder(tokenizer.backend_tokenizer.to_str())
    lengths: list[int] = []
    characters, seconds, exact, read_bytes = 0, 0.0, True, 0
    for texts in batches_of(documents(sources, name), len):
        started = time.perf_counter()
        lengths += [len(encoding.ids) + 1 for encoding in encoder.encode_batch(texts, add_special_tokens=False)]
        seconds += time.perf_counter() - started
        characters += sum(map(len, texts))
        read_bytes += sum(len(text.encode("utf-8", "replace")) for text in texts)
        if characters >= SAMPLE_CHARACTERS:
            exact = False
            break
    size = sum(path.stat().st_size for path in files)
    grow = 1.0 if exact else max(1.0, size / read_bytes)
    found = np.asarray(lengths, np.int64)
    return _Count(int(found.sum() * grow), int(len(found) * grow), exact, seconds * grow, found)


def _pack(lengths: np.ndarray, config: UpcycleConfig) -> tuple[float, int]:
    """Return the fill and the number of segments of documents of these lengths, packed as the run packs them."""
    if not len(lengths):
        return 0.0, 0
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    group: Iterator[Documents] = iter([(starts, lengths)])
    with tempfile.TemporaryDirectory() as work:
        write_table(group, Path(work) / "table", config.data.sequence_length, config.data.packing)
        table = open_table(Path(work) / "table", config.data.sequence_length)
        segments = len(table.segments)
        if config.data.packing == "stream":
            return 1.0, segments
        return table.tokens / (len(table) * table.length), segments


def as_dict(plans: Sequence[TextPlan]) -> list[dict[str, Any]]:
    """Return plans for `--json`."""
    return [asdict(plan) for plan in plans]
