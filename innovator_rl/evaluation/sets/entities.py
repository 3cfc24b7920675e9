"""Score lists of entities as SciAssess does: F1 after the best matching of embeddings of sentences.

The benchmark embeds each entity with all-mpnet-base-v2 and assigns entities of answer and reference to each other. The
model is not a dependency: its folder is `models/all-mpnet-base-v2` below the data folder, and without it only the exact
F1 of `sciassess.py` is reported.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from innovator_rl.evaluation.questions import Question
from innovator_rl.evaluation.task import MetricResult, row_metric

MODEL = "models/all-mpnet-base-v2"
SPARE, SPARE_VALUE = 15, 0.9  # places next to the entities in the benchmark's matrix, and their similarity to entities
Entity = tuple[str, ...]
Embed = Callable[[Sequence[str]], np.ndarray]
"""Returns an array of one row per string, each of length 1."""


def official_entities(text: str, parts: int) -> list[Entity]:
    """Return the entities that the benchmark reads; a part with a comma inside is lost, as there.

    Args:
        text: An answer or a reference.
        parts: Parts of an entity: 1 for names, 2 for pairs, 3 for triples.
    """
    pattern = r"\(\s*" + r"\s*,\s*".join([r"([^,]+)"] * parts) + r"\s*\)"
    return [(match,) if isinstance(match, str) else tuple(match) for match in re.findall(pattern, text)]


def matched(wanted: Sequence[Entity], given: Sequence[Entity], embed: Embed) -> int:
    """Return how many entities the benchmark matches: those assigned to each other, counted once per spelling.

    Its matrix has spare places of similarity 0.9, which are 1 to each other, so a pair is matched from 0.8 on.
    """
    from scipy.optimize import linear_sum_assignment

    if not wanted or not given:
        return 0
    similarities = np.ones((len(wanted) + SPARE, len(given) + SPARE))
    similarities[: len(wanted), len(given) :] = SPARE_VALUE
    similarities[len(wanted) :, : len(given)] = SPARE_VALUE
    by_part = [
        embed([entity[part] for entity in wanted]) @ embed([entity[part] for entity in given]).T
        for part in range(len(wanted[0]))
    ]
    similarities[: len(wanted), : len(given)] = np.min(by_part, axis=0)
    places = zip(*linear_sum_assignment(similarities, maximize=True), strict=True)
    return len({given[j] for i, j in places if i < len(wanted) and j < len(given)})


def official_f1(rows: Sequence[tuple[Question, str]], parts: int, embed: Embed) -> list[MetricResult]:
    """Return the mean F1 over rows.

    Args:
        rows: Questions and responses.
        parts: Parts of an entity.
        embed: Embeds strings.
    """
    values = []
    for question, text in rows:
        wanted, given = official_entities(question.answer, parts), official_entities(text, parts)
        found = matched(wanted, given, embed)
        values.append(2 * found / (len(wanted) + len(given)) if found else 0.0)
    return [row_metric("official_f1", (question.id for question, _ in rows), values)]


def embedder(root: Path) -> Embed | None:
    """Return what embeds strings with the benchmark's model; None where its folder is not below the data folder."""
    folder = root / MODEL
    return functools.partial(_embed, folder) if (folder / "config.json").is_file() else None


def _embed(folder: Path, texts: Sequence[str]) -> np.ndarray:
    import torch

    tokenizer, model = _load(folder)
    encoded = tokenizer(list(texts), padding=True, truncation=True, max_length=384, return_tensors="pt")
    with torch.inference_mode():
        states = model(**encoded).last_hidden_state
    mask = encoded["attention_mask"].unsqueeze(-1)
    means = (states * mask).sum(dim=1) / mask.sum(dim=1)
    return np.asarray(torch.nn.functional.normalize(means, dim=1))


@functools.cache
def _load(folder: Path) -> tuple[Any, Any]:
    import transformers

    hf: Any = transformers  # its classes carry no types
    return hf.AutoTokenizer.from_pretrained(folder), hf.AutoModel.from_pretrained(folder).eval()
