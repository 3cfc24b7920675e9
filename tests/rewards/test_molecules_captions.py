"""Mol2Caption: metrics agree with published figures, constants earn nothing, false statements cost."""

import gzip
import json
import random
import statistics
from functools import lru_cache
from typing import Any

import pytest
from generated_molecules import captions
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import corpus_bleu
from real_data import DATA, needs

from rewards.molecules import text_metrics
from rewards.molecules.caption_facts import CaptionFact, agreement, facts_of
from rewards.molecules.captions import BOILER_PLATE, GUESSES, Mol2Caption
from rewards.molecules.parsing import read_molecule
from rewards.molecules.substructure_classes import SMARTS, holds, known_ending

FOLDER = DATA / "captions"
needs_captions = needs("captions")
GOLD = (
    "The molecule is the methyl ester of salicylic acid. It has a role as a flavouring agent and an insect attractant. "
    "It is a benzoate ester, a methyl ester and a member of phenols. It derives from a salicylic acid."
)
PROMPT = "Molecule: [C][O][C][=Branch1][C][=O][C][=C][C][=C][C][=C][Ring1][=Branch1][O]"
reward = Mol2Caption()


@lru_cache(maxsize=1)
def published() -> tuple[list[dict[str, Any]], dict[str, float]]:
    """A model's captions next to the references, and the figures published for them."""
    with gzip.open(FOLDER / "mol_instruct_predictions.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    text = (FOLDER / "mol_instruct_published_metrics.txt").read_text(encoding="utf-8")
    pairs = [line.split()[1:] for line in text.splitlines() if line.count(":") == 1 and "↑" in line]
    return rows, {pair[0]: float(pair[-1]) for pair in pairs}


@needs_captions
def test_rouge_is_the_published_one() -> None:
    rows, figures = published()
    words = [(text_metrics.rouge_words(r["predict"]), text_metrics.rouge_words(r["label"])) for r in rows]
    assert statistics.mean(text_metrics.rouge_n(*p, 1) for p in words) == pytest.approx(figures["ROUGE-1"], abs=0.001)
    assert statistics.mean(text_metrics.rouge_n(*p, 2) for p in words) == pytest.approx(figures["ROUGE-2"], abs=0.001)
    assert statistics.mean(text_metrics.rouge_l(*p) for p in words) == pytest.approx(figures["ROUGE-L"], abs=0.001)


@needs_captions
def test_bleu_and_meteor_are_near_the_published_ones() -> None:
    """Those are on SciBERT word pieces, which split names further and so lengthen the references."""
    rows, figures = published()
    said, gold = ([text_metrics.tokens(r[key]) for r in rows] for key in ("predict", "label"))
    references = [[one] for one in gold]
    assert corpus_bleu(references, said, (0.5, 0.5)) == pytest.approx(figures["BLEU-2"], abs=0.025)
    assert corpus_bleu(references, said) == pytest.approx(figures["BLEU-4"], abs=0.02)
    sample = random.Random(5).sample(list(zip(said, gold, strict=True)), 500)
    assert statistics.mean(text_metrics.meteor(*p) for p in sample) == pytest.approx(figures["METEOR"], abs=0.035)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_bit_parallel_subsequence_is_the_longest(said: list[str], gold: list[str]) -> None:
    table = [[0] * (len(gold) + 1) for _ in range(len(said) + 1)]
    for i, a in enumerate(said):
        for j, b in enumerate(gold):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    longest = table[-1][-1]
    expected = 2 * longest / (len(said) + len(gold)) if longest else 0
    assert text_metrics.rouge_l(said, gold) == pytest.approx(expected)
    assert text_metrics.rouge_l(said, gold) == text_metrics.rouge_l(gold, said)


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_text_has_a_score(text: str) -> None:
    score = reward(text, GOLD, PROMPT)
    assert 0 <= score.value <= 1
    assert not score.correct


def test_the_reference_is_correct_however_it_is_spaced() -> None:
    for said in (GOLD, f"<answer>{GOLD}</answer>", GOLD.replace(" ", "\n"), f"<think>x</think>\n{GOLD}"):
        assert reward(said, GOLD, PROMPT).value == 1.0
        assert reward(said, GOLD, PROMPT).correct


def test_order_of_captions() -> None:
    def value(said: str) -> float:
        return reward(said, GOLD, PROMPT).value

    near = value(GOLD.replace("flavouring agent", "solvent"))
    false = value(GOLD.replace("a methyl ester and", "an aldehyde and"))
    missing = value(GOLD.replace("a methyl ester and", "and"))
    half = value(
        GOLD.replace("It has a role as a flavouring agent and an insect attractant. ", "").split(" It derives")[0]
    )
    assert 1 > near > half > 0
    assert 1 > missing > false > 0


def test_the_reasoning_is_not_the_caption() -> None:
    assert reward(f"<think>{GOLD}</think>The molecule is an alkane, a solid.", GOLD, PROMPT).value == 0
    assert reward(f"Perhaps: {GOLD}\n\nThe molecule is an alkane, a solid.", GOLD, PROMPT).value == 0
    assert reward(f"{GOLD} The final answer is: an alkane that is a solid.", GOLD, PROMPT).value == 0


CONSTANT = (
    *BOILER_PLATE,
    *GUESSES[:3],
    "The molecule is a natural product found in plants. It has a role as a plant metabolite.",
    "The molecule is an organic compound. It is a conjugate base of an acid. It has a role as a human metabolite.",
    "The molecule is a secondary alcohol, a member of phenols and an aromatic ether. It has a role as a metabolite.",
)


def test_constant_captions_earn_nothing() -> None:
    golds = captions(150)
    for constant in CONSTANT:
        assert statistics.mean(reward(constant, gold).value for gold in golds) <= 0.02, constant
    assert all(reward(gold, gold).correct for gold in golds)


@needs_captions
def test_captions_that_ignore_the_molecule_earn_nothing() -> None:
    rows = random.Random(11).sample(published()[0], 150)
    for constant in CONSTANT:
        assert statistics.mean(reward(constant, r["label"], r["prompt"]).value for r in rows) <= 0.02, constant
    others = zip(rows, rows[1:] + rows[:1], strict=True)
    assert statistics.mean(reward(o["label"], r["label"], r["prompt"]).value for r, o in others) <= 0.02
    assert all(reward(r["label"], r["label"], r["prompt"]).correct for r in rows)


def test_statements() -> None:
    assert facts_of(GOLD) == {
        CaptionFact("role", "flavouring agent"),
        CaptionFact("role", "insect attractant"),
        CaptionFact("class", "benzoate ester"),
        CaptionFact("class", "methyl ester"),
        CaptionFact("class", "phenol"),
        CaptionFact("class", "methyl ester of salicylic acid"),
        CaptionFact("parent", "salicylic acid"),
    }
    acid, base = (facts_of(f"It is a conjugate {kind} of a pyruvate.") for kind in ("acid", "base"))
    assert acid == {CaptionFact("conjugate_acid", "pyruvate")}
    assert agreement(acid, base) == (0, 0)
    assert agreement(acid, acid) == (1, 1)
    assert facts_of("It derives from a hydride of a cholestane.") == {CaptionFact("parent_hydride", "cholestane")}


@pytest.mark.parametrize(
    ("phrase", "smiles", "expected"),
    [
        ("fatty acid methyl ester", "CCCCCC(=O)OC", True),
        ("fatty acid methyl ester", "CCCCCC(=O)OCC", False),
        ("2-methoxyphenol", "COc1ccccc1O", True),
        ("primary alcohol", "CC(C)O", False),
        ("tetrahydropyridine", "C1CCC=NC1", None),
        ("monocarboxylic acid anion", "CC(=O)[O-]", True),
        ("monocarboxylic acid anion", "CC(=O)O", False),
        ("amino-acid zwitterion", "[NH3+]CC(=O)[O-]", True),
        ("steroid", "C[C@]12CC[C@H]3[C@@H](CCC4=CC(=O)CC[C@]34C)[C@@H]1CC[C@@H]2O", True),
        ("steroid", "c1ccccc1", False),
        ("xanthophyll", "C", None),
    ],
)
def test_classes_are_checked_on_the_molecule(phrase: str, smiles: str, expected: bool | None) -> None:
    assert holds(phrase, read_molecule(smiles)) is expected


def test_every_pattern_reads() -> None:
    methane = read_molecule("C")
    assert all(holds(name, methane) in (True, False) and known_ending(name) for name in SMARTS)
