"""Score a molecule in SELFIES or SMILES against the reference (Caption2Mol).

The first tier that holds decides:

| tier | what holds | value |
|---|---|---|
| `identical` | same standard InChIKey, or same canonical SMILES | 1, the only `correct` one |
| `charge_or_tautomer` | same but for protons, charge or a tautomer that InChI keeps apart | `CHARGE_OR_TAUTOMER` |
| `stereo` | same connectivity, other stereochemistry | `STEREO`, up to `+ STEREO_SPAN` by chirality-aware Morgan counts |
| `parent` | same largest component, other counter-ions or solvent | `PARENT` |
| `near` | else | `NEAR` x the part of its similarity above `random_baseline`, rescaled to 0..1 |

So an answer that ignores the question (prose, one carbon, one favorite molecule, another question's molecule) earns
about nothing on average, while an answer near this reference earns a graded part. See `comparison` for similarity and
baseline, `parsing` for what counts as a molecule, `extraction` for where it is looked for.
"""

from __future__ import annotations

from typing import Any

from rdkit import Chem

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.molecules.comparison import MoleculeFeatures, reference, similarities, similarity
from rewards.molecules.extraction import candidates
from rewards.molecules.parsing import UnreadableMolecule, read_molecule

CHARGE_OR_TAUTOMER = 0.85
STEREO, STEREO_SPAN = 0.65, 0.15
PARENT = 0.62
NEAR = 0.6


class Caption2Mol:
    """Reward the reference molecule (SELFIES or SMILES), and nearness to it in part.

    Terms: `morgan`, `maccs`, `formula` (similarities, 0..1), `chance` (the random baseline that is taken off) and
    `rung` (the value of the match tier, 0 for `near`). Reasons: `correct`, `partial`, `wrong`, `no_answer`,
    `malformed_answer`, `ambiguous_answer`, `too_long`, `too_many_rings`; `bad_reference` abstains.
    """

    version = "2"

    def __call__(self, response: str, answer: str) -> Score:
        """Score one response."""
        known = reference(answer.strip())
        if known is None:
            return abstain("bad_reference")
        gold, baseline = known
        texts = candidates(response)
        if not texts:
            return wrong("no_answer")
        try:
            mol = _only(texts)
        except UnreadableMolecule as problem:
            return wrong(str(problem), texts[-1][:300])
        return score_molecule(MoleculeFeatures(mol), gold, baseline)


def _only(texts: list[str]) -> Any:
    """Return the one molecule that all readable candidates write.

    Raises:
        UnreadableMolecule: Where they differ or none is one.
    """
    molecules: list[Any] = []
    problem = UnreadableMolecule("malformed_answer")
    for text in texts:
        try:
            molecules.append(read_molecule(text))
        except UnreadableMolecule as error:
            problem = error
    if not molecules:
        raise problem
    if len(molecules) > 1 and len({Chem.MolToSmiles(mol) for mol in molecules}) > 1:
        raise UnreadableMolecule("ambiguous_answer")
    return molecules[-1]


def score_molecule(predicted: MoleculeFeatures, gold: MoleculeFeatures, baseline: float) -> Score:
    """Score a molecule against the reference, whose `random_baseline` is `baseline`."""
    parts = similarities(predicted, gold)
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
        if predicted.smiles == gold.smiles or (predicted.inchikey and predicted.inchikey == gold.inchikey):
            return 1.0
        layers, wanted = predicted.inchikey.split("-"), gold.inchikey.split("-")
        if gold.inchikey and layers[:2] == wanted[:2]:
            return CHARGE_OR_TAUTOMER
        same_stereo = layers[1:2] == wanted[1:2]
        if predicted.skeleton == gold.skeleton:
            tautomer = same_stereo or not (_has_stereo(predicted) or _has_stereo(gold))
            return CHARGE_OR_TAUTOMER if tautomer else STEREO + STEREO_SPAN * morgan
        if gold.inchikey and layers[0] == wanted[0]:
            return STEREO + STEREO_SPAN * morgan
    return PARENT if _same_parent(predicted, gold) else 0.0


def _has_stereo(one: MoleculeFeatures) -> bool:
    return any(mark in one.smiles for mark in "@/\\")


def _same_parent(predicted: MoleculeFeatures, gold: MoleculeFeatures) -> bool:
    """Return whether the largest components of mixtures are the same."""
    if "." not in predicted.smiles and "." not in gold.smiles:
        return False
    mine, theirs = predicted.parent, gold.parent
    if mine is None or theirs is None or mine.heavy != theirs.heavy:
        return False
    return mine.skeleton == theirs.skeleton or (bool(mine.inchikey) and mine.inchikey[:14] == theirs.inchikey[:14])
