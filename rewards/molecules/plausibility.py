"""Tell molecules that could exist in a bottle from those that only fit a formula.

Rewards without one right answer are met by strings that no chemist would draw: chains of nitrogen, a second molecule
behind a dot, a triple bond in a small ring. The gates here are those of ether0 (fragments, counter-ions, bad
substructures, plausible rings and surroundings of atoms). Surroundings are compared with those of a million known
molecules by the synthetic-accessibility score of Ertl and Schuffenhauer (2009), which RDKit ships. A second fragment is
a counter-ion or part of the given molecule, and atoms have no isotope that nobody asked for.

    implausible(Chem.MolFromSmiles("NNNNNN"))   # 'bad_substructure'
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

from rdkit import Chem
from rdkit.Contrib.SA_Score import sascorer

MAX_FRAGMENTS = 2
MAX_COUNTER_ION_ATOMS = 5
MAX_RARITY = 6.5
"""The greatest accessibility score, 1 (easy) to 10; most of ChEBI and of drugs lies below 6."""
BAD = {
    "chain of hetero atoms": "[N,O,S;!R;X2,X3;+0]-!@[N,O;!R;X2,X3;+0]-!@[N,O,S;!R;X2,X3;+0]",
    "peroxide chain": "[OX2][OX2][OX2]",
    "halogen on a hetero atom": "[F,Cl,Br,I;X1]-[N,O,F,Cl,Br,I;+0]",
    "cumulated double bonds in a small ring": "[r3,r4,r5,r6,r7]=[#6;r3,r4,r5,r6,r7]=[r3,r4,r5,r6,r7]",
    "triple bond in a small ring": "[#6;r3,r4,r5,r6,r7]#[#6,#7;r3,r4,r5,r6,r7]",
    "carbon without its valences": "[#6;v0,v1,v2,v3;+0;!$([#6-]);!$([#6]#[O,N])]",
    "hemiaminal of nitrogen chains": "[NX3]([NX3])[NX3]",
    "geminal hydroxy groups": "[CX4;!$(C(F)F);!$(C(Cl)Cl)]([OX2H])([OX2H])",
    "small ring at a small ring's double bond": "C1=CC=1",
}


@lru_cache(maxsize=1)
def _patterns() -> list[Any]:
    return [Chem.MolFromSmarts(smarts) for smarts in BAD.values()]


def implausible(mol: Any, given: Any = None, example: Any = None) -> str:
    """Return why a molecule is not plausible, empty where it is.

    Args:
        mol: The molecule.
        given: The molecule that the task started from; what it contains is allowed.
        example: A molecule that does what the task asks; its isotopes are allowed.
    """
    if _loose_fragments(mol, given):
        return "fragments"
    if not any(_isotopes(mol) <= _isotopes(known) for known in (None, given, example)):
        return "isotope"
    if any(atom.GetNumRadicalElectrons() or not atom.GetAtomicNum() for atom in mol.GetAtoms()):
        return "open_valence"
    for pattern in _patterns():
        if mol.HasSubstructMatch(pattern) and (given is None or not given.HasSubstructMatch(pattern)):
            return "bad_substructure"
    limit = MAX_RARITY if given is None else max(MAX_RARITY, rarity(given) + 0.5)
    return "rare_structure" if rarity(mol) > limit else ""


def fragments(mol: Any) -> list[Any]:
    """Return the fragments of a molecule, the one with the most heavy atoms first."""
    return sorted(Chem.GetMolFrags(mol, asMols=True), key=lambda one: -one.GetNumHeavyAtoms())


def _loose_fragments(mol: Any, given: Any) -> bool:
    """Return whether a molecule has a fragment that is neither the main one, a counter-ion nor part of the given molecule."""
    main, *others = fragments(mol)
    allowed = Counter(map(Chem.MolToSmiles, fragments(given)[1:])) if given is not None else Counter[str]()
    added = list((Counter(map(Chem.MolToSmiles, others)) - allowed).elements())
    if len(added) > MAX_FRAGMENTS - 1:
        return True
    return any(not _counter_ion(Chem.MolFromSmiles(one), Chem.GetFormalCharge(main)) for one in added)


def _counter_ion(mol: Any, charge: int) -> bool:
    """Return whether a fragment is a small ion without carbon, of the opposite sign to `charge`."""
    carbon = any(atom.GetAtomicNum() == 6 for atom in mol.GetAtoms())
    size = mol.GetNumHeavyAtoms()  # 0 of a proton, which belongs to the molecule
    return not carbon and 0 < size <= MAX_COUNTER_ION_ATOMS and Chem.GetFormalCharge(mol) * charge < 0


def _isotopes(mol: Any) -> Counter[tuple[str, int]]:
    atoms = mol.GetAtoms() if mol is not None else ()
    return Counter((atom.GetSymbol(), atom.GetIsotope()) for atom in atoms if atom.GetIsotope())


def rarity(mol: Any) -> float:
    """Return the accessibility score, 1 (common surroundings of atoms, simple rings) to 10."""
    return float(sascorer.calculateScore(mol))
