"""Captions and molecules: the reference earns full marks; constants, boiler-plate, prose and empty molecules earn
nothing.
"""

import pytest

from rewards.molecules.captions import Mol2Caption
from rewards.molecules.generation import Caption2Mol

ASPIRIN = "CC(=O)OC1=CC=CC=C1C(=O)O"
ASPIRIN_SELFIES = "[C][C][=Branch1][C][=O][O][C][=C][C][=C][C][=C][Ring1][=Branch1][C][=Branch1][C][=O][O]"
CAPTION = (
    "The molecule is a member of the class of benzoic acids that is salicylic acid in which the hydrogen of the phenolic hydroxy "
    "group is replaced by an acetoxy group. It is a cyclooxygenase inhibitor and a platelet aggregation inhibitor."
)


@pytest.mark.parametrize(
    "said",
    [
        ASPIRIN,
        "OC(=O)c1ccccc1OC(C)=O",
        ASPIRIN_SELFIES,
        ASPIRIN_SELFIES.replace("][", "] ["),
        ASPIRIN_SELFIES.replace("[Ring1]", "\n[Ring1]"),
        f"<think>[C][C][O] perhaps</think>The molecule is {ASPIRIN_SELFIES}.",
        f"<answer>{ASPIRIN_SELFIES}</answer>",
        f"The SMILES is:\n{ASPIRIN}",
    ],
)
def test_the_reference_molecule(said: str) -> None:
    assert Caption2Mol()(said, ASPIRIN).correct
    assert Caption2Mol()(said, ASPIRIN_SELFIES).correct


def test_nothing_for_nothing() -> None:
    judge = Caption2Mol()
    assert judge("I don't know", ASPIRIN).value == 0
    assert judge("", ASPIRIN).reason == "no_answer"
    assert judge("[C@H1]][Branch1]", ASPIRIN).reason == "malformed_answer"
    assert judge("[C]", ASPIRIN).value == 0
    assert judge("(((", ASPIRIN).reason == "malformed_answer"
    assert judge("[C]" * 5000, ASPIRIN).reason == "too_long"
    assert judge("[C]" + "[=C]" * 1400, ASPIRIN).reason in ("too_long", "wrong")
    assert judge(ASPIRIN, "no molecule").reason == "bad_reference"


def test_nearness_is_ordered_and_never_correct() -> None:
    judge = Caption2Mol()
    chain = judge("C" * 30, "C" * 10)
    enantiomer = judge("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O")
    salicylic = judge("OC(=O)c1ccccc1O", ASPIRIN)
    assert not chain.correct
    assert chain.value < 0.1
    assert (enantiomer.correct, enantiomer.reason) == (False, "partial")
    assert 0 < salicylic.value < enantiomer.value < 1


def test_captions() -> None:
    judge = Mol2Caption()
    assert judge(CAPTION, CAPTION) == judge(f"<think>x</think>{CAPTION}", CAPTION)
    assert (judge(CAPTION, CAPTION).value, judge(CAPTION, CAPTION).correct) == (1.0, True)
    for empty in (
        "The molecule is a natural product found in Homo sapiens with data available. It has a role as a metabolite.",
        "The molecule is a member of the class of organic compounds. It has a role as a plant metabolite.",
        "I don't know what it is.",
        "the the the the the the the",
    ):
        assert judge(empty, CAPTION).value < 0.05, empty
    near = judge(CAPTION.replace("a platelet aggregation inhibitor", "an antipyretic"), CAPTION)
    half = judge("The molecule is salicylic acid in which the hydrogen is replaced by an acetoxy group.", CAPTION)
    assert 0 < half.value < near.value < 1
    assert set(near.terms) == {"bleu2", "bleu4", "rouge_l", "meteor", "baseline"}
    assert judge("", CAPTION).reason == "no_answer"
    assert judge("word " * 5000, CAPTION).reason == "too_long"
