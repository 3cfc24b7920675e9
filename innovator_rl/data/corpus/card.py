"""Write the card of a built corpus: its counts, its steps and three example rows, all taken from the build."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from innovator_rl.data.corpus.content import hash_file
from innovator_rl.data.corpus.document import Document, read_part
from innovator_rl.data.corpus.manifest import CorpusManifest, FileEntry
from innovator_rl.data.corpus.publish import publish_text

CARD = "README.md"
EXAMPLES = 3
EXAMPLE_CHARS = 600


def write_card(folder: Path, manifest: CorpusManifest) -> None:
    """Write `README.md` next to the manifest and enter it there."""
    path = folder / CARD
    publish_text(path, render_card(folder, manifest))
    manifest.files[CARD] = FileEntry(bytes=path.stat().st_size, sha256=hash_file(path))


def render_card(folder: Path, manifest: CorpusManifest) -> str:
    """Return the card as Markdown. It has no times in it, so that equal builds have equal cards."""
    documents = sum(source.documents for source in manifest.sources)
    size = sum(source.bytes for source in manifest.sources)
    blocks = [
        f"# {manifest.title or manifest.name}",
        f"{documents:,} documents, {size / 1e6:,.1f} MB of text. License: {manifest.license or 'see the sources'}.",
        "## Sources",
        _table(
            ("source", "discipline", "language", "license", "read", "documents", "MB"),
            [
                (
                    s.name,
                    s.discipline,
                    s.language,
                    s.license,
                    f"{s.documents_read:,}",
                    f"{s.documents:,}",
                    f"{s.bytes / 1e6:.2f}",
                )
                for s in manifest.sources
            ],
        ),
        "## Steps",
        _table(
            ("stage", "documents in", "documents out", "MB in", "MB out", "dropped by reason", "changed"),
            _stages(manifest),
        ),
    ]
    facts = [
        f"- `{stage.name}`: " + ", ".join(f"{name} {value}" for name, value in stage.facts.items())
        for stage in manifest.stages
        if stage.facts
    ]
    if facts:
        blocks.append("\n".join(facts))
    if manifest.errors:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(manifest.error_reasons.items()))
        blocks.append(f"{manifest.errors:,} input rows could not be read ({reasons}); `errors.jsonl` lists them.")
    if manifest.tokens:
        totals = manifest.tokens.by_discipline()
        blocks += [
            "## Tokens",
            f"{sum(totals.values()):,} tokens of the tokenizer `{manifest.tokens.tokenizer}`.",
            _table(("discipline", "tokens"), [(name or "none", f"{count:,}") for name, count in totals.items()]),
        ]
    blocks.append("## Examples")
    for document in _examples(folder, manifest):
        text = document.text.strip()
        shown = text if len(text) <= EXAMPLE_CHARS else text[:EXAMPLE_CHARS].rstrip() + " …"
        quoted = "\n".join("    " + line for line in shown.splitlines())
        blocks.append(
            f"`{document.id}` ({document.discipline or 'no discipline'}, {len(text):,} characters)\n\n{quoted}"
        )
    return "\n\n".join(blocks) + "\n"


def _stages(manifest: CorpusManifest) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for stage in manifest.stages:
        tally = stage.tally
        dropped = [
            f"{reason}: "
            + " and ".join(
                part
                for part in (
                    f"{count.documents:,} documents" if count.documents or not count.passages else "",
                    f"{count.passages:,} passages" if count.passages else "",
                )
                if part
            )
            for reason, count in sorted(tally.dropped.items())
        ]
        figures = (f"{tally.documents_in:,}", f"{tally.documents_out:,}", f"{tally.bytes_in / 1e6:.2f}")
        changed = "; ".join(f"{kind}: {count:,}" for kind, count in sorted(tally.changed.items()))
        rows.append((stage.name, *figures, f"{tally.bytes_out / 1e6:.2f}", "; ".join(dropped), changed))
    return rows


def _examples(folder: Path, manifest: CorpusManifest) -> list[Document]:
    """Return the first documents of parts spread over the corpus."""
    paths = manifest.documents
    if not paths:
        return []
    step = max(1, len(paths) // EXAMPLES)
    found: list[Document] = []
    for name in [*paths[::step], *paths]:
        wanted = min(EXAMPLES - len(found), max(1, EXAMPLES // len(paths)))
        known = {document.id for document in found}
        found += list(islice((d for d in read_part(folder / name) if d.id not in known), wanted))
        if len(found) >= EXAMPLES:
            break
    return found


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
