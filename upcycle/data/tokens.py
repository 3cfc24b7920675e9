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

import numpy as np

from innovator_rl.data.corpus.manifest import TokenShard
from innovator_rl.data.corpus.shards import TokenCorpus, token_set
from innovator_rl.data.corpus.shards.writer import SHARD_BYTES, ShardWriter, batches_of, dtype_of, load_encoder
from innovator_rl.errors import StorageError, UserError
from upcycle.config.stages import TextSource
from upcycle.data.documents import documents, hash_files, is_held_out, source_files

SPLITS = ("train", "held_out")
END_BYTES = 8  # of a document's end on disk
FORMAT = 2
"""Raised whenever the same text would become other tokens or files."""
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
"""Files of which a tokenizer has at least one; without any, transformers invents an empty vocabulary."""

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


def require_vocabulary(base_model: Path) -> None:
    """Check that a base model has a tokenizer.

    Raises:
        UserError: If it has none.
    """
    if not any((base_model / name).is_file() for name in VOCABULARIES):
        raise UserError(f"base model {base_model}: it has no tokenizer ({' or '.join(VOCABULARIES)}); add its files")


def load_tokenizer(base_model: Path, base_config: Mapping[str, Any]) -> Any:
    """Load the base model's tokenizer.

    Raises:
        UserError: If it cannot be read, has no end token or does not belong to these weights.
    """
    import transformers

    hf: Any = transformers  # its classes carry no constructor types
    require_vocabulary(base_model)
    try:
        tokenizer = hf.AutoTokenizer.from_pretrained(base_model)
    except (OSError, ValueError) as error:
        raise UserError(
            f"base model {base_model}: its tokenizer cannot be read ({str(error).splitlines()[0]}); add its files"
        ) from None
    if len(tokenizer) > int(base_config["vocab_size"]):
        raise _foreign_tokenizer(base_model, len(tokenizer), base_config)
    if tokenizer.eos_token_id is None:
        raise UserError(
            "the base model's tokenizer has no end token, which separates packed documents; set its eos_token"
        )
    return tokenizer


class TokenizerFile:
    """The tokenizer of a tokenizer.json, for `plan`, which should not import transformers.

    Attributes:
        name_or_path: Folder of the tokenizer, as transformers names it.
        backend_tokenizer: The rules.
        eos_token_id: The end token; 0 where the file does not name it and transformers would take its class's.
    """

    def __init__(self, base_model: Path, base_config: Mapping[str, Any]) -> None:
        """Read the tokenizer.

        Raises:
            UserError: If it cannot be read or does not belong to these weights.
        """
        from tokenizers import Tokenizer

        self.name_or_path = str(base_model)
        try:
            self.backend_tokenizer = Tokenizer.from_file(str(base_model / "tokenizer.json"))
        except Exception as error:  # the library raises plain exceptions
            raise UserError(f"base model {base_model}: its tokenizer cannot be read ({error}); add its files") from None
        if len(self) > int(base_config["vocab_size"]):
            raise _foreign_tokenizer(base_model, len(self), base_config)
        end = read_marker(base_model / "tokenizer_config.json").get("eos_token")
        end = end.get("content") if isinstance(end, dict) else end
        self.eos_token_id = int(self.backend_tokenizer.token_to_id(end) or 0) if end else 0

    def __len__(self) -> int:
        return int(self.backend_tokenizer.get_vocab_size())


def _foreign_tokenizer(base_model: Path, tokens: int, base_config: Mapping[str, Any]) -> UserError:
    return UserError(
        f"base model {base_model}: its tokenizer has {tokens} tokens and its embedding "
        f"{base_config['vocab_size']} rows, so they belong to different models; add the tokenizer of these weights"
    )


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
        UserError: If a file cannot be read.
        StorageError: If the shards cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, found in sources.items():
            files = [source for source in found if source.paths]
            contents = hash_files(source_files(files, name)) if files else []
            wanted = _fingerprint(files, contents, tokenizer, held_out, seed)
            text = [content for _, content in contents]
            marker = folder / f"{name}.json"
            known = read_marker(marker)
            if known.get("fingerprint") != wanted or not _whole(folder, known, len(tokenizer)):
                marker.unlink(missing_ok=True)
                for old in (path for split in SPLITS for path in folder.glob(f"{name}.{split}-[0-9]*")):
                    old.unlink()
                try:
                    shards = _write(name, files, tokenizer, folder, held_out, seed, log) if files else []
                except OSError as error:
                    raise StorageError(f"{folder}: the tokens of {name!r} cannot be written ({error})") from error
                known = {"fingerprint": wanted, "shards": shards, "tokens": _count(shards)}
            if known.get("text") != text:  # earlier releases did not note it
                known["text"] = text
                write_marker(marker, known)
            counts[name] = known["tokens"]
    return counts


def _whole(folder: Path, known: Mapping[str, Any], vocabulary: int) -> bool:
    """Return whether the shards that a marker lists are on the disk, as long as they were."""
    width = np.dtype(dtype_of(vocabulary)).itemsize
    shards = [TokenShard.model_validate(shard) for shard in known.get("shards", ())]
    sizes = [(shard.file, shard.tokens * width) for shard in shards]
    sizes += [(shard.ends, shard.documents * END_BYTES) for shard in shards]
    return all((folder / file).is_file() and (folder / file).stat().st_size == size for file, size in sizes)


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
    known = read_marker(folder / f"{name}.json")
    own = [TokenShard.model_validate(shard) for shard in known.get("shards", ())]
    found: dict[str, TokenCorpus | None] = {}
    for split in SPLITS:
        mine = [(folder, shard) for shard in own if shard.discipline == f"{name}.{split}"]
        found[split] = TokenCorpus(mine, dtype, end) if mine else None
    built = corpus_shards(name, sources, tokenizer)
    found["corpus"] = TokenCorpus(built, dtype, end) if built else None
    return found


def corpus_shards(name: str, sources: Sequence[TextSource], tokenizer: Any) -> list[tuple[Path, TokenShard]]:
    """Return the shards of the corpora that a discipline's sources name, each with its folder.

    Raises:
        UserError: If a corpus was built with another tokenizer, or has no such label.
    """
    dtype = dtype_of(len(tokenizer))
    return [pair for source in sources if source.corpus for pair in _corpus_shards(source, name, tokenizer, dtype)]


def _corpus_shards(source: TextSource, name: str, tokenizer: Any, dtype: str) -> list[tuple[Path, TokenShard]]:
    corpus_tokens(source, name)
    tokens = token_set(Path(source.corpus))
    own = hashlib.sha256(tokenizer_json(tokenizer).encode()).hexdigest()
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


def tokenizer_json(tokenizer: Any) -> str:
    """Return the rules of a tokenizer, as its tokenizer.json."""
    return str(tokenizer.backend_tokenizer.to_str())


def _fingerprint(
    files: Sequence[TextSource], contents: Sequence[tuple[str, str]], tokenizer: Any, held_out: float, seed: int
) -> str:
    described = [source.model_dump() for source in files]
    rules = hashlib.sha256(tokenizer_json(tokenizer).encode()).hexdigest()
    facts = [FORMAT, described, contents, rules, tokenizer.eos_token_id, held_out, seed]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _write(
    name: str, files: Sequence[TextSource], tokenizer: Any, folder: Path, held_out: float, seed: int, log: Log
) -> list[dict[str, Any]]:
    encoder, end, dtype = load_encoder(tokenizer_json(tokenizer)), tokenizer.eos_token_id, dtype_of(len(tokenizer))
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


def read_marker(path: Path) -> dict[str, Any]:
    """Return what a marker notes; nothing where it is missing or a crash has cut it off."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def write_marker(path: Path, content: Mapping[str, Any]) -> None:
    """Write a marker; it appears whole."""
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(json.dumps(content, indent=1), encoding="utf-8")
    aside.replace(path)
