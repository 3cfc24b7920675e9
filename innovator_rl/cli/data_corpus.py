"""Corpus commands behind `innovator data`: build, show, check, and the reading order of one document."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from innovator_rl.errors import UserError


def is_recipe(what: str) -> bool:
    """Return whether a command's argument is the recipe of a corpus."""
    from innovator_rl.data.corpus.recipe import is_corpus_recipe

    return what.endswith((".yaml", ".yml")) and is_corpus_recipe(Path(what))


def corpus_folder(what: str | None, out: Path = Path("data")) -> Path | None:
    """Return the folder of a built corpus that a name, recipe, folder or manifest stands for; None for anything else."""
    from innovator_rl.data.corpus.manifest import MANIFEST
    from innovator_rl.data.corpus.recipe import load_corpus_recipe

    if what is None:
        return None
    path = Path(what)
    if path.suffix in (".yaml", ".yml"):
        return out / load_corpus_recipe(path).name if is_recipe(what) else None
    if path.name == MANIFEST:
        return path.parent
    return next((folder for folder in (path, out / what) if (folder / MANIFEST).is_file()), None)


def build(recipe: Path, out: Path, workers: int, executor: str) -> None:
    """Build a corpus with progress on standard error, and print what came out."""
    from innovator_rl.data.corpus.build import build_corpus
    from innovator_rl.data.corpus.executor import LocalExecutor, RayExecutor
    from innovator_rl.data.corpus.progress import Progress
    from innovator_rl.data.corpus.recipe import load_corpus_recipe

    loaded = load_corpus_recipe(recipe)
    chosen = RayExecutor() if executor == "ray" else LocalExecutor(workers)
    build_corpus(loaded, out, chosen, Progress(sys.stderr))
    show(out / loaded.name, examples=0)


def show(folder: Path, examples: int) -> None:
    """Print the sources, stages and tokens of a built corpus, and its first documents."""
    from itertools import islice

    from rich.console import Console

    from innovator_rl.data.corpus.document import read_part
    from innovator_rl.data.corpus.manifest import load_manifest

    manifest = load_manifest(folder)
    console = Console(highlight=False, soft_wrap=True)
    for stage in manifest.stages:
        tally = stage.tally
        dropped = ", ".join(
            f"{reason} {count.documents or f'{count.passages} passages'}" for reason, count in tally.dropped.items()
        )
        console.print(
            f"{stage.name}: {tally.documents_in:,} -> {tally.documents_out:,} documents, "
            f"{tally.bytes_in / 1e6:.2f} -> {tally.bytes_out / 1e6:.2f} MB, {tally.seconds:.1f} s, "
            f"{stage.run} of {stage.tasks} tasks run{f'; dropped: {dropped}' if dropped else ''}",
            markup=False,
        )
    for discipline, tokens in (manifest.tokens.by_discipline() if manifest.tokens else {}).items():
        console.print(f"{discipline}: {tokens:,} tokens", markup=False)
    total = sum(source.documents for source in manifest.sources)
    unreadable = f", {manifest.errors} input rows unreadable (errors.jsonl)" if manifest.errors else ""
    console.print(f"{folder}: {total:,} documents in {manifest.seconds:.1f} s{unreadable}", markup=False)
    shown = (document for name in manifest.documents for document in read_part(folder / name))
    for document in islice(shown, examples):
        console.rule(document.id)
        console.print(document.text[:1000], markup=False)


def check(folder: Path) -> None:
    """Compare a corpus with its manifest.

    Raises:
        UserError: with everything that is wrong.
    """
    from innovator_rl.data.corpus.check import check_corpus

    manifest, problems = check_corpus(folder)
    if problems:
        raise UserError("\n".join(f"{folder}: {problem}" for problem in problems[:20]))
    print(f"{folder}: {len(manifest.files)} files as the build wrote them, nothing wrong found")


def layout(file: Path, out: Path) -> None:
    """Order the blocks of a document's pages and write the result.

    Raises:
        UserError: when the file is missing or is not such a document.
    """
    from innovator_rl.data.corpus.publish import publish_text
    from innovator_rl.data.documents.reading_order import order_document

    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{str(file)!r} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{str(file)!r} is not JSON ({' '.join(str(error).split())})") from None
    try:
        ordered = order_document(document)
    except UserError as error:
        raise UserError(f"{str(file)!r}: {error}") from None
    except ModuleNotFoundError as error:
        raise UserError(
            f"reading order needs {error.name}, which is not found: pip install 'innovator-rl[data]'"
        ) from None
    try:
        publish_text(out, json.dumps(ordered, ensure_ascii=False, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"--out {str(out)!r} cannot be written ({error.strerror})") from None
