"""Check a built corpus against its manifest."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from innovator_rl.data.corpus.content import hash_file
from innovator_rl.data.corpus.document import count_documents
from innovator_rl.data.corpus.manifest import CorpusManifest, load_manifest


def check_corpus(folder: Path) -> tuple[CorpusManifest, list[str]]:
    """Return the manifest of a corpus and what is wrong with its files.

    Raises:
        UserError: when there is no manifest.
    """
    manifest = load_manifest(folder)
    problems = []
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is not found")
        elif path.stat().st_size != entry.bytes:
            problems.append(f"{name} has {path.stat().st_size} bytes, expected {entry.bytes}")
        elif hash_file(path) != entry.sha256:
            problems.append(f"{name} has another content than the build wrote")
    if not problems:
        try:
            found = sum(count_documents(folder / name) for name in manifest.documents)
        except (pa.ArrowException, OSError) as error:
            return manifest, [f"documents cannot be read: {error}"]
        expected = sum(source.documents for source in manifest.sources)
        if found != expected:
            problems.append(f"{found} documents, the manifest counts {expected}")
        tokenized = sum(shard.documents for shard in manifest.tokens.shards) if manifest.tokens else expected
        if tokenized != expected:
            problems.append(f"{tokenized} documents in token shards, expected {expected}")
    return manifest, problems
