"""Compute the six text similarities of captioning: BLEU, METEOR and ROUGE.

The definitions are those the field reports (MolT5, Mol-Instructions): unsmoothed-weight BLEU (Papineni 2002) and METEOR
(Banerjee and Lavie 2005) as in NLTK, ROUGE as F1 without stemming (Lin 2004) on lower-case alphanumeric words. BLEU
and METEOR are published on SciBERT word pieces; here a token is a run of letters, a run of digits, or one mark, which
needs no vocabulary file. METEOR matches synonyms where NLTK finds WordNet and words and stems only elsewhere;
`WORDNET` says which.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

import nltk
from nltk.stem.porter import PorterStemmer
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from nltk.translate.meteor_score import single_meteor_score

NAMES = ("bleu2", "bleu4", "meteor", "rouge1", "rouge2", "rouge_l")
BLEU_WEIGHTS = [(0.5, 0.5), (0.25, 0.25, 0.25, 0.25)]
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_ROUGE_WORD = re.compile(r"[a-z0-9]+")
_SMOOTHING = SmoothingFunction().method1


class _Stemmer:
    """Porter's stemmer with its words remembered."""

    def __init__(self) -> None:
        self.stem = lru_cache(maxsize=50_000)(PorterStemmer().stem)


class _NoWordNet:
    """Stands in for WordNet where it is not installed: no word has a synonym."""

    def synsets(self, word: str) -> list[Any]:
        return []


def _wordnet() -> Any:
    try:
        nltk.data.find("corpora/wordnet")
    except LookupError:
        return None
    from nltk.corpus import wordnet

    return wordnet


_INSTALLED = _wordnet()
WORDNET = _INSTALLED is not None
_STEMMER = _Stemmer()


def tokens(text: str) -> list[str]:
    """Lower-case runs of letters, runs of digits, and single marks."""
    return _TOKEN.findall(text.lower())


def rouge_words(text: str) -> list[str]:
    """ROUGE's words: lower-case ASCII letters and digits."""
    return _ROUGE_WORD.findall(text.lower())


def rouge_n(predicted: list[str], gold: list[str], order: int) -> float:
    """Return the F1 of the n-grams of one order."""
    mine, theirs = (Counter(zip(*(words[i:] for i in range(order)), strict=False)) for words in (predicted, gold))
    return _f1((mine & theirs).total(), mine.total(), theirs.total())


def rouge_l(predicted: list[str], gold: list[str]) -> float:
    """Return the F1 of the longest common subsequence (Hyyro's recurrence, 2004)."""
    places: dict[str, int] = {}
    for index, word in enumerate(gold):
        places[word] = places.get(word, 0) | 1 << index
    full = (1 << len(gold)) - 1
    row = full
    for word in predicted:
        hit = row & places.get(word, 0)
        row = ((row + hit) | (row - hit)) & full
    return _f1(len(gold) - row.bit_count(), len(predicted), len(gold))


def _f1(matched: int, offered: int, wanted: int) -> float:
    return 2 * matched / (offered + wanted) if matched else 0.0


def similarities(predicted: str, gold: str) -> dict[str, float]:
    """Return the six similarities of a text to a reference, each 0..1."""
    mine, theirs = tokens(predicted), tokens(gold)
    if not mine or not theirs:
        return dict.fromkeys(NAMES, 0.0)
    bleu2, bleu4 = sentence_bleu([theirs], mine, BLEU_WEIGHTS, smoothing_function=_SMOOTHING)
    words, wanted = rouge_words(predicted), rouge_words(gold)
    values = (bleu2, bleu4, meteor(mine, theirs), rouge_n(words, wanted, 1), rouge_n(words, wanted, 2))
    return dict(zip(NAMES, (*map(float, values), rouge_l(words, wanted)), strict=True))


def meteor(predicted: list[str], gold: list[str]) -> float:
    """METEOR with NLTK's parameters (0.9, 3, 0.5)."""
    return float(single_meteor_score(gold, predicted, stemmer=_STEMMER, wordnet=_INSTALLED or _NoWordNet()))
