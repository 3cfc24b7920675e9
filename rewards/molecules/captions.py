"""Mol2Caption: how close a description of a molecule is to the reference description.

The similarity is the mean of BLEU-2, BLEU-4, ROUGE-L and an exact-match METEOR over words (Papineni 2002, Lin 2004,
Banerjee and Lavie 2005; METEOR here without WordNet). A caption that says only what ChEBI says of every molecule
scores 0.2 to 0.4 on all of these, more than many models do, so it must earn nothing: words that occur in that
boiler-plate are worth little (`weights`), and the similarity of the best constant caption to this very reference is
subtracted and the rest rescaled to 0..1. `correct` means a value of at least `THRESHOLD`: a convention for dynamic
sampling and pass@k, not a claim about chemistry.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter

from innovator_rl.scoring import Score, wrong
from rewards.extraction import final_part, find_answer

THRESHOLD = 0.6
MAX_CHARS = 6_000
MAX_WORDS = 600
MIN_WORDS = 3
_LABEL = re.compile(r"^(?:the\s+)?(?:final\s+)?(?:answer|caption|description)\s*(?:is)?\s*[:：]\s*", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9]+(?:[-,'()\[\]+][A-Za-z0-9]+)*|[^\sA-Za-z0-9]")

CONSTANTS = (
    "The molecule is a natural product found in plants with data available. It has a role as a metabolite.",
    "The molecule is a member of the class of compounds. It has a role as a metabolite. It derives from a hydride of "
    "an alkane. It is a conjugate base of an acid and it is a conjugate acid of a base.",
    "The molecule is an organic compound that is a member of the class of compounds carrying a hydroxy group and a "
    "methyl group substituted at position 1, 2 and 3. It has a role as a plant metabolite. It is functionally related "
    "to an acid.",
)


def words(text: str) -> list[str]:
    """Lower-case words and marks, at most `MAX_WORDS`; a chemical name such as 17-beta-hydroxy is one word."""
    return _WORD.findall(text[:MAX_CHARS].lower())[:MAX_WORDS]


_BOILERPLATE = frozenset(
    words(
        "the molecule is a an of it has role as member class in with by and that to from at which been derives hydride "
        "conjugate acid base compound organic metabolite plant natural product found data available functionally "
        "related position positions substituted group groups carrying having resulting obtained replaced . , ( ) ; : -"
    )
)
RARE_WEIGHT, COMMON_WEIGHT = 1.0, 0.15


def weights(tokens: list[str]) -> float:
    """The total weight of words: those of the boiler-plate count for little."""
    return sum(COMMON_WEIGHT if token in _BOILERPLATE else RARE_WEIGHT for token in tokens)


def bleu(said: list[str], gold: list[str], order: int) -> float:
    """Sentence BLEU up to `order`-grams with weighted n-grams, add-one smoothing above unigrams, and the brevity
    penalty.
    """
    total = 0.0
    for n in range(1, order + 1):
        mine, theirs = (Counter(tuple(t[i : i + n]) for i in range(len(t) - n + 1)) for t in (said, gold))
        matched = sum(min(count, theirs[gram]) * weights(list(gram)) / n for gram, count in mine.items())
        offered = sum(count * weights(list(gram)) / n for gram, count in mine.items())
        smooth = 1.0 if n > 1 else 0.0
        if matched + smooth <= 0 or offered + smooth <= 0:
            return 0.0
        total += math.log((matched + smooth) / (offered + smooth))
    return math.exp(total / order) * min(1.0, math.exp(1 - len(gold) / max(len(said), 1)))


def rouge_l(said: list[str], gold: list[str]) -> float:
    """Weighted F1 of the longest common subsequence."""
    row = [0.0] * (len(gold) + 1)
    for token in said:
        weight = weights([token])
        diagonal = 0.0
        for j, other in enumerate(gold, 1):
            diagonal, row[j] = row[j], diagonal + weight if token == other else max(row[j], row[j - 1])
    return _f(row[-1], weights(said), weights(gold), 1.0)


def meteor_lite(said: list[str], gold: list[str]) -> float:
    """Recall-heavy unigram F with METEOR's fragmentation penalty; exact matches only, aligned greedily from the
    left.
    """
    places: dict[str, list[int]] = {}
    for index in range(len(gold) - 1, -1, -1):
        places.setdefault(gold[index], []).append(index)
    aligned = [(i, places[token].pop()) for i, token in enumerate(said) if places.get(token)]
    if not aligned:
        return 0.0
    chunks = 1 + sum(b != (a[0] + 1, a[1] + 1) for a, b in itertools.pairwise(aligned))
    matched = weights([said[i] for i, _ in aligned])
    return _f(matched, weights(said), weights(gold), 3.0) * (1 - 0.5 * ((chunks - 1) / len(aligned)) ** 3)


def _f(matched: float, offered: float, wanted: float, beta: float) -> float:
    if matched <= 0:
        return 0.0
    precision, recall = matched / offered, matched / wanted
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def similarities(said: list[str], gold: list[str]) -> dict[str, float]:
    """The four similarities, each 0..1."""
    return {
        "bleu2": bleu(said, gold, 2),
        "bleu4": bleu(said, gold, 4),
        "rouge_l": rouge_l(said, gold),
        "meteor": meteor_lite(said, gold),
    }


def mean_similarity(said: list[str], gold: list[str]) -> float:
    """The mean of the four."""
    return sum(similarities(said, gold).values()) / 4


class Mol2Caption:
    """Rewards a caption by its similarity to the reference above that of a constant one. Terms: the four similarities
    and the baseline.
    """

    def __call__(self, response: str, answer: str) -> Score:
        gold = words(answer)
        if len(gold) < MIN_WORDS:
            return wrong("bad_reference")
        text = caption(response)
        if text is None:
            return wrong("no_answer")
        if len(text) > MAX_CHARS:
            return wrong("too_long", text[:200])
        said = words(text)
        if len(said) < MIN_WORDS:
            return wrong("malformed_answer", text)
        parts = similarities(said, gold)
        baseline = max(mean_similarity(words(constant), gold) for constant in CONSTANTS)
        raw = sum(parts.values()) / 4
        value = 1.0 if said == gold else max(0.0, (raw - baseline) / max(1 - baseline, 1e-6))
        terms = {**parts, "baseline": baseline}
        if value >= THRESHOLD:
            return Score(value, True, "correct", text[:500], terms)
        return Score(value, False, "partial" if value > 0 else "wrong", text[:500], terms)


def caption(response: str) -> str | None:
    """The description: the marked answer, else the whole final part, which may run over several sentences."""
    found = find_answer(response)
    if found is None:
        return None
    if found.kind in ("tag", "boxed"):
        return re.sub(r"^\\text\s*\{(.*)\}$", r"\1", found.text, flags=re.DOTALL)
    return _LABEL.sub("", final_part(response))
