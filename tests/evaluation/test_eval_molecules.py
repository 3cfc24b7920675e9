"""Metrics of molecules and captions against an independent implementation and known cases."""

import gzip
import json

import pytest
from real_data import needs, real

from innovator_rl.evaluation.questions import Question
from innovator_rl.evaluation.sets.molecules import answer_text, caption_metrics, generation_metrics


def rows(*pairs: tuple[str, str]) -> list[tuple[Question, str]]:
    return [(Question(id=str(i), messages=(), answer=gold), response) for i, (gold, response) in enumerate(pairs)]


def test_equal_molecules_in_another_spelling_are_exact_and_nonsense_is_invalid() -> None:
    found = {
        metric.name: metric.estimate
        for metric in generation_metrics(
            rows(
                ("[C][C][O]", "<answer>OCC</answer>"),
                ("[C][C][O]", "<answer>[C][N]</answer>"),
                ("CCO", "a nice molecule"),
            )
        )
    }
    assert found["exact_inchi"].score == pytest.approx(1 / 3)
    assert found["validity"].score == pytest.approx(2 / 3)
    assert found["morgan_valid"].n == 2
    assert found["maccs_valid"].score < 1
    assert found["levenshtein"].score > 0


def test_the_answer_is_behind_the_thinking() -> None:
    assert answer_text("<think><answer>no</answer></think> so <answer>yes</answer>") == "yes"
    assert answer_text("plain") == "plain"


def test_equal_captions_have_full_marks_and_no_overlap_has_none() -> None:
    same = {
        m.name: m.estimate.score
        for m in caption_metrics(rows(("The molecule is an acid.", "The molecule is an acid.")))
    }
    assert same["bleu4_corpus"] == pytest.approx(1)
    assert same["rougeL"] == pytest.approx(1)
    none = {m.name: m.estimate.score for m in caption_metrics(rows(("The molecule is an acid.", "water")))}
    assert none["bleu2_corpus"] == none["rouge1"] == 0


@needs("captions")
def test_corpus_bleu_is_that_of_nltk() -> None:
    from nltk.translate.bleu_score import corpus_bleu

    from innovator_rl.evaluation.sets.molecules import _words

    with gzip.open(real("captions/mol_instruct_predictions.jsonl.gz"), "rt") as lines:
        data = [json.loads(line) for _, line in zip(range(300), lines, strict=False)]
    found = {m.name: m.estimate for m in caption_metrics(rows(*[(row["label"], row["predict"]) for row in data]))}
    wanted = [[_words(row["label"])] for row in data]
    given = [_words(row["predict"]) for row in data]
    assert found["bleu2_corpus"].score == pytest.approx(corpus_bleu(wanted, given, (0.5, 0.5)), abs=1e-12)
    assert found["bleu4_corpus"].score == pytest.approx(corpus_bleu(wanted, given), abs=1e-12)
    low, high = found["bleu4_corpus"].interval or (1, 0)
    assert low < found["bleu4_corpus"].score < high
