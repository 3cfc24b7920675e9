"""Distill an annotator into the small classifier, measure it on held-out sources, and write it with its card.

    report = distill(Path("data/quality-sample"), hold_out=["astronomy", "d2l-late"], out=Path("models/quality"), gate=0.85)

The corpus has passages that `annotate_quality` graded and that `add_damaged_copies` may have damaged. A passage is good where
the annotator keeps it and it is not a damaged copy. Held-out sources train nothing. Below the gate in a language nothing is
written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from innovator_rl.data.corpus.content import package_versions
from innovator_rl.data.corpus.document import read_part
from innovator_rl.data.corpus.manifest import CorpusManifest, load_manifest
from innovator_rl.data.quality.classifier import QualityModel, fit_model, save_model
from innovator_rl.data.quality.damage import is_chinese
from innovator_rl.data.quality.distill_card import write_card
from innovator_rl.data.quality.grading import load_gold, load_rubric
from innovator_rl.errors import UserError

GATE = 0.85
"""Required accuracy on held-out sources, in each language."""

MOST = 20_000
"""Passages on each side, at most; of more, evenly spaced ones are taken."""

BINS = 10


@dataclass
class Passages:
    """Annotated passages, column by column."""

    texts: list[str] = field(default_factory=list)
    good: list[bool] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)

    def add(self, text: str, good: bool, kind: str, source: str, group: str) -> None:
        """Append one passage."""
        self.texts.append(text)
        self.good.append(good)
        self.kinds.append(kind)
        self.sources.append(source)
        self.groups.append(group)
        self.languages.append("")

    def choose(self, places: Sequence[int]) -> Passages:
        """Return some of the passages."""
        columns = {name: [values[place] for place in places] for name, values in vars(self).items()}
        return Passages(**columns)

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval (Wilson)."""

    right: int
    total: int

    @property
    def value(self) -> float:
        """Return the share."""
        return self.right / self.total if self.total else 0.0

    def interval(self) -> tuple[float, float]:
        """Return the bounds of the interval."""
        if not self.total:
            return 0.0, 1.0
        z, n, p = 1.96, self.total, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    def as_dict(self) -> dict[str, float]:
        """Return plain figures."""
        low, high = self.interval()
        return {"accuracy": round(self.value, 4), "low": round(low, 4), "high": round(high, 4), "passages": self.total}


def distill(
    corpus: Path, hold_out: Sequence[str], out: Path, gate: float = GATE, seed: int = 0, most: int = MOST
) -> dict[str, Any]:
    """Train the classifier, measure it and write it.

    Args:
        corpus: A built corpus whose documents `annotate_quality` graded.
        hold_out: Names of sources that measure and do not train.
        out: Folder of the model.
        gate: Required accuracy on held-out sources in each language.
        seed: Of the training.
        most: Passages that train and passages that measure, at most.

    Returns:
        The figures, as they stand in `model.json`.

    Raises:
        UserError: when the corpus has no annotations, a source is unknown, a language has no held-out passages, or a language is
            below the gate.
    """
    manifest = load_manifest(corpus)
    known = [source.name for source in manifest.sources]
    for name in hold_out:
        if name not in known:
            raise UserError(f"--hold-out {name!r} is unknown; expected one of {', '.join(known)}")
    passages = read_passages(corpus, manifest)
    held = [name in hold_out for name in passages.sources]
    train = passages.choose(_spaced([i for i, is_held in enumerate(held) if not is_held], most))
    test = passages.choose(_spaced([i for i, is_held in enumerate(held) if is_held], most))
    if not len(test) or not len(train):
        raise UserError(
            f"--hold-out must leave passages on both sides, found {len(train)} to train and {len(test)} held out"
        )
    missing = sorted(set(train.languages) - set(test.languages))
    if missing:
        raise UserError(f"--hold-out must name a source in every language, found none in {', '.join(missing)}")
    started = time.monotonic()
    model = QualityModel(fit_model(train.texts, np.array(train.good), train.groups, seed), {})
    trained = time.monotonic() - started
    card = measure_model(model, test) | {
        "trained_on": {
            "passages": len(train),
            "good": sum(train.good),
            "sources": sorted(set(train.sources)),
            "seed": seed,
        },
        "held_out_sources": sorted(set(test.sources)),
        "seconds_of_training": round(trained, 1),
        "gate": gate,
        "threshold": 0.5,
        "annotator": _annotator(manifest),
        "corpus": {"name": manifest.name, "recipe_sha256": manifest.recipe_sha256, "license": manifest.license},
        "versions": package_versions(("numpy", "scikit-learn", "wordfreq")),
    }
    for language, figures in card["languages"].items():
        if figures["accuracy"] < gate:
            raise UserError(
                f"the classifier's accuracy on held-out sources is {figures['accuracy']:.1%} for {language}, the gate must be reached: "
                f"{gate:.1%}; add passages of that language or lower --gate"
            )
    save_model(QualityModel(model.arrays, card), out)
    write_card(out, card)
    return card


def _spaced(places: list[int], most: int) -> list[int]:
    if len(places) <= most:
        return places
    return [places[number * len(places) // most] for number in range(most)]


def read_passages(corpus: Path, manifest: CorpusManifest) -> Passages:
    """Read annotated passages.

    Raises:
        UserError: when there are none.
    """
    passages = Passages()
    for name in manifest.documents:
        for document in read_part(corpus / name):
            quality, damage = document.info.get("quality"), document.info.get("damage")
            if not isinstance(quality, dict):
                continue
            keep = bool(quality.get("keep"))
            kind = f"damaged: {damage}" if damage else "kept by the annotator" if keep else "dropped by the annotator"
            # A damaged copy and the other windows of a file belong to one origin.
            passages.add(
                document.text, keep and not damage, kind, document.source, f"{document.source}/{document.file}"
            )
    if not len(passages):
        raise UserError(
            f"corpus {str(corpus)!r} has no annotated documents: its recipe must have the step annotate_quality"
        )
    passages.languages = ["zh" if is_chinese(text) else "en" for text in passages.texts]
    return passages


def measure_model(model: QualityModel, test: Passages) -> dict[str, Any]:
    """Return accuracies by language and kind, calibration, throughput, and the accuracy on the held-out gold passages."""
    model.predict(test.texts[:1])  # loads the vocabulary
    started = time.process_time()
    found = model.predict(test.texts)
    seconds = max(1e-9, time.process_time() - started)
    right = (found >= 0.5) == np.array(test.good)
    size = sum(len(text[:4000].encode()) for text in test.texts)
    gold = [passage for passage in load_gold() if passage.split == "held_out"]
    rubric = load_rubric()
    wanted = np.array([rubric.keeps(passage.levels) for passage in gold])
    gold_right = (model.predict([passage.text for passage in gold]) >= 0.5) == wanted
    languages = sorted(set(test.languages))
    return {
        "languages": {language: _share(right, test.languages, language).as_dict() | _majority(test, language) for language in languages},
        "kinds": {
            f"{language} {kind}": _share(right, list(zip(test.languages, test.kinds, strict=True)), (language, kind)).as_dict()
            for language in languages
            for kind in sorted(set(test.kinds))
            if (language, kind) in set(zip(test.languages, test.kinds, strict=True))
        },
        "gold": {language: _share(gold_right, [p.language for p in gold], language).as_dict() for language in ("en", "zh")},
        "calibration": {language: _calibration(found, test, language) for language in languages},
        "megabytes_per_second": round(size / seconds / 1e6, 3),
    }  # fmt: skip


def _share(right: NDArray[np.bool_], keys: Sequence[object], wanted: object) -> Share:
    chosen = [bool(r) for r, key in zip(right, keys, strict=True) if key == wanted]
    return Share(sum(chosen), len(chosen))


def _majority(test: Passages, language: str) -> dict[str, float]:
    good = [g for g, spoken in zip(test.good, test.languages, strict=True) if spoken == language]
    share = sum(good) / len(good)
    return {"majority": round(max(share, 1 - share), 4)}


def _calibration(found: NDArray[np.float64], test: Passages, language: str) -> dict[str, Any]:
    """Return per bin of probability the mean probability, the share of good ones and their number, and the mean gap."""
    chosen = np.array(test.languages) == language
    probability, good = found[chosen], np.array(test.good, float)[chosen]
    places = np.minimum((probability * BINS).astype(int), BINS - 1)
    rows = []
    for number in range(BINS):
        inside = places == number
        if inside.any():
            rows.append(
                [round(float(probability[inside].mean()), 4), round(float(good[inside].mean()), 4), int(inside.sum())]
            )
    gap = sum(abs(mean - share) * count for mean, share, count in rows) / max(1, len(good))
    return {"bins": rows, "expected_error": round(gap, 4)}


def _annotator(manifest: CorpusManifest) -> dict[str, object]:
    for stage in manifest.stages:
        if stage.name == "annotate_quality":
            return dict(stage.facts)
    return {}
