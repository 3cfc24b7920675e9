"""Score a molecule in SELFIES or SMILES against the reference (Caption2Mol).

The first tier that holds decides:

| tier | what holds | value |
|---|---|---|
| `identical` | same InChI with fixed hydrogens, or same canonical SMILES | 1, the only `correct` one |
| `mobile_hydrogen` | same standard InChIKey: a tautomer, or a zwitterion for the neutral form | `MOBILE_HYDROGEN` |
| `charge_or_tautomer` | same but for protons, charge or a tautomer that InChI keeps apart | `CHARGE_OR_TAUTOMER` |
| `stereo` | same connectivity, other stereochemistry | `STEREO`, up to `+ STEREO_SPAN` by chirality-aware Morgan counts |
| `parent` | same largest component, other counter-ions or solvent | `PARENT` |
| `near` | else | `NEAR` x the part of its similarity above `random_baseline`, rescaled to 0..1 |

A center that is guessed wrong earns no more than one left open. A pair that differs by two hydrogen atoms, such as a
quinone and its hydroquinone, is `near` at best.

So an answer that ignores the question (prose, one carbon, one favorite molecule, another question's molecule) earns
about nothing on average, while an answer near this reference earns a graded part. See `comparison` for similarity and
baseline, `parsing` for what counts as a molecule, `extraction` for where it is looked for.
"""

from __future__ import annotations

from typing import Any

from rdkit import Chem

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.molecules.comparison import MoleculeFeatures, reference, same_in_space, similarities, similarity
from rewards.molecules.extraction import candidates
from rewards.molecules.parsing import DEFAULT, Reading, UnreadableMolecule, is_selfies, read_molecule

MOBILE_HYDROGEN = 0.95
CHARGE_OR_TAUTOMER = 0.85
STEREO, STEREO_SPAN = 0.65, 0.15
PARENT = 0.62
NEAR = 0.6


class Caption2Mol:
    """Reward the reference molecule (SELFIES or SMILES), and nearness to it in part.

    Terms: `morgan`, `maccs`, `formula` (similarities, 0..1; `maccs` is 0 where it cannot matter), `chance` (the random
    baseline that is taken off) and `rung` (the value of the match tier, 0 for `near`). Reasons: `correct`, `partial`,
    `wrong`, `no_answer`, `malformed_answer`, `ambiguous_answer`, `wrong_form`,
    `too_long`, `too_many_rings`; `bad_reference` abstains.
    """

    version = "3"

    def __call__(self, response: str, answer: str, prompt: str = "", info: dict[str, Any] | None = None) -> Score:
        """Score one response.

        `info.form` (`smiles` or `selfies`) refuses the other form; `info.given` is a molecule that the question shows,
        whose similarity to the reference earns nothing.
        """
        info = info or {}
        known = reference(answer.strip(), "selfies" in prompt.lower())
        if known is None:
            return abstain("bad_reference")
        texts = candidates(response, known.reading.dummies)
        if not texts:
            return wrong("no_answer")
        try:
            mol = only_molecule(texts, known.reading)
        except UnreadableMolecule as problem:
            return wrong(str(problem), texts[-1][:300])
        if info.get("form") in ("smiles", "selfies") and is_selfies(_compact(texts[-1])) != (info["form"] == "selfies"):
            return wrong("wrong_form", texts[-1][:300])
        given = reference(str(info["given"])) if info.get("given") else None
        baseline = known.baseline
        if given is not None:
            baseline = max(baseline, min(1 - 1e-9, similarity(similarities(given.features, known.features))))
        return score_molecule(MoleculeFeatures(mol), known.features, baseline)


def _compact(text: str) -> str:
    return "".join(text.split())


def only_molecule(texts: list[str], reading: Reading = DEFAULT) -> Any:
    """Return the one molecule that all readable candidates write.

    Raises:
        UnreadableMolecule: Where they differ or none is one.
    """
    molecules: list[Any] = []
    problem = UnreadableMolecule("malformed_answer")
    for text in texts:
        try:
            molecules.append(read_molecule(text, reading))
        except UnreadableMolecule as error:
            problem = error
    if not molecules:
        raise problem
    if len(molecules) > 1 and len({Chem.MolToSmiles(mol) for mol in molecules}) > 1:
        raise UnreadableMolecule("ambiguous_answer")
    return molecules[-1]


def score_molecule(predicted: MoleculeFeatures, gold: MoleculeFeatures, baseline: float) -> Score:
    """Score a molecule against the reference, whose `random_baseline` is `baseline`."""
    parts = similarities(predicted, gold, above=baseline)
    terms = {**parts, "chance": baseline}
    fixed = match_tier(predicted, gold, parts["morgan"])
    if fixed == 1.0:
        return right(predicted.smiles, **terms, rung=1.0)
    value = max(fixed, NEAR * max(0.0, (similarity(parts) - baseline) / (1 - baseline)))
    return Score(value, False, "partial" if value > 0 else "wrong", predicted.smiles, {**terms, "rung": fixed})


def match_tier(predicted: MoleculeFeatures, gold: MoleculeFeatures, morgan: float) -> float:
    """Return the value of the tier of shared identity, 0 where there is none.

    Identities are computed only for molecules of the same heavy atoms: equal InChI skeletons imply those.
    """
    if predicted.heavy == gold.heavy:
        if predicted.smiles == gold.smiles or (predicted.inchi and predicted.inchi == gold.inchi):
            return 1.0
        if predicted.inchikey and predicted.inchikey == gold.inchikey:
            return MOBILE_HYDROGEN
        if predicted.protons == gold.protons:  # else reduced or oxidised: another molecule
            return _bonded_alike(predicted, gold, morgan)
    return PARENT if _same_parent(predicted, gold) else 0.0


def _bonded_alike(predicted: MoleculeFeatures, gold: MoleculeFeatures, morgan: float) -> float:
    """Return the tier of two molecules with the same heavy atoms and protons."""
    layers, wanted = predicted.inchikey.split("-"), gold.inchikey.split("-")
    if gold.inchikey and layers[:2] == wanted[:2]:
        return CHARGE_OR_TAUTOMER
    connected = predicted.skeleton == gold.skeleton
    if connected and (layers[1:2] == wanted[1:2] or not (_has_stereo(predicted) or _has_stereo(gold))):
        return CHARGE_OR_TAUTOMER
    if connected or (gold.inchikey and layers[0] == wanted[0]):
        return 1.0 if same_in_space(predicted, gold) else STEREO + STEREO_SPAN * _earned_morgan(predicted, gold, morgan)
    return PARENT if _same_parent(predicted, gold) else 0.0


def _earned_morgan(predicted: MoleculeFeatures, gold: MoleculeFeatures, morgan: float) -> float:
    """Return the similarity, where some stereochemistry is wrong at most that of giving none."""
    if gold.mol.HasSubstructMatch(predicted.mol, useChirality=True):
        return morgan
    flat = Chem.Mol(predicted.mol)
    Chem.RemoveStereochemistry(flat)
    return min(morgan, similarities(MoleculeFeatures(flat), gold)["morgan"])


def _has_stereo(one: MoleculeFeatures) -> bool:
    return any(mark in one.smiles for mark in "@/\\")


def _same_parent(predicted: MoleculeFeatures, gold: MoleculeFeatures) -> bool:
    """Return whether the largest components of mixtures are the same."""
    if "." not in predicted.smiles and "." not in gold.smiles:
        return False
    mine, theirs = predicted.parent, gold.parent
    if mine is None or theirs is None or mine.heavy != theirs.heavy or mine.protons != theirs.protons:
        return False
    return mine.skeleton == theirs.skeleton or (bool(mine.inchikey) and mine.inchikey[:14] == theirs.inchikey[:14])
