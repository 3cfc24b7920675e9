"""Classify passages as good or not by measured signals and hashed character n-grams, in English and Chinese.

    model = load_model(Path("models/quality"))
    model.predict(["a passage", "另一段文字"])     # probabilities of being good

The n-grams (TF-IDF, logistic regression) give one score, which joins the signals of `signals.py` in boosted trees. A model is
`model.json` with its figures and the SHA-256 of `model.npz`, which has plain arrays, so that opening one runs no code of its maker.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from innovator_rl.data.corpus.content import hash_file
from innovator_rl.data.corpus.optional import require
from innovator_rl.data.quality.damage import is_chinese
from innovator_rl.data.quality.signals import NAMES, measure
from innovator_rl.data.quality.trees import Arrays, evaluate_trees, export_trees
from innovator_rl.errors import UserError

MODEL = "model.json"
ARRAYS = "model.npz"
FORMAT = 1
HASHED = 2**16
"""Buckets of the n-grams."""

LONGEST = 4000
"""Characters of a document that are read: its beginning, as the annotator saw it."""

FOLDS = 4
FEATURES = (*NAMES, "Chinese", "n-grams")


@dataclass(frozen=True)
class QualityModel:
    """A trained classifier.

    Attributes:
        arrays: The trees, and for the n-grams `idf`, `weights` and `bias`.
        card: What `model.json` states: training, figures, SHA-256.
    """

    arrays: Arrays
    card: dict[str, Any]

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of being good for each text, float64 [number of passages]."""
        if not texts:
            return np.zeros(0)
        shown = [text[:LONGEST] for text in texts]
        grams = count_ngrams(shown)
        scores = score_ngrams(grams, self.arrays["idf"], self.arrays["weights"], float(self.arrays["bias"]))
        rows = np.column_stack([signal_rows(shown), scores])
        return _sigmoid(evaluate_trees(self.arrays, rows))

    @cached_property
    def threshold(self) -> float:
        """Return the probability from which a text counts as good."""
        return float(self.card.get("threshold", 0.5))


def signal_rows(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the signals of each text and whether it is Chinese, float64 [passages, signals + 1]."""
    rows = [[*measure(text).values(), float(is_chinese(text))] for text in texts]
    return np.array(rows, np.float64).reshape(len(texts), len(NAMES) + 1)


def count_ngrams(texts: Sequence[str]) -> Any:
    """Return the hashed counts of runs of two to four characters within words, sparse [passages, HASHED]."""
    text_module = require("sklearn.feature_extraction.text", "scikit-learn", "the quality classifier")
    vectorizer = text_module.HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), n_features=HASHED, alternate_sign=False, norm=None
    )
    return vectorizer.transform(texts)


def _weighted(counts: Any, idf: NDArray[np.float32]) -> Any:
    """Return damped counts times IDF, each row of length 1."""
    rows = counts.copy()
    rows.data = (1.0 + np.log(rows.data)) * idf[rows.indices]
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    lengths[lengths == 0] = 1.0
    rows.data = rows.data / np.repeat(lengths, np.diff(rows.indptr))
    return rows


def score_ngrams(
    counts: Any, idf: NDArray[np.float32], weights: NDArray[np.float32], bias: float
) -> NDArray[np.float64]:
    """Return the log-odds that the n-grams alone give, float64 [passages]."""
    scores: NDArray[np.float64] = np.asarray(_weighted(counts, idf) @ weights.astype(np.float64)) + bias
    return scores


def fit_model(passages: Sequence[str], good: NDArray[np.bool_], groups: Sequence[str], seed: int = 0) -> Arrays:
    """Train a classifier.

    Args:
        passages: Their beginnings count.
        good: Whether each is good.
        groups: The origin of each. The n-gram score of a passage, from which the trees learn, comes from a regression that has
            seen nothing of its group: otherwise the trees would trust it far too much.
        seed: Of the regression and the trees.

    Returns:
        The arrays of a `QualityModel`.

    Raises:
        UserError: when one of the two classes is missing or there are fewer than two groups.
    """
    linear = require("sklearn.linear_model", "scikit-learn", "training a quality classifier")
    ensemble = require("sklearn.ensemble", "scikit-learn", "training a quality classifier")
    selection = require("sklearn.model_selection", "scikit-learn", "training a quality classifier")
    if good.all() or not good.any():
        raise UserError(f"training needs good and bad passages, found {int(good.sum())} good of {len(good)}")
    if len(set(groups)) < 2:
        raise UserError("training needs passages of at least two origins, found one")
    shown = [text[:LONGEST] for text in passages]
    counts = count_ngrams(shown)

    def regress(places: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
        seen = np.asarray((counts[places] > 0).sum(axis=0)).ravel()
        idf = (np.log((1 + len(places)) / (1 + seen)) + 1).astype(np.float32)
        regression = linear.LogisticRegression(C=4.0, max_iter=300, class_weight="balanced", random_state=seed)
        regression.fit(_weighted(counts[places], idf), good[places])
        return idf, regression.coef_[0].astype(np.float32), float(regression.intercept_[0])

    scores = np.zeros(len(passages))
    folds = selection.GroupKFold(min(FOLDS, len(set(groups))))
    for inside, outside in folds.split(shown, good, list(groups)):
        scores[outside] = score_ngrams(counts[outside], *regress(inside))
    rows = np.column_stack([signal_rows(shown), scores])
    trees = ensemble.GradientBoostingClassifier(
        n_estimators=250, learning_rate=0.08, max_depth=4, min_samples_leaf=10, subsample=0.7, random_state=seed
    )
    trees.fit(rows, good)
    idf, weights, bias = regress(np.arange(len(passages)))
    return {**export_trees(trees, rows.shape[1]), "idf": idf, "weights": weights, "bias": np.array(bias)}


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(values, -50, 50)))
    return result


def save_model(model: QualityModel, folder: Path) -> str:
    """Write a model and return the SHA-256 of its arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    # One fixed time in the archive, so that equal arrays are equal files.
    with zipfile.ZipFile(folder / ARRAYS, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(model.arrays):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                np.lib.format.write_array(file, np.asarray(model.arrays[name]), allow_pickle=False)  # type: ignore[no-untyped-call]
    digest = hash_file(folder / ARRAYS)
    card = {"format": FORMAT, "sha256": digest, "features": list(FEATURES), **model.card}
    (folder / MODEL).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return digest


def load_model(folder: Path) -> QualityModel:
    """Read a model.

    Raises:
        UserError: when a file is missing or damaged, or the model is of another format.
    """
    try:
        card = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        digest = hash_file(folder / ARRAYS)
    except (OSError, ValueError) as error:
        raise UserError(
            f"quality model {str(folder)!r} cannot be read ({error}): expected {MODEL} and {ARRAYS}"
        ) from None
    if not isinstance(card, dict) or card.get("format") != FORMAT or card.get("features") != list(FEATURES):
        raise UserError(
            f"quality model {str(folder)!r} is of another format: train it again with `innovator data distill`"
        )
    if card.get("sha256") != digest:
        raise UserError(
            f"quality model {str(folder)!r}: {ARRAYS} has another content than {MODEL} states: copy it again"
        )
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        return QualityModel({name: arrays[name] for name in arrays.files}, card)
