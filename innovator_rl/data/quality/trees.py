"""Evaluate boosted regression trees that are stored as plain arrays.

`export_trees` turns a fitted `sklearn.ensemble.GradientBoostingClassifier` into arrays, and `evaluate_trees` gives the same
log-odds from them. Nothing has to be unpickled to use a model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def export_trees(model: Any, features: int) -> Arrays:
    """Return the trees of a fitted classifier of two classes as arrays, [trees, nodes] each.

    Args:
        model: The classifier.
        features: Length of a feature vector.
    """
    trees = [row[0].tree_ for row in model.estimators_]
    nodes = max(tree.node_count for tree in trees)
    arrays: Arrays = {
        "left": np.full((len(trees), nodes), -1, np.int16),
        "right": np.full((len(trees), nodes), -1, np.int16),
        "feature": np.zeros((len(trees), nodes), np.int16),
        "bound": np.zeros((len(trees), nodes), np.float64),
        "value": np.zeros((len(trees), nodes), np.float64),
    }
    for number, tree in enumerate(trees):
        place = slice(0, tree.node_count)
        arrays["left"][number, place] = tree.children_left
        arrays["right"][number, place] = tree.children_right
        arrays["feature"][number, place] = np.maximum(tree.feature, 0)
        arrays["bound"][number, place] = tree.threshold
        arrays["value"][number, place] = tree.value[:, 0, 0] * model.learning_rate
    # The log-odds before the first tree: what is left when the trees are taken from the model's own result.
    zero = np.zeros((1, features))
    arrays["start"] = np.array(float(model.decision_function(zero)[0]) - float(_sum(arrays, zero)[0]))
    return arrays


def evaluate_trees(arrays: Arrays, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log-odds of each row.

    Args:
        arrays: What `export_trees` returned.
        rows: Feature vectors, [rows, features].
    """
    result: NDArray[np.float64] = _sum(arrays, rows) + float(arrays["start"])
    return result


def _sum(arrays: Arrays, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    short = rows.astype(np.float32)  # the type in which the trees were grown
    total = np.zeros(len(rows))
    every = np.arange(len(rows))
    for left, right, feature, bound, value in zip(
        *(arrays[name] for name in ("left", "right", "feature", "bound", "value")), strict=True
    ):
        node: NDArray[Any] = np.zeros(len(rows), np.int64)
        while (inner := left[node] >= 0).any():
            goes_left = short[every, feature[node]] <= bound[node]
            node = np.where(inner, np.where(goes_left, left[node], right[node]), node)
        total += value[node]
    return total
