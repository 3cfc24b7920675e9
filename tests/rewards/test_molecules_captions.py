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
from rewards.molecules.captions import BOILER_PLATE, GUESSES, Mol2Caption, _molecule
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


ACID = (
    "The molecule is a monocarboxylic acid anion that is the conjugate base of (2R)-2-hydroxy-3-methylbutanoic acid. It has "
    "a role as a human metabolite. It is a conjugate base of a (2R)-2-hydroxy-3-methylbutanoic acid."
)
PROLINE = (
    "The molecule is the L-enantiomer of 4-hydroxyproline substituted at positions 2 and 5. It has a role as a plant "
    "metabolite. It is an enantiomer of a D-4-hydroxyproline. It derives from an L-proline."
)
GLYCAN = (
    "The molecule is a beta-D-galactoside in which 3 residues are joined (1->4). It is a trisaccharide derivative. It derives "
    "from a lactose."
)


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        (ACID, ACID.replace("(2R)", "(2S)")),
        (ACID, ACID.replace("conjugate base", "conjugate acid")),
        (ACID, ACID.replace("methylbutanoic", "ethylbutanoic")),
        (ACID, ACID.replace("human metabolite", "herbicide")),
        (ACID, ACID.replace("2-hydroxy-3", "3-hydroxy-4")),
        (PROLINE, PROLINE.replace("L-", "!").replace("D-", "L-").replace("!", "D-")),
        (PROLINE, PROLINE.replace("positions 2 and 5", "positions 3 and 5")),
        (PROLINE, PROLINE.replace("It derives from an L-proline.", "It derives from a glycine.")),
        (GLYCAN, GLYCAN.replace("beta", "alpha")),
        (GLYCAN, GLYCAN.replace("galactoside", "glucoside")),
        (GLYCAN, GLYCAN.replace("3 residues", "4 residues")),
        (GLYCAN, GLYCAN.replace("lactose", "maltose")),
        (GOLD, GOLD + " It is a naphthoquinone."),
        (GOLD, GOLD + " It is a xanthophyll."),  # nothing decides it, and the reference does not say it
        (GOLD, GOLD.replace("salicylic", "benzoic")),
    ],
)
def test_a_caption_of_another_molecule_is_not_correct(gold: str, said: str) -> None:
    assert said != gold
    assert not reward(said, gold, PROMPT).correct


@pytest.mark.parametrize("gold", [ACID, PROLINE, GLYCAN, GOLD])
@pytest.mark.parametrize(
    "deny",
    [
        "It is not true that: {}",
        "It is false that {}",
        "Contrary to fact: {}",
        "{} None of this is true.",
        "{} That is wrong.",
        "NOT: {}",
        "I do not believe that {}",
        "The following description is wrong. {}",
        "{} Or maybe not.",
        "It would be a mistake to say: {}",
        "Nobody would say that {}",
        "Ignore this: {}",
        "A different molecule: {}",
        "Is it true that {}?",
        "If this were another molecule: {}",
    ],
)
def test_a_denied_caption_earns_nothing(gold: str, deny: str) -> None:
    score = reward(deny.format(gold), gold)
    assert score.value <= 0.1
    assert not score.correct


@pytest.mark.parametrize("gold", [ACID, PROLINE, GLYCAN, GOLD, GOLD.split(". ")[0] + "."])
def test_a_question_is_no_caption(gold: str) -> None:
    score = reward(gold.replace(". ", "? ")[:-1] + "?", gold, PROMPT)
    assert score.value <= 0.1
    assert not score.correct


def test_a_denial_of_the_reference_in_other_words_is_a_statement() -> None:
    gold = "The molecule is a triterpenoid that is saturated except for one double bond. It has a role as a plant metabolite."
    assert reward(gold.replace("The molecule", "This molecule"), gold).correct
    assert not reward(gold.replace("except for one", "except for no"), gold).correct


@pytest.mark.parametrize("gold", [ACID, PROLINE, GLYCAN, GOLD])
def test_denied_sentences_count_against(gold: str) -> None:
    said = gold.replace(" is a", " is not a").replace(" is the", " is not the")
    said = said.replace("It has a role", "It has no role").replace("derives", "does not derive")
    assert reward(said, gold).value <= 0.1
    one = gold.replace("It has a role", "It has no role").replace("It derives from", "It does not derive from")
    assert reward(one, gold).value < reward(gold, gold).value / 2
    assert not reward(one, gold).correct


def test_sentences_in_another_order_are_the_same_caption() -> None:
    first, *others = GOLD.split(". ")
    said = ". ".join([first, *(one.rstrip(".") for one in reversed(others))]) + "."
    assert reward(said, GOLD, PROMPT).correct


def test_a_template_earns_nothing_on_other_molecules() -> None:
    ends = (
        "an amino group",
        "a hydroxy group",
        "a thiol group",
        "a nitrile group",
        "a chlorine atom",
        "an aldehyde group",
    )
    golds = [f"A straight chain of {n} carbon atoms with {end} at one end." for n in range(3, 12) for end in ends]
    for constant in (golds[0], golds[20], "A straight chain of carbon atoms with a group at one end."):
        scores = [reward(constant, gold) for gold in golds if gold != constant]
        assert not any(score.correct for score in scores)
        assert statistics.mean(score.value for score in scores) < 0.15
    assert all(reward(gold, gold).correct for gold in golds)


@pytest.mark.parametrize(
    ("phrase", "smiles", "expected"),
    [
        ("gamma-lactone", "O=C1OCc2ccccc12", True),  # phthalide
        ("hydroxamic acid ester", "CC(=O)NOCC", True),
        ("dipeptide", "NCCC(=O)NCC(=O)O", True),
        ("2-chloro-n-phenylacetamide", "ClCC(=O)Nc1ccccc1", True),
        ("aza-steroid", "C[C@]12CC[C@H]3[C@@H](CC[C@H]4NC(=O)CC[C@]34C)[C@@H]1CCC2", True),
        ("flavone c-glycoside", "O=c1cc(-c2ccccc2)oc2cc(C3OCC(O)C(O)C3O)ccc12", True),
        ("conjugate of glutathione's thiol", "CC", None),
        ("monocarboxylic acid", "OC(=O)CC(=O)O", False),
        ("monocarboxylic acid", "CC(=O)O", True),
        ("naphthoquinone", "O=C1C=CC(=O)c2ccccc12", True),
        ("naphthoquinone", "O=C1C=CC(=O)C=C1", False),
        ("xanthone", "O=c1c2ccccc2oc2ccccc12", True),
        ("benzimidazole", "c1ccc2[nH]cnc2c1", True),
        ("isoxazole", "c1conc1", True),
        ("isoxazole", "c1cocn1", False),
        ("stilbenoid", "Oc1ccc(C=Cc2cc(O)cc(O)c2)cc1", True),
        ("hydrochloride", "CN.Cl", True),
        ("hydrochloride", "CNCl", False),
        ("hydrate", "CC(=O)O.O", True),
        ("organic sodium salt", "CC(=O)[O-].[Na+]", True),
        ("organic heterotetracyclic compound", "c1ccc2ncccc2c1", False),
        ("bridged compound", "C1CC2CCC1C2", True),
    ],
)
def test_common_classes_are_decided(phrase: str, smiles: str, expected: bool | None) -> None:
    assert holds(phrase, read_molecule(smiles)) is expected


@pytest.mark.parametrize(
    ("prompt", "smiles"),
    [
        ("Describe. SMILES: C[C@H](N)C(=O)O", "C[C@H](N)C(=O)O"),
        ("Molecule: [C][C][O]\nThe first atom is [C] and the last is [O].", "CCO"),
        ("Example\nMolecule: [C][C][O]\n\nProblem\nMolecule: [N][C][C][O]\n\nDescribe it.", "NCCO"),
        ("Describe the molecule CC(=O)Nc1ccc(O)cc1 in words.", "CC(=O)Nc1ccc(O)cc1"),
        ("What is c1ccccc1?", "c1ccccc1"),
        ("SELFIES: [N] [C] [C] [O]", "NCCO"),
        ("请描述：C[C@H](N)C(=O)O。", "C[C@H](N)C(=O)O"),
        ("Describe: $C[C@H](N)C(=O)O$", "C[C@H](N)C(=O)O"),
        ("Describe this molecule.\n\nC[C@@H](O)C(=O)O\n\nUse symbols such as [C] or [=O].", "C[C@@H](O)C(=O)O"),
    ],
)
def test_the_molecule_of_the_prompt(prompt: str, smiles: str) -> None:
    from rdkit import Chem

    assert Chem.MolToSmiles(_molecule(prompt, {})) == Chem.CanonSmiles(smiles)


@pytest.mark.parametrize(
    ("phrase", "smiles", "expected"),
    [
        ("primary amine", "CN(C)C", False),
        ("primary amine", "CCN", True),
        ("primary amine", "CCNC", False),
        ("secondary amine", "CCNC", True),
        ("secondary amine", "CCN", False),
        ("tertiary amine", "CN(C)C", True),
        ("tertiary amine", "CCN", False),
        ("primary amine", "CC(N)=O", False),
        ("primary amine", "CC[NH3+]", True),
        ("secondary amine", "CC(=O)NC", False),
        ("aromatic amine", "c1ccccc1N", True),
        ("primary alcohol", "CC(C)O", False),
        ("primary alcohol", "CC(=O)O", False),
        ("alcohol", "CC(=O)O", False),
        ("alcohol", "CCO", True),
        ("alcohol", "c1ccccc1O", False),
        ("primary amide", "CC(N)=O", True),
        ("primary amide", "CC(=O)NC", False),
        ("secondary amide", "CC(=O)NC", True),
        ("secondary amide", "CC(N)=O", False),
        ("tertiary amide", "CC(=O)N(C)C", True),
        ("tertiary amide", "CC(=O)NC", False),
        ("dipeptide", "NCC(=O)NCC(=O)NCC(=O)O", False),
        ("dipeptide", "NCC(=O)NCC(=O)O", True),
        ("tripeptide", "NCC(=O)NCC(=O)NCC(=O)O", True),
        ("tripeptide", "NCC(=O)NCC(=O)O", False),
        ("tetrapeptide", "NCC(=O)NCC(=O)NCC(=O)NCC(=O)O", True),
        ("tetrapeptide", "NCC(=O)NCC(=O)NCC(=O)O", False),
        ("pentapeptide", "NCC(=O)NCC(=O)NCC(=O)O", False),
        ("peptide", "NCC(=O)NCC(=O)O", True),
        ("peptide", "CCO", False),
        ("dipeptide", "NCCC(=O)NCC(=O)O", True),
        ("dipeptide", "N[C@@H](CC(N)=O)C(=O)N[C@@H](C)C(=O)O", True),
        ("tripeptide", "N[C@@H](CC(N)=O)C(=O)N[C@@H](C)C(=O)O", False),
        ("tripeptide", "N[C@@H](CCC(=O)N[C@@H](CS)C(=O)NCC(=O)O)C(=O)O", True),
        ("alpha-amino acid", "NCC(=O)O", True),
        ("alpha-amino acid", "NCCC(=O)O", False),
        ("beta-amino acid", "NCCC(=O)O", True),
        ("beta-amino acid", "NCC(=O)O", False),
        ("gamma-amino acid", "NCCCC(=O)O", True),
        ("gamma-amino acid", "NCC(=O)O", False),
        ("alkane", "CCCC", True),
        ("alkane", "CC=C", False),
        ("alkane", "CCO", False),
        ("alkene", "CC=C", True),
        ("alkene", "CCC", False),
        ("alkene", "c1ccccc1", False),
        ("alkyne", "CC#C", True),
        ("alkyne", "CC=C", False),
        ("azide", "CCN=[N+]=[N-]", True),
        ("azide", "CCN", False),
        ("sulfide", "CSC", True),
        ("sulfide", "CS(=O)C", False),
        ("hexose", "OCC1OC(O)C(O)C(O)C1O", True),
        ("hexose", "OCC1OC(O)C(O)C1O", False),
        ("pentose", "OCC1OC(O)C(O)C1O", True),
        ("pentose", "OCC1OC(O)C(O)C(O)C1O", False),
        ("aldohexose", "OCC(O)C(O)C(O)C(O)C=O", True),
        ("ketohexose", "OCC(=O)C(O)C(O)C(O)CO", True),
        ("ketohexose", "OCC(O)C(O)C(O)C(O)C=O", False),
        ("hexose", "CCCCCCO", False),
        ("disaccharide", "OCC1OC(OC2C(O)C(O)C(O)OC2CO)C(O)C(O)C1O", True),
        ("disaccharide", "OCC1OC(OC)C(O)C(O)C1O", False),
        ("trisaccharide", "OCC1OC(OC2C(O)C(O)C(O)OC2CO)C(O)C(O)C1O", False),
        ("monosaccharide", "OCC1OC(O)C(O)C(O)C1O", True),
        ("cycloalkane", "C1CCCCC1", True),
        ("cycloalkane", "CCCC", False),
        ("cycloalkene", "C1CCC=CC1", True),
        ("haloalkane", "CCCl", True),
        ("haloalkane", "CCC", False),
        ("arene", "c1ccccc1", True),
        ("arene", "C1CCCCC1", False),
        ("diene", "C=CC=C", True),
        ("diene", "C=CC", False),
        ("carboxylic ester", "CC(=O)OC", True),
        ("carboxylic acid", "CC(=O)OC", False),
        ("isonitrile", "C[N+]#[C-]", True),
        ("nitrile", "C[N+]#[C-]", False),
        ("nitroalkane", "CC[N+](=O)[O-]", True),
        ("nitroalkane", "CCN", False),
        ("amide", "CC(N)=O", True),
        ("amide", "CCN", False),
        ("acyl chloride", "CC(=O)Cl", True),
        ("alkyl chloride", "CCCl", True),
        ("fatty alcohol", "CCCCCCCCCCO", True),
        ("hydrocarbon", "CCC", True),
        ("hydrocarbon", "CCO", False),
        ("saturated hydrocarbon", "CC=C", False),
        ("saturated fatty acid", "CCCCCCCC(=O)O", True),
        ("saturated fatty acid", "CCCC=CCCC(=O)O", False),
        ("unsaturated fatty acid", "CCCCCCCC(=O)O", False),
        ("unsaturated fatty acid", "CCCC=CCCC(=O)O", True),
        ("straight-chain alkane", "CC(C)C", False),
        ("branched alkane", "CC(C)C", True),
        ("branched alkane", "CCC", False),
        ("monosaccharide", "OCC1OC(OC2C(O)C(O)C(O)OC2CO)C(O)C(O)C1O", False),
        ("bromoalkane", "CCBr", True),
        ("phenylalkane", "CCc1ccccc1", None),
        ("depsipeptide", "NCC(=O)NCC(=O)O", None),
    ],
)
def test_degrees_residues_and_plain_classes_are_decided(phrase: str, smiles: str, expected: bool | None) -> None:
    assert holds(phrase, read_molecule(smiles)) is expected


@pytest.mark.parametrize(
    ("smiles", "gold", "said", "right"),
    [
        ("CN(C)C", "trimethylamine", "It is a primary amine.", False),
        ("CN(C)C", "trimethylamine", "It is a tertiary amine.", True),
        (
            "NCC(=O)NCC(=O)NCC(=O)O",
            "glycylglycylglycine",
            "It is a dipeptide.",
            False,
        ),
        (
            "NCC(=O)NCC(=O)NCC(=O)O",
            "glycylglycylglycine",
            "It is a tripeptide.",
            True,
        ),
        ("NCC(=O)O", "glycine", "It is an alpha-amino acid.", True),
        ("NCC(=O)O", "glycine", "It is an L-alpha-amino acid.", False),
        ("NCC(=O)O", "glycine", "It is a proteinogenic amino acid.", False),
        ("c1ccccc1O", "phenol", "It is a 3-chlorophenol.", False),
        ("CCCC", "butane", "It is an alkane.", True),
        ("CCCC", "butane", "It is an alkene.", False),
    ],
)
def test_a_class_that_is_added_must_hold(smiles: str, gold: str, said: str, right: bool) -> None:
    gold = f"The molecule is {gold}, which occurs in plants, in animals and in the brine of fish. It has a role as a toxin."
    assert reward(f"{gold} {said}", gold, info={"smiles": smiles}).correct is right


@pytest.mark.parametrize(
    "form",
    ["**{}**", "__{}__", "*{}*", "`{}`", "### Caption\n\n**{}**", "> {}", "**Caption:** {}", '"{}"', "“{}”", "- {}"],
)
def test_emphasis_is_no_part_of_a_caption(form: str) -> None:
    assert reward(form.format(GOLD), GOLD, PROMPT).value == 1.0


@pytest.mark.parametrize(
    ("form", "whole"),
    [
        ("Sure! {}", True),
        ("Certainly, here is the description of the molecule: {}", True),
        ("Here's a caption: {}", True),
        ("{} I hope this helps!", True),
        ("{} Let me know if you need more details.", True),
        ("Sure, here is the opposite of the caption: {}", False),
        ("{} I hope this is not the molecule.", False),
        ("{} Let me know if it is wrong.", False),
    ],
)
def test_courtesies_are_no_part_of_a_caption(form: str, whole: bool) -> None:
    assert reward(form.format(GOLD), GOLD, PROMPT).correct is whole


@pytest.mark.parametrize("mark", ["- ", "* ", "• "])
def test_a_caption_may_be_a_list_of_its_sentences(mark: str) -> None:
    assert reward(mark + GOLD.replace(". ", f".\n{mark}"), GOLD, PROMPT).value == 1.0
