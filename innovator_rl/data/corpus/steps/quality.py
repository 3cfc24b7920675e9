"""Grade documents by a rubric or by a trained classifier, and make damaged copies to train one.

    steps:
      - {step: annotate_quality, agreement: 0.85, drop: true}   # measured signals; with `endpoint`, a language model
      - {step: grade_quality, model: models/quality}            # the classifier of `innovator data distill`

An annotator must agree with the gold passages before it grades a document. The manifest and the card state the agreement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.steps.base import GlobalStep, MapStep, Result, Transform, decision_name
from innovator_rl.data.quality.annotator import REQUIRED, Annotation, AnnotatorSettings, annotate, check_agreement
from innovator_rl.data.quality.classifier import ARRAYS, MODEL, QualityModel, load_model
from innovator_rl.data.quality.damage import KINDS, damage
from innovator_rl.data.quality.grading import DIMENSIONS, Rubric, load_rubric
from innovator_rl.endpoints import EndpointConfig
from innovator_rl.errors import UserError

BATCH = 256
"""Documents that are graded together."""

REPLIES = "replies.sqlite"
INFO = "quality"
DAMAGE = "damage"
_SIGNALS = (
    *(f"innovator_rl.data.quality.{name}" for name in ("grading", "signals")),
    *(f"innovator_rl.data.documents.{name}" for name in ("irrelevant", "latex", "spans", "vocabulary")),
)


class AnnotateQuality(GlobalStep):
    """Grade each document by the rubric; the levels go into its `info`. Fails below the required agreement with the gold.

    Attributes:
        endpoint: A language model that grades; without one the measured signals do, and the manifest says so.
        agreement: Required share of gold passages with the same decision.
        drop: Drop documents that the rubric does not keep.
        unanswered: Share of a part's documents that may stay without a valid answer.
    """

    step: Literal["annotate_quality"] = "annotate_quality"
    endpoint: EndpointConfig | None = None
    prompt: str = ""
    rubric: str = ""
    gold: str = ""
    agreement: float = Field(REQUIRED, ge=0, le=1)
    max_characters: int = Field(4000, ge=200)
    drop: bool = False
    unanswered: float = Field(0.02, ge=0, le=1)

    uses: ClassVar[tuple[str, ...]] = (*_SIGNALS, "innovator_rl.data.quality.annotator")
    packages: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow", "wordfreq")

    def annotator(self) -> AnnotatorSettings:
        """Return who annotates."""
        return AnnotatorSettings(**{name: getattr(self, name) for name in AnnotatorSettings.model_fields})

    def identity(self) -> dict[str, Any]:
        """Return what decides the annotations: the content of files, the model's name, and no addresses."""
        return {"step": self.step, "drop": self.drop, **self.annotator().fingerprint()}

    def scan(self, documents: Iterable[Document], folder: Path) -> None:
        """Need nothing of the documents."""

    def decide(self, scans: Sequence[Path], folder: Path) -> dict[str, int | float | str]:
        """Let the annotator grade the gold passages.

        Raises:
            UserError: below the required agreement, with the passages on which it decides otherwise.
        """
        settings = self.annotator()
        agreement = check_agreement(settings, folder.parent / REPLIES)
        for number in range(len(scans)):
            np.save(folder / decision_name(number), np.array([agreement.kept]))
        return {"annotator": settings.name(), "required agreement": self.agreement, **agreement.facts()}

    def apply(self, documents: Iterable[Document], decision: Path) -> Iterator[tuple[Document, Result]]:
        """Yield each document with its levels."""
        settings = self.annotator()
        rubric = load_rubric(settings.files()["rubric"])
        seen = failed = 0
        for batch in batches(documents):
            found = annotate(settings, [document.text for document in batch], decision.parents[1] / REPLIES)
            seen += len(batch)
            failed += sum(annotation.levels is None for annotation in found)
            if failed > max(2, self.unanswered * max(seen, BATCH)):
                example = next(a for a in found if a.levels is None)
                raise UserError(
                    f"step {self.step!r}: {failed} of {seen} documents have no valid answer of {settings.name()} "
                    f"({example.reason}: {example.detail}), unanswered allows a share of {self.unanswered:g}"
                )
            for document, annotation in zip(batch, found, strict=True):
                yield document, self._result(document, annotation, rubric, settings.name())

    def _result(self, document: Document, annotation: Annotation, rubric: Rubric, name: str) -> Result:
        levels = annotation.levels
        if levels is None:
            return Result(document, changes={f"without an answer: {annotation.reason}": 1})
        keep = rubric.keeps(levels)
        if self.drop and not keep:
            lowest = min(reversed(DIMENSIONS), key=lambda dimension: getattr(levels, dimension))
            return Result(None, f"low {lowest}")
        quality = {"levels": list(levels.values()), "keep": keep, "by": name}
        changes = {"graded to keep" if keep else "graded to drop": 1}
        return Result(replace(document, info={**document.info, INFO: quality}), changes=changes)


class GradeQuality(MapStep):
    """Drop documents that the trained classifier does not find good; the probability goes into `info`.

    Attributes:
        model: Folder that `innovator data distill` wrote.
        threshold: Probability from which a document stays.
        drop: Without it documents are graded only.
    """

    step: Literal["grade_quality"] = "grade_quality"
    model: str
    threshold: float = Field(0.5, ge=0, le=1)
    drop: bool = True

    uses: ClassVar[tuple[str, ...]] = (
        *_SIGNALS,
        *(f"innovator_rl.data.quality.{name}" for name in ("classifier", "damage", "trees")),
    )
    packages: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow", "scikit-learn", "wordfreq")

    def identity(self) -> dict[str, Any]:
        """Return the settings; the model counts by its content."""
        return {**self.settings(), "model": ""}

    def side_files(self) -> Sequence[Path]:
        """Return the files of the model."""
        files = [Path(self.model) / name for name in (MODEL, ARRAYS)]
        for path in files:
            if not path.is_file():
                raise UserError(
                    f"step {self.step!r}: model {self.model!r}: {path.name} is not found; train one with `innovator data distill`"
                )
        return files

    def apply(self, documents: Iterable[Document]) -> Iterator[tuple[Document, Result]]:
        """Yield each document, graded, many at a time."""
        model: QualityModel = load_model(Path(self.model))
        for batch in batches(documents):
            for document, probability in zip(batch, model.predict([d.text for d in batch]), strict=True):
                if self.drop and probability < self.threshold:
                    yield document, Result(None, "low quality")
                else:
                    info = {**document.info, "quality_probability": round(float(probability), 4)}
                    yield document, Result(replace(document, info=info))


class AddDamagedCopies(MapStep):
    """Add damaged copies of documents, of one kind after the other, to train a classifier; `info` names the damage.

    Attributes:
        every: One of so many documents gets a copy of each of `kinds_each` kinds.
    """

    step: Literal["add_damaged_copies"] = "add_damaged_copies"
    every: int = Field(1, ge=1)
    kinds_each: int = Field(1, ge=1, le=len(KINDS))
    seed: int = 0

    uses: ClassVar[tuple[str, ...]] = ("innovator_rl.data.quality.damage", "innovator_rl.data.documents.spans")
    packages: ClassVar[tuple[str, ...]] = ("pyarrow",)

    def open(self) -> Transform:
        """Return the function that adds the copies."""
        kinds = list(KINDS)

        def transform(document: Document) -> Result:
            # The text decides, not the place, so that parts may be cut in any way.
            place = int.from_bytes(document.text[:400].encode("utf-8", "replace"), "big") % 1_000_003 + self.seed
            if place % self.every:
                return Result(document)
            chosen = [kinds[(place // self.every + step) % len(kinds)] for step in range(self.kinds_each)]
            copies = []
            for kind in chosen:
                text = damage(document.text, kind, self.seed)
                if text != document.text:
                    info = {**document.info, DAMAGE: kind}
                    copies.append(replace(document, id=f"{document.id}+{kind.replace(' ', '-')}", text=text, info=info))
            return Result(document, changes={"damaged copies": len(copies)}, more=tuple(copies))

        return transform


def batches(documents: Iterable[Document], size: int = BATCH) -> Iterator[list[Document]]:
    """Yield lists of documents in order."""
    waiting = iter(documents)
    while batch := list(islice(waiting, size)):
        yield batch
