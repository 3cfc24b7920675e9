"""Repair documents: page breaks, prose, formulas; remove what is not part of them; cut long ones into windows.

    steps:
      - {step: repair_pages}
      - {step: repair_text}
      - {step: repair_formulas}
      - {step: remove_irrelevant}

What a step changes is counted by kind in the manifest, and what it removes by reason. A recipe orders them as above: the
repair of prose needs whole sentences, and a repaired formula is protected from what follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.steps.base import MapStep, Result, Transform
from innovator_rl.data.documents.formulas import Parser, RepairedText, Rewrite, repair_formulas
from innovator_rl.data.documents.irrelevant import remove_irrelevant
from innovator_rl.data.documents.model_repair import openai_rewriter
from innovator_rl.data.documents.ocr import repair_text
from innovator_rl.data.documents.pages import repair_page_breaks
from innovator_rl.data.documents.windows import split

BATCH_CHARACTERS = 2**22
"""Text whose formulas are checked by one process of pandoc."""

_SPANS = "innovator_rl.data.documents.spans"


class RepairPages(MapStep):
    """Join what form feeds cut in plain text, and remove running heads and page numbers. PDFs are read that way already."""

    step: Literal["repair_pages"] = "repair_pages"

    uses: ClassVar[tuple[str, ...]] = tuple(
        f"innovator_rl.data.documents.{name}" for name in ("pages", "furniture", "reading_order", "vocabulary")
    )
    packages: ClassVar[tuple[str, ...]] = ("pyarrow", "wordfreq")

    def open(self) -> Transform:
        """Return the repair."""

        def transform(document: Document) -> Result:
            done = repair_page_breaks(document.text)
            return Result(replace(document, text=done.text), changes=done.changes)

        return transform


class RepairText(MapStep):
    """Repair encodings, ligatures, line-end hyphens, symbols and misread words outside formulas, code and tables.

    Attributes:
        encoding: Undo wrong decoding and ligatures.
        hyphens: Join words that a line end cuts.
        symbols: Recover symbols of symbol fonts, accents and degrees.
        words: Replace misread words in English paragraphs.
    """

    step: Literal["repair_text"] = "repair_text"
    encoding: bool = True
    hyphens: bool = True
    symbols: bool = True
    words: bool = True

    uses: ClassVar[tuple[str, ...]] = (
        _SPANS,
        *(f"innovator_rl.data.documents.{name}" for name in ("ocr", "symbols", "vocabulary")),
    )
    packages: ClassVar[tuple[str, ...]] = ("pyarrow", "ftfy", "wordfreq")

    def open(self) -> Transform:
        """Return the repair."""
        rules = {name: getattr(self, name) for name in ("encoding", "hyphens", "symbols", "words")}

        def transform(document: Document) -> Result:
            done = repair_text(document.text, **rules)
            return Result(replace(document, text=done.text), changes=done.changes)

        return transform


class ModelEndpoint(BaseModel):
    """A language model behind an OpenAI-compatible endpoint; the key comes from `OPENAI_API_KEY`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    base_url: str
    name: str = Field(description="Name of the model at the endpoint.")
    timeout: float = Field(60.0, gt=0, description="Seconds for one answer.")


class RepairFormulas(MapStep):
    """Repair LaTeX formulas that do not parse. A formula that parses is never changed.

    Attributes:
        model: Asked about what the rules cannot repair; its answers count only when the formula parses and all else is equal.
    """

    step: Literal["repair_formulas"] = "repair_formulas"
    model: ModelEndpoint | None = None

    uses: ClassVar[tuple[str, ...]] = (
        _SPANS,
        *(f"innovator_rl.data.documents.{name}" for name in ("formulas", "formula_rules", "latex", "model_repair")),
        "innovator_rl.data.corpus.readers.mathml",
    )
    packages: ClassVar[tuple[str, ...]] = ("pyarrow", "lxml", "pypandoc-binary")

    def apply(self, documents: Iterable[Document]) -> Iterator[tuple[Document, Result]]:
        """Yield each document with its formulas repaired, many documents per process of pandoc."""
        parser = Parser()
        model: Rewrite | None = None
        if self.model is not None:
            model = openai_rewriter(self.model.base_url, self.model.name, self.model.timeout)
        for batch in _batches(documents):
            results = repair_formulas([document.text for document in batch], parser, model)
            for document, done in zip(batch, results, strict=True):
                yield document, Result(replace(document, text=done.text), changes=_counts(done))


def _counts(done: RepairedText) -> dict[str, int]:
    return {
        "formulas": done.formulas,
        "formulas repaired by rules": done.rules,
        "formulas repaired by the model": done.model,
        "answers of the model refused": done.refused,
        "formulas that do not parse": done.left,
    }


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class RemoveIrrelevant(MapStep):
    """Remove download stamps, copyright lines, page controls and tables of contents; a document of nothing else is dropped."""

    step: Literal["remove_irrelevant"] = "remove_irrelevant"

    uses: ClassVar[tuple[str, ...]] = (_SPANS, "innovator_rl.data.documents.irrelevant")
    packages: ClassVar[tuple[str, ...]] = ("pyarrow",)

    def open(self) -> Transform:
        """Return the removal."""

        def transform(document: Document) -> Result:
            done = remove_irrelevant(document.text)
            if not done.reasons:
                return Result(document)
            if not done.text.strip():
                return Result(None, "irrelevant matter only")
            changes = {f"{reason} removed": count for reason, count in done.reasons.items()}
            return Result(replace(document, text=done.text), "irrelevant matter", sum(done.reasons.values()), changes)

        return transform


class CutDocuments(MapStep):
    """Cut documents into windows that never cut a formula, a table or code.

    Attributes:
        max_characters: Longest window; only a single longer formula, table or code block makes a longer one.
        overlap: Characters of the text before a window that are repeated at its start, at most.
    """

    step: Literal["cut_documents"] = "cut_documents"
    max_characters: int = Field(100_000, ge=100)
    overlap: int = Field(0, ge=0)

    uses: ClassVar[tuple[str, ...]] = (_SPANS, "innovator_rl.data.documents.windows")
    packages: ClassVar[tuple[str, ...]] = ("pyarrow",)

    def open(self) -> Transform:
        """Return the cut."""

        def transform(document: Document) -> Result:
            if len(document.text) <= self.max_characters:
                return Result(document)
            first, *more = [
                replace(document, id=f"{document.id}@{window.start}", text=window.context + window.body)
                for window in split(document.text, self.max_characters, self.overlap)
            ]
            return Result(first, changes={"cuts": len(more)}, more=tuple(more))

        return transform
