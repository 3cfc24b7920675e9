"""Tokenize text files into shards, and open the tokens of a discipline.

A discipline's tokens come from files, which are tokenized once into the run's folder, or from a corpus that
`innovator data build` made, which is read where it lies. Both are token shards (`innovator_rl.data.corpus.shards`): flat,
memory-mapped, with the ends of the documents next to them.

    runs/NAME/data/DISCIPLINE.json                     what was tokenized: fingerprint, shards, counts
    runs/NAME/data/DISCIPLINE.train-0000.bin, .ends    tokens of the training split, likewise held_out

The fingerprint covers every byte of the files, the tokenizer and the split, so changed text is tokenized again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from innovator_rl.data.corpus.manifest import TokenShard
from innovator_rl.data.corpus.shards import TokenCorpus, token_set
from innovator_rl.data.corpus.shards.writer import SHARD_BYTES, ShardWriter, batches_of, dtype_of, load_encoder
from innovator_rl.errors import UserError
from upcycle.config.stages import TextSource
from upcycle.data.documents import documents, hash_files, is_held_out, source_files

SPLITS = ("train", "held_out")
FORMAT = 2
"""Raised whenever the same text would become other tokens or files."""

Log = Callable[[str], object]


def check_text(name: str, sources: Sequence[TextSource]) -> None:
    """Check a discipline's text before any work: its files, and the corpora that it names.

    Raises:
        UserError: For a pattern without files, an unknown format, or a corpus without this discipline.
    """
    source_files(sources, name)
    for source in sources:
        if source.corpus:
            corpus_tokens(source, name)


def corpus_tokens(source: TextSource, name: str) -> int:
    """Return the number of tokens that a built corpus has of a discipline.

    Raises:
        UserError: If it is no built corpus, or has none.
    """
    known = token_set(Path(source.corpus)).by_discipline()
    label = source.label or name
    if label not in known:
        raise UserError(
            f"disciplines.{name}: corpus {source.corpus!r} has no tokens of {label!r}; set `label` to one of "
            f"{', '.join(known)}"
        )
    return known[label]


def tokenize(
    sources: Mapping[str, Sequence[TextSource]],
    tokenizer: Any,
    folder: Path,
    held_out: float,
    seed: int,
    log: Log = lambda _line: None,
) -> dict[str, dict[str, int]]:
    """Write the token shards of every discipline's files, unless they are there already.

    Many processes may call this at once: one writes, the others wait for its lock and find the shards.

    Args:
        sources: Sources of each discipline and of general text.
        tokenizer: A transformers tokenizer.
        folder: Folder of the shards.
        held_out: Share of held-out documents, 0 to 1.
        seed: Chooses which documents are held out.
        log: Receives a line per discipline, and one per kind of row that was left out.

    Returns:
        Number of tokens from files, by discipline and split.

    Raises:
        UserError: If the tokenizer has no end token, or a file cannot be read.
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
            files = [source for source in found if source.paths]
            wanted = _fingerprint(name, files, tokenizer, held_out, seed)
            marker = folder / f"{name}.json"
            known = _read_marker(marker)
            if known.get("fingerprint") != wanted:
                marker.unlink(missing_ok=True)
                for old in [*folder.glob(f"{name}.*-[0-9]*.bin"), *folder.glob(f"{name}.*-[0-9]*.ends")]:
                    old.unlink()
                shards = _write(name, files, tokenizer, folder, held_out, seed, log) if files else []
                known = {"fingerprint": wanted, "shards": shards, "tokens": _count(shards)}
                _write_marker(marker, known)
            counts[name] = known["tokens"]
    return counts


def open_tokens(
    name: str, sources: Sequence[TextSource], folder: Path, tokenizer: Any
) -> dict[str, TokenCorpus | None]:
    """Open a discipline's tokens: of its files by split, and of the corpora that it names, which are not split yet.

    Args:
        name: The discipline.
        sources: Its sources.
        folder: Folder that `tokenize` wrote.
        tokenizer: The tokenizer of the base model, with which the corpora must have been built.

    Returns:
        Tokens under `train`, `held_out` and `corpus`; None where there are none.

    Raises:
        UserError: If a corpus was built with another tokenizer.
    """
    end, dtype = int(tokenizer.eos_token_id), dtype_of(len(tokenizer))
    known = _read_marker(folder / f"{name}.json")
    own = [TokenShard.model_validate(shard) for shard in known.get("shards", ())]
    found: dict[str, TokenCorpus | None] = {}
    for split in SPLITS:
        mine = [(folder, shard) for shard in own if shard.discipline == f"{name}.{split}"]
        found[split] = TokenCorpus(mine, dtype, end) if mine else None
    built: list[tuple[Path, TokenShard]] = []
    for source in sources:
        if source.corpus:
            built += _corpus_shards(source, name, tokenizer, dtype)
    found["corpus"] = TokenCorpus(built, dtype, end) if built else None
    return found


def _corpus_shards(source: TextSource, name: str, tokenizer: Any, dtype: str) -> list[tuple[Path, TokenShard]]:
    corpus_tokens(source, name)
    tokens = token_set(Path(source.corpus))
    own = hashlib.sha256(_tokenizer_json(tokenizer).encode()).hexdigest()
    if tokens.end_token != tokenizer.eos_token_id or tokens.dtype != dtype or not _same_tokenizer(tokens, tokenizer):
        raise UserError(
            f"disciplines.{name}: corpus {source.corpus!r} was tokenized with {tokens.tokenizer!r} (end token "
            f"{tokens.end_token}, {tokens.dtype}), the base model's tokenizer is another ({own[:8]}, end token "
            f"{tokenizer.eos_token_id}, {dtype}); build it with outputs.tokens.tokenizer and end_token of the base model"
        )
    label = source.label or name
    return [(Path(source.corpus), shard) for shard in tokens.shards if shard.discipline == label]


def _same_tokenizer(tokens: Any, tokenizer: Any) -> bool:
    """Compare the file that a corpus was tokenized with; manifests of earlier builds do not name it."""
    file = Path(str(tokenizer.name_or_path)) / "tokenizer.json"
    if not tokens.tokenizer_sha256 or not file.is_file():
        return True
    return bool(hashlib.sha256(file.read_bytes()).hexdigest() == tokens.tokenizer_sha256)


def _tokenizer_json(tokenizer: Any) -> str:
    return str(tokenizer.backend_tokenizer.to_str())


def _fingerprint(name: str, files: Sequence[TextSource], tokenizer: Any, held_out: float, seed: int) -> str:
    described = [source.model_dump() for source in files]
    contents = hash_files(source_files(files, name)) if files else []
    rules = hashlib.sha256(_tokenizer_json(tokenizer).encode()).hexdigest()
    facts = [FORMAT, described, contents, rules, tokenizer.eos_token_id, held_out, seed]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _write(
    name: str, files: Sequence[TextSource], tokenizer: Any, folder: Path, held_out: float, seed: int, log: Log
) -> list[dict[str, Any]]:
    encoder, end, dtype = load_encoder(_tokenizer_json(tokenizer)), tokenizer.eos_token_id, dtype_of(len(tokenizer))
    writers = {split: ShardWriter(folder, f"{name}.{split}", dtype, SHARD_BYTES) for split in SPLITS}
    left_out: Counter[str] = Counter()
    for texts in batches_of(documents(files, name, left_out=left_out), len):
        for text, encoding in zip(texts, encoder.encode_batch(texts, add_special_tokens=False), strict=True):
            writers[SPLITS[is_held_out(text, held_out, seed)]].write([*encoding.ids, end])
    for reason, rows in left_out.items():
        log(f"{name}: left out {rows} rows: {reason}")
    shards = []
    for split, writer in writers.items():
        writer.close()
        log(f"{name}: {writer.total:,} tokens of {writer.documents:,} documents ({split})")
        for stem, tokens, count in writer.shards:
            shard = TokenShard(
                discipline=f"{name}.{split}", file=f"{stem}.bin", ends=f"{stem}.ends", tokens=tokens, documents=count
            )
            shards.append(shard.model_dump())
    return shards


def _count(shards: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counts = dict.fromkeys(SPLITS, 0)
    for shard in shards:
        counts[shard["discipline"].rpartition(".")[2]] += shard["tokens"]
    return counts


def _read_marker(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _write_marker(path: Path, content: Mapping[str, Any]) -> None:
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(json.dumps(content, indent=1), encoding="utf-8")
    aside.replace(path)
