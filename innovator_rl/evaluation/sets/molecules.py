"""Compute the metrics that the field prints for molecules and captions (MolT5, arXiv 2204.11817).

They are set-level numbers next to the rewarder's: similarities are means over valid molecules only, so the number of
valid ones is printed; BLEU is over the whole corpus, which differs from the mean of sentence BLEU that the rewarder
uses, so both are printed with their names.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from innovator_rl.evaluation.questions import Question
from innovator_rl.evaluation.statistics import Estimate, bootstrap, mean_estimate
from innovator_rl.evaluation.task import MetricResult, row_metric

Rows = Sequence[tuple[Question, str]]
FCD_CHARACTERS = 349  # longer SMILES make the package pad the whole batch, and change the value of all others
ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)


def answer_text(response: str) -> str:
    """Return what stands behind the thinking, inside the answer tag where there is one."""
    final = response.rpartition("</think>")[2] if "</think>" in response else response
    tagged = ANSWER.findall(final)
    return (tagged[-1] if tagged else final).strip()


def molecule(text: str) -> Any:
    """Return the RDKit molecule of SELFIES or SMILES, or None."""
    import selfies
    from rdkit import Chem

    silence_rdkit()
    text = "".join(text.split())[:4000]
    if not text:
        return None
    if text.startswith("["):
        try:
            text = selfies.decoder(text) or ""
        except (selfies.DecoderError, ValueError, IndexError, KeyError):
            return None
    found = Chem.MolFromSmiles(text)
    return found if found is not None and found.GetNumAtoms() else None


def silence_rdkit() -> None:
    """Keep RDKit from printing a line for each invalid molecule."""
    from rdkit import RDLogger

    logger: Any = RDLogger  # RDKit's classes carry no types
    logger.DisableLog("rdApp.*")


def generation_metrics(rows: Rows) -> list[MetricResult]:
    """Return validity, exact match, Levenshtein, BLEU, three similarities and FCD of molecules for captions."""
    from rapidfuzz.distance import Levenshtein
    from rdkit import Chem as untyped

    Chem: Any = untyped
    golds = [molecule(question.answer) for question, _ in rows]
    kept = [place for place, gold in enumerate(golds) if gold is not None]
    ids = [rows[place][0].id for place in kept]
    texts = [answer_text(rows[place][1]) for place in kept]
    found = [molecule(text) for text in texts]
    references = [golds[place] for place in kept]
    exact = [
        float(f is not None and Chem.MolToInchi(f) == Chem.MolToInchi(g))
        for f, g in zip(found, references, strict=True)
    ]
    smiles = [Chem.MolToSmiles(m) if m is not None else text[:1000] for m, text in zip(found, texts, strict=True)]
    gold_smiles = [Chem.MolToSmiles(gold) for gold in references]
    distances = [float(Levenshtein.distance(a, b)) for a, b in zip(smiles, gold_smiles, strict=True)]
    results = [
        row_metric("exact_inchi", ids, exact),
        row_metric("validity", ids, [one is not None for one in found]),
        row_metric("levenshtein", ids, distances, share=False),
        _corpus_bleu("bleu_smiles_chars", [list(a) for a in smiles], [list(b) for b in gold_smiles], 4),
    ]
    pairs = [(one, gold) for one, gold in zip(found, references, strict=True) if one is not None]
    for name, similarity in _similarities().items():
        results.append(MetricResult(f"{name}_valid", mean_estimate([similarity(a, b) for a, b in pairs])))
    return [*results, *_fcd(pairs)]


def _similarities() -> dict[str, Callable[[Any, Any], float]]:
    from rdkit import Chem, DataStructs
    from rdkit.Chem import MACCSkeys, rdFingerprintGenerator

    maccs: Any = MACCSkeys
    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2)

    def compared(fingerprint: Callable[[Any], Any]) -> Callable[[Any, Any], float]:
        return lambda a, b: float(DataStructs.TanimotoSimilarity(fingerprint(a), fingerprint(b)))

    return {
        "maccs": compared(maccs.GenMACCSKeys),
        "rdk": compared(Chem.RDKFingerprint),
        "morgan": compared(morgan.GetSparseCountFingerprint),
    }


def _fcd(pairs: list[tuple[Any, Any]]) -> list[MetricResult]:
    """Return the Fréchet ChemNet distance of the valid molecules; below 512 of them it is mostly bias."""
    from rdkit import Chem

    both = [(Chem.MolToSmiles(a), Chem.MolToSmiles(b)) for a, b in pairs]
    short = [(a, b) for a, b in both if max(len(a), len(b)) <= FCD_CHARACTERS]
    if len(short) < 2:
        return []
    try:
        import fcd
    except ImportError:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = float(fcd.get_fcd([b for _, b in short], [a for a, _ in short], fcd.load_ref_model()))
    return [MetricResult("fcd_valid", Estimate(value, len(short), None), share=False)]


def caption_metrics(rows: Rows) -> list[MetricResult]:
    """Return corpus BLEU, mean sentence BLEU, ROUGE and METEOR of captions for molecules."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge_score.rouge_scorer import RougeScorer

    ids = [question.id for question, _ in rows]
    golds = [question.answer for question, _ in rows]
    texts = [answer_text(text) for _, text in rows]
    tokens = [(_words(text), _words(gold)) for text, gold in zip(texts, golds, strict=True)]
    given, wanted = [a for a, _ in tokens], [b for _, b in tokens]
    results = [_corpus_bleu("bleu2_corpus", given, wanted, 2), _corpus_bleu("bleu4_corpus", given, wanted, 4)]
    smooth = SmoothingFunction().method1
    for order in (2, 4):
        weights = tuple([1 / order] * order)
        values = [
            float(sentence_bleu([b], a, weights=weights, smoothing_function=smooth)) if a else 0.0 for a, b in tokens
        ]
        results.append(row_metric(f"bleu{order}_sentence_mean", ids, values))
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    scores = [scorer.score(gold, text) for gold, text in zip(golds, texts, strict=True)]
    for name in ("rouge1", "rouge2", "rougeL"):
        results.append(row_metric(name, ids, [float(score[name].fmeasure) for score in scores]))
    return [*results, _meteor(ids, tokens)]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.casefold())


def _meteor(ids: list[str], tokens: list[tuple[list[str], list[str]]]) -> MetricResult:
    """Return METEOR; its name shows whether WordNet's synonyms were there."""
    from nltk.corpus import wordnet
    from nltk.translate.meteor_score import meteor_score

    try:
        wordnet.synsets("molecule")
        used, name = wordnet, "meteor_wordnet"
    except LookupError:
        used, name = _NoSynonyms(), "meteor_without_wordnet"
    values = [float(meteor_score([wanted], given, wordnet=used)) for given, wanted in tokens]
    return row_metric(name, ids, values)


class _NoSynonyms:
    """Stands for WordNet where it is not installed: no word has a synonym."""

    def synsets(self, word: str) -> list[Any]:
        """Return no synonym sets."""
        return []


def _corpus_bleu(name: str, given: list[list[str]], wanted: list[list[str]], order: int) -> MetricResult:
    """Return BLEU over the corpus with an interval that resamples rows of counts."""
    counts = np.array([_bleu_counts(a, b, order) for a, b in zip(given, wanted, strict=True)], dtype=float)
    if not len(counts):
        return MetricResult(name, Estimate(float("nan"), 0, None))

    def bleu(rows: np.ndarray) -> float:
        total = counts[rows].sum(axis=0)
        matched, possible = total[:order], total[order : 2 * order]
        if (matched == 0).any():
            return 0.0
        brevity = min(1.0, float(np.exp(1 - total[-1] / total[-2])))
        return brevity * float(np.exp(np.log(matched / possible).mean()))

    everything = np.arange(len(counts))
    return MetricResult(name, Estimate(bleu(everything), len(counts), bootstrap(len(counts), bleu)))


def _bleu_counts(given: list[str], wanted: list[str], order: int) -> list[int]:
    """Return matched and possible n-grams of each order, and both lengths."""
    from collections import Counter

    matched, possible = [], []
    for size in range(1, order + 1):
        own = Counter(tuple(given[i : i + size]) for i in range(len(given) - size + 1))
        gold = Counter(tuple(wanted[i : i + size]) for i in range(len(wanted) - size + 1))
        matched.append(sum((own & gold).values()))
        possible.append(sum(own.values()))
    return [*matched, *possible, len(given), len(wanted)]


EXTRAS: dict[str, Callable[[Rows], list[MetricResult]]] = {
    "caption2mol": generation_metrics,
    "mol2caption": caption_metrics,
}
"""Domain -> metrics in addition to the rewarder's."""
