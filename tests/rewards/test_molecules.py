"""Caption2Mol and molecular properties: laws of the match tiers, the parsing policy, and what earns nothing."""

import csv
import random
import statistics
import time
from collections.abc import Callable
from functools import lru_cache

import pytest
import selfies
from generated_molecules import molecules
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import DATA, needs

from rewards.molecules.comparison import MoleculeFeatures, similarities, similarity
from rewards.molecules.generation import STEREO, STEREO_SPAN, Caption2Mol
from rewards.molecules.parsing import UnreadableMolecule, read_molecule
from rewards.molecules.property import PropertyChoice, parse_true_false

CHEBI = DATA / "chebi20" / "validation.tsv"
needs_chebi = needs("chebi20/validation.tsv")
ASPIRIN = "CC(=O)OC1=CC=CC=C1C(=O)O"
MOLECULES = [
    ASPIRIN,
    "C[C@@H](N)C(=O)O",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "CCCCCCCC/C=C\\CCCCCCCC(=O)O",
    "[Na+].[O-]C(=O)c1ccccc1",
    "C[N+](C)(C)CC([O-])=O",
    "O=c1cccc[nH]1",
    "[2H]C(Cl)(Cl)Cl",
]
reward = Caption2Mol()


@lru_cache(maxsize=1)
def chebi() -> list[str]:
    """400 molecules of ChEBI-20's validation part, drawn with a fixed seed."""
    with CHEBI.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row["SMILES"].replace("\\\\", "\\") for row in random.Random(7).sample(rows, 400)]


@given(st.sampled_from(MOLECULES), st.randoms(use_true_random=False), st.sampled_from(["", " ", "\n", "\t ", "\u200b"]))
@settings(max_examples=60, deadline=None)
def test_any_spelling_of_the_reference_is_correct(smiles: str, draw: random.Random, gap: str) -> None:
    from rdkit import Chem

    mol = read_molecule(smiles)
    order = list(range(mol.GetNumAtoms()))
    draw.shuffle(order)
    spelled = Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False)
    said = selfies.encoder(spelled).replace("][", f"]{gap}[")
    for gold in (smiles, selfies.encoder(smiles)):
        assert reward(f"<answer>{said}</answer>", gold).correct
        assert reward(spelled, gold).value == 1.0


@given(st.sampled_from(MOLECULES), st.sampled_from(MOLECULES))
@settings(max_examples=60, deadline=None)
def test_similarity_is_symmetric_and_bounded(one: str, other: str) -> None:
    a, b = MoleculeFeatures(read_molecule(one)), MoleculeFeatures(read_molecule(other))
    assert similarities(a, b) == similarities(b, a)
    assert 0 <= similarity(similarities(a, b)) <= 1
    assert similarity(similarities(a, a)) == pytest.approx(1)
    assert reward(one, other).correct == (one == other)


@pytest.mark.parametrize(
    ("gold", "descending"),
    [
        (
            "C[C@@H](N)C(=O)O",
            [
                "C[C@@H](N)C(=O)O",
                "C[C@@H]([NH3+])C(=O)[O-]",
                "C[C@@H](N)C(=O)[O-]",
                "C[C@H](N)C(=O)O",
                "C[C@@H](N)C(=O)OC",
                "c1ccccc1",
            ],
        ),
        ("O=C1CCCCC1", ["O=C1CCCCC1", "OC1=CCCCC1", "O=C1CCCCC1.Cl", "CC1CCCCC1=O", "C"]),
        (ASPIRIN, [ASPIRIN, "CC(=O)Oc1ccccc1C(=O)[O-]", "CC(=O)Oc1ccccc1C(=O)OC", "OC(=O)c1ccccc1O", "CCCCCC"]),
    ],
)
def test_the_match_tiers_descend(gold: str, descending: list[str]) -> None:
    values = [reward(said, gold).value for said in descending]
    assert values == sorted(set(values), reverse=True)
    assert values[0] == 1
    assert values[-1] == 0
    assert sum(reward(said, gold).correct for said in descending) == 1


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [
        ("C[C@H](N)C(=O)O[Na]", "C[C@@H](N)C(=O)[O-].[Na+]"),  # the salt, drawn with a bond to the metal
        ("C[S@](=O)c1ccccc1", "C[S@@+]([O-])c1ccccc1"),  # the sulfoxide, drawn with separated charges
        ("F[C@H](Cl)N=[N+]=[N-]", "F[C@@H](Cl)[N-][N+]#N"),
    ],
)
def test_the_other_enantiomer_in_another_drawing_is_a_stereoisomer(predicted: str, gold: str) -> None:
    said, known = MoleculeFeatures(read_molecule(predicted)), MoleculeFeatures(read_molecule(gold))
    assert said.skeleton != known.skeleton  # only the InChI tells that they are connected alike
    score = reward(predicted, gold)
    assert STEREO < score.value < STEREO + STEREO_SPAN
    assert score.terms["rung"] == pytest.approx(score.value)
    assert not score.correct


def test_size_matters_where_bit_fingerprints_are_blind() -> None:
    assert reward("C" * 30, "C" * 10).value < reward("C" * 12, "C" * 10).value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "malformed_answer"),
        ("I don't know", "malformed_answer"),
        ("[C@H1]][Branch1]", "malformed_answer"),
        ("[nop]", "malformed_answer"),
        ("[C]" * 1501, "too_long"),
        ("C" * 1001, "too_long"),
        ("C" * 12_000, "too_long"),
        ("C" + "(C" * 400 + ")" * 400, "too_long"),
    ],
)
def test_what_is_no_molecule(text: str, reason: str) -> None:
    with pytest.raises(UnreadableMolecule, match=reason):
        read_molecule(text)


def test_more_rings_than_smiles_can_number() -> None:
    smiles = "C1CC1" * 3  # rings of one decoded string are numbered apart
    assert read_molecule(selfies.encoder(smiles)).GetNumAtoms() == 9
    with pytest.raises(UnreadableMolecule, match="too_many_rings"):
        read_molecule(selfies.encoder("C1CC1" * 110))


@pytest.mark.parametrize(
    ("response", "correct", "reason"),
    [
        (f"<answer>{ASPIRIN}</answer><answer>CCO</answer>", False, "ambiguous_answer"),
        (f"<answer>{ASPIRIN}</answer> or \n<answer>O=C(O)c1ccccc1OC(C)=O</answer>", True, "correct"),
        (f"\\boxed{{{ASPIRIN}}} \\boxed{{CCO}}", False, "ambiguous_answer"),
        (f"{ASPIRIN}\nCCO", False, "ambiguous_answer"),
        (f"First I thought of [C][C][O].\nFinal answer: {ASPIRIN}", True, "correct"),
        (f"```smiles\n{ASPIRIN}\n```", True, "correct"),
        (f"<think>{ASPIRIN}", False, "no_answer"),
    ],
)
def test_commitment(response: str, correct: bool, reason: str) -> None:
    score = reward(response, ASPIRIN)
    assert (score.correct, score.reason) == (correct, reason)


HUGE = (
    "C" * 12_000,
    "(" * 50_000,
    "[C]" * 100_000,
    "[C][Branch1]" * 700,
    "[C][Ring1]" * 700,
    "C1CC1." * 300,
    "\U0001f600" * 200_000,
    "\\boxed{" * 50_000,
    "<answer>" * 50_000,
    "\u202e[C]" * 3_000,
    "true " * 200_000,
    "not " * 100_000 + "true",
    "of" + " " * 20_000 + "CCO",
)


@pytest.mark.parametrize("text", HUGE, ids=range(len(HUGE)))
def test_hostile_input_is_cheap(text: str) -> None:
    before = time.process_time()
    assert reward(text, ASPIRIN).value <= 0.02
    PropertyChoice()(text, "False")
    assert time.process_time() - before < 5  # each is a few hundredths of a second; without caps many take minutes


GOLDS = [
    pytest.param(lambda: molecules(200), id="generated"),
    pytest.param(chebi, id="published", marks=needs_chebi),
]


@pytest.mark.parametrize("references", GOLDS)
def test_answers_that_ignore_the_question_earn_nothing(references: Callable[[], list[str]]) -> None:
    golds = references()
    for constant in (
        "I don't know",
        "[C]",
        ASPIRIN,
        golds[0],
        "CCCCCCCCCCCCCCCC(=O)O",
        "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    ):
        mean = statistics.mean(reward(constant, gold).value for gold in golds[1:])
        assert mean <= 0.02, constant
    rotated = golds[1:] + golds[:1]
    assert statistics.mean(reward(said, gold).value for said, gold in zip(rotated, golds, strict=True)) <= 0.02
    assert all(reward(gold, gold).correct for gold in golds)


@pytest.mark.parametrize("references", GOLDS)
def test_a_small_change_to_the_reference_still_earns(references: Callable[[], list[str]]) -> None:
    from rdkit import Chem

    values = []
    for gold in references()[:150]:
        mol = Chem.RWMol(read_molecule(gold))
        ends = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetDegree() == 1 and atom.GetSymbol() == "O"]
        if mol.GetNumHeavyAtoms() < 15 or not ends:
            continue
        mol.RemoveAtom(ends[0])
        try:
            Chem.SanitizeMol(mol)
            values.append(reward(Chem.MolToSmiles(mol), gold).value)
        except (ValueError, RuntimeError):
            continue
    assert len(values) > 50
    assert statistics.mean(values) > 0.2
    assert max(values) < 1


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("True", True),
        ("**False**", False),
        ("0", False),
        ("It is not true.", False),
        ("It isn't false", True),
        ("I don't think it is true", False),
        ("untrue", False),
        ("Yes, it crosses the barrier", True),
        ("There is no nitrogen, hence False", False),
        ("True rather than False", True),
        ("That is not correct", False),
        ("The correct answer is False", False),
        ("It is probably true", True),
        ("True or False", "both"),
        ("could be true", "both"),
        ("It can be true", "both"),
        ("True (0)", "both"),
        ("False = 1", "both"),
        ("True (1)", True),
        ("False (0)", False),
        ("True is not the answer", False),
        ("False is not my final answer", True),
        ("It is false that the statement is false", "both"),
        ("不成立", False),
        ("✅", True),
        ("❌", False),
        ("Certainly not.", False),
        ("{'label': 0}", False),
        ("The predicted class is 1", True),
        ("not necessarily true", "both"),
        ("neither true nor false", "both"),
        ("Is it true? No.", "both"),
        ("The molecule contains no ring", "neither"),
        ("", "neither"),
    ],
)
def test_parse_true_false(text: str, side: bool | str) -> None:
    assert parse_true_false(text) == side


def test_property_values() -> None:
    chemistry = PropertyChoice()
    for denied in (
        "I don't think the answer is True.",
        "It is not true that the answer is: True",
        "I doubt the answer is True",
    ):
        assert not chemistry(denied, "True").correct
    assert chemistry("I have no doubt: the answer is True", "True").correct
    assert chemistry("Reasons.\nAnswer: True", "1").value == 1
    assert chemistry("Answer: True", "No").reason == "wrong"
    assert chemistry("\\boxed{True}\n\\boxed{False}", "True").reason == "ambiguous_answer"
    assert chemistry("Answer: True", "unknown").outcome == "abstained"


@pytest.mark.parametrize(
    ("gold", "said", "correct"),
    [
        ("*CC(=O)O", "The answer is *CC(=O)O.", True),
        ("*CC*", "<answer>*CC*</answer>", True),
        ("CC(=O)N*", "Answer: CC(=O)N*", True),
        ("CCO", "*CCO*", True),  # no open end in the reference: emphasis
        ("CC(=O)N*", "CC(=O)N", False),
        ("[Cu+2].N.N", "N->[Cu+2]<-N", True),
        ("O->[Zn+2]", "[Zn+2].O", True),
        ("N->[Co+3]", "The complex is N->[Co+3].", True),
        ("N->[Co+3]", "The complex is O->[Co+3].", False),
        ("*CC(=O)O", "**\\*CC(=O)O**", True),
        ("[NH3]->[Co+3](<-[NH3])<-[NH3]", "N.N.N.[Co+3]", True),
        ("[S]", "S", False),
        ("[B]", "B", False),
        ("[Cl]", "[Cl]", True),
        ("[H][H]", "[H][H]", True),
        ("[H+]", "[H]", False),
        ("O=Cl(=O)(=O)O", "[O][=Cl][=Branch1][C][=O][=Branch1][C][=O][O]", True),
        ("C[N+](=O)[O-]", "[C][N][=Branch1][C][=O][=O]", True),
        ("NCC(=O)O", "[NH3+]CC(=O)[O-]", False),
        ("CC(=O)C", "CC(O)=C", False),
        ("CC(=O)O[Na]", "CC(=O)[O-].[Na+]", True),
        ("C[S+]([O-])C", "CS(C)=O", True),
        ("C[C@H]1[C@H]2[C@H]3[C@@H]1[C@@H]2[C@]3(C)[O]", "C[C@H]1[C@H]2[C@H]3[C@@H]1[C@@H]2[C@]3(C)[O]", True),
    ],
)
def test_what_is_the_same_molecule(gold: str, said: str, correct: bool) -> None:
    assert reward(said, gold).correct is correct


@pytest.mark.parametrize(
    "gold", ["C[C@H]1[C@H]2[C@H]3[C@@H]1[C@@H]2[C@]3(C)[O]", "C[C@H](O)[C@@H](N)C(=O)O", "C/C=C/C"]
)
def test_spellings_that_rdkit_writes_itself_are_correct(gold: str) -> None:
    from rdkit import Chem

    for spelled in Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(gold), 12, randomSeed=5):
        assert reward(spelled, gold).correct, spelled


def test_an_atom_is_water_where_the_prompt_asks_for_selfies() -> None:
    assert reward("O", "[O]", "Write it in SELFIES.").correct
    assert not reward("O", "[O]").correct


@pytest.mark.parametrize(
    ("gold", "reduced"),
    [
        ("O=C1C=CC(=O)C=C1", "Oc1ccc(O)cc1"),
        ("CC(=O)C", "CC(O)C"),
        ("N=C1C=CC(=N)C=C1", "Nc1ccc(N)cc1"),
        ("O=C1OC(C(O)CO)C(=O)C1=O", "OCC(O)C1OC(=O)C(O)=C1O"),
        ("CC(=O)C(C)=O", "CC(O)C(C)=O"),
    ],
)
def test_redox_pairs_are_different_molecules(gold: str, reduced: str) -> None:
    for one, other in ((gold, reduced), (reduced, gold)):
        assert reward(one, other).value <= 0.6


@pytest.mark.parametrize(
    ("gold", "without"),
    [
        ("C[C@H](N)C(=O)O", "CC(N)C(=O)O"),
        ("OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O", "OCC1OC(O)C(O)C(O)C1O"),
        ("C/C=C/C", "CC=CC"),
    ],
)
def test_a_guessed_center_earns_no_more_than_none(gold: str, without: str) -> None:
    mirror = gold.replace("@@", "!").replace("@", "@@").replace("!", "@").replace("/C=C/", "/C=C\\")
    one_wrong = gold.replace("@@", "@", 1) if "@@" in gold else gold.replace("@", "@@", 1)
    assert reward(mirror, gold).value <= reward(without, gold).value
    if "@" in gold:
        assert reward(one_wrong, gold).value <= reward(without, gold).value


ACETIC, SYMBOLS = "CC(=O)O", "[C][C][=Branch1][C][=O][O]"


@pytest.mark.parametrize(
    "said",
    [
        f"The molecule is acetic acid ({ACETIC}).",
        f"<answer>{ACETIC} (acetic acid, a C2 acid)</answer>",
        f"<molecule>{ACETIC}</molecule>",
        f"<answer><SMILES>{ACETIC}</SMILES></answer>",
        f'{{"selfies": "{SYMBOLS}"}}',
        f'```json\n{{"smiles": "{ACETIC}", "name": "acetic acid"}}\n```',
        f"{SYMBOLS}</s>",
        f"[BOS]{SYMBOLS}[EOS]",
        f"<|selfies_start|>{SYMBOLS}<|selfies_end|>",
        f"{SYMBOLS},",
        f"答案是：{ACETIC}",
        f"<answer>{SYMBOLS}\n{SYMBOLS}</answer>",
        f"{SYMBOLS}\n\nHere [C] is carbon and [=O] a carbonyl oxygen.",
        f"My first guess CCO is wrong. The answer is {ACETIC}.",
        f"It is not an alcohol, so the answer is {ACETIC}.",
        f"{ACETIC}, not CCO",
        f"The molecule is not ethanol; it is {ACETIC}",
        f"The answer is not CCO but {ACETIC}",
        f"The answer is {ACETIC} because the acid is C(=O)O.",
        f"“{ACETIC}”",
        f"({ACETIC})",
        f"\\({ACETIC}\\)",
        f"\\[\\text{{{ACETIC}}}\\]",
        f"\\boxed{{\\textbf{{{ACETIC}}}}}",
        f"<b>{ACETIC}</b>",
        f"&lt;answer&gt;{ACETIC}&lt;/answer&gt;",
        f"{{'smiles': '{ACETIC}'}}",
        f'{{"smiles": "{ACETIC}", "selfies": "{SYMBOLS}"}}',
        f"该分子的SMILES为：{ACETIC}",
        f"SELFIES: {SYMBOLS}\nSMILES: {ACETIC}",
    ],
)
def test_a_molecule_is_found_in_its_wrapping(said: str) -> None:
    assert reward(said, ACETIC).correct


@pytest.mark.parametrize(
    "said",
    [
        f"The answer is not {ACETIC}",
        f"It cannot be {ACETIC}",
        f"Answer: anything but {ACETIC}",
        f"<answer>not {ACETIC}</answer>",
        f"{ACETIC} is wrong",
        f"{ACETIC} is not the answer.",
        f"It is not true that the answer is {ACETIC}",
        f"I do not think the answer is {ACETIC}",
        f"I don't think the answer is {ACETIC}",
        f"{ACETIC}? No.",
        f"Everything except {ACETIC}",
        f"<answer>{ACETIC} (wrong)</answer>",
        f"<answer>{ACETIC} (or CCO)</answer>",
        f"The correct answer is something different from {ACETIC}",
        f"The answer is definitely not {SYMBOLS}",
        f"neither {ACETIC} nor CCO",
        f"The answer is none of these: {ACETIC}",
        f"\\boxed{{\\neq {ACETIC}}}",
        f"answer != {ACETIC}",
        f"答案不是 {ACETIC}",
        f"答案 {ACETIC} 是错误的",
        f"除了 {ACETIC} 以外",
        f"Die Antwort ist nicht {ACETIC}",
        f"I refuse to answer {ACETIC}",
        f"This is the wrong molecule: {ACETIC}",
        f"❌ {ACETIC}",
        f"<answer>{ACETIC}</answer> is wrong",
        f"{ACETIC}\n\nNo.",
        f"{ACETIC}\nJust kidding.",
        f"not only CCO but {ACETIC}",
        f"SELFIES: {SYMBOLS}\nSMILES: CCO",
        f"SELFIES: [C][C][O]\nSMILES: {ACETIC}",
        f'{{"answer": "{ACETIC}", "smiles": "CCO"}}',
        f"methyl {ACETIC}",
        f"{ACETIC} (methylated)",
        f"Take {ACETIC} and remove the oxygen",
    ],
)
def test_a_denied_molecule_is_no_answer(said: str) -> None:
    assert reward(said, ACETIC).value <= 0.02


@pytest.mark.parametrize("molecule", [ASPIRIN, "[C][C][=Branch1][C][=O][O]"])
@pytest.mark.parametrize(
    "relation",
    [
        *(
            "methyl ester of",
            "enantiomer of",
            "sodium salt of",
            "conjugate base of",
            "hydrate of",
            "dimer of",
            "analog of",
        ),
        *(
            "reduced form of",
            "hydrochloride of compound",
            "anion of the acid",
            "prodrug of:",
            "mirror image of the molecule",
        ),
        *(
            "acid derived from",
            "one carbon longer than",
            "compound similar to",
            "precursor for",
            "same without the ring as",
        ),
        "ester of methanol and",
    ],
)
def test_a_molecule_by_way_of_which_another_is_named_is_no_answer(relation: str, molecule: str) -> None:
    gold = ASPIRIN if molecule == ASPIRIN else ACETIC
    for said in ("The answer is the {}", "It is the {}.", "<answer>the {}</answer>", "It is an acid (the {})."):
        assert reward(said.format(f"{relation} {molecule}"), gold).value <= 0.02, said
    assert reward(f"It is the {relation}\n{molecule}", gold).value <= 0.02


@pytest.mark.parametrize(
    "said",
    [
        f"The answer is {ACETIC} methyl ester",
        f"The answer is {ACETIC}'s sodium salt",
        f"<answer>{ACETIC} hydrochloride</answer>",
        f"It is {SYMBOLS} methyl ester",
        f"The answer is {ACETIC} with an additional methyl group",
        f"It is {ACETIC} with the hydroxy group replaced by chlorine",
        f"{ACETIC}\n\nNo, that is wrong. It is CCO.",
        f"{ACETIC}\n\nExplanation: this is not the answer.",
        f"{ACETIC}\n\nExplanation: that was wrong, CCO",
        f"{ACETIC}\n\nExplanation: it has a chain CCCC(=O)O",
    ],
)
def test_a_molecule_that_is_changed_or_taken_back_behind_it_is_no_answer(said: str) -> None:
    assert reward(said, ACETIC).value <= 0.02


@pytest.mark.parametrize(
    "said",
    [
        "{}\n\nExplanation: the acetyl group is CC(=O).",
        "**{}**\n\nExplanation: the acetyl group is CC(=O)",
        "SMILES: {}\nHere C(=O)O is the carboxy group.",
        "The answer is {}, the precursor of acetyl-CoA.",
        "The answer is {} (the conjugate acid of acetate)",
        "The molecule is {}, which is a derivative of methane.",
        "The molecule has the structure of {}",
        "The SMILES of the ester is wrong; the answer is {}",
        "{} is a precursor of many esters.",
        "It is {} with the carboxy group",
    ],
)
def test_what_is_said_about_a_molecule_leaves_it_the_answer(said: str) -> None:
    assert reward(said.format(ACETIC), ACETIC).correct


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("The statement is wrong.", "False"),
        ("The claim is not right.", "False"),
        ("The statement holds.", "True"),
        ("It does not hold.", "False"),
        ("__True__", "True"),
        ("Hence, the answer is 1.", "True"),
        ("Answer: unlikely to be true", "False"),
        ("Answer: True is incorrect", "False"),
        ("Answer: false because " + "x " * 1_200, "False"),
    ],
)
def test_truth_values_in_other_words(said: str, gold: str) -> None:
    assert PropertyChoice()(said, gold).correct


@pytest.mark.parametrize("said", ["Answer: true?", "Answer: False?", "Is it true?", "true or false?"])
def test_a_question_takes_no_side(said: str) -> None:
    assert not any(PropertyChoice()(said, gold).correct for gold in ("True", "False"))


@pytest.mark.parametrize("share", [0.5, 0.2, 0.9])
def test_a_constant_answer_earns_nothing_above_the_base_rate(share: float) -> None:
    golds = ["True"] * round(10 * share) + ["False"] * round(10 * (1 - share))
    for constant in ("True", "False"):
        values = [PropertyChoice()(f"Answer: {constant}", gold, {"base_rate": share}).value for gold in golds]
        assert statistics.mean(values) == pytest.approx(0)
    assert all(PropertyChoice()(f"Answer: {gold}", gold, {"base_rate": share}).value > 0 for gold in golds)
    assert PropertyChoice()("True", "True", {"base_rate": 7}).outcome == "abstained"
