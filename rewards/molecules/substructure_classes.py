"""Decide classes of molecules by what a member must contain.

The conditions are necessary ones: `class_patterns` has those that a substructure states, `RULES` the rest (how many
groups, which rings, a separate molecule of water). A name is looked up by its longest known ending, after substituents
only, so "a fatty acid methyl ester" is checked as a methyl ester and "2-methoxyphenol" as a phenol. Charge is checked
the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from rewards.molecules.class_patterns import ACID, SMARTS

_SUBSTITUENTS = (
    "hydroxy",
    "methoxy",
    "ethoxy",
    "amino",
    "chloro",
    "bromo",
    "fluoro",
    "iodo",
    "nitro",
    "methyl",
    "phenoxy",
    "phenyl",
)
_CHANGES_MEANING: tuple[str, ...] = (
    "seco-",
    "non-",
    "nor-",
    "n-acyl-",
    "dehydro",
    "aci-",
    "o-",
    "silyl ",
    "borate ",
    "of ",
    "n-alkyl-",
)
_CHANGES_MEANING += ("'s ", "aza-", "aza", "thia-", "oxa-", "carba", "homo", "-free ", "cyclo", "bi", "non")
CHARGE_SIGNS = {"anion": -1, "dianion": -1, "trianion": -1, "oxoanion": -1, "cation": 1, "dication": 1}

FUSED = {"bi": 2, "tri": 3, "tetra": 4, "penta": 5, "hexa": 6, "hepta": 7, "octa": 8}


def _count(smarts: str, least: int, most: int = 10_000) -> Callable[[Any], bool]:
    pattern = Chem.MolFromSmarts(smarts)
    return lambda molecule: least <= len(molecule.GetSubstructMatches(pattern, maxMatches=most + 1)) <= most


def fused_rings(least: int, hetero: bool, most: int = 10_000) -> Callable[[Any], bool]:
    """Ring systems that share atoms, with a hetero atom in a ring where one is asked for."""

    def rule(molecule: Any) -> bool:
        systems: list[tuple[set[int], int]] = []
        for ring in map(set, molecule.GetRingInfo().AtomRings()):
            apart = [one for one in systems if not one[0] & ring]
            joined = [one for one in systems if one[0] & ring]
            systems = [*apart, (ring.union(*(one[0] for one in joined)), 1 + sum(one[1] for one in joined))]
        element = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
        return any(
            least <= size <= most and (not hetero or any(element[i] != 6 for i in ring)) for ring, size in systems
        )

    return rule


def _all_of(*rules: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda molecule: all(rule(molecule) for rule in rules)


def _without(smarts: str) -> Callable[[Any], bool]:
    pattern = Chem.MolFromSmarts(smarts)
    return lambda molecule: not molecule.HasSubstructMatch(pattern)


def _peptide(residues: int) -> Callable[[Any], bool]:
    """Return a rule for peptide bonds of so many residues, in a chain or in a ring."""

    def rule(molecule: Any) -> bool:
        bonds = molecule.GetSubstructMatches(_PEPTIDE_BOND, maxMatches=200)
        ring = any(atoms[0] in one and atoms[2] in one for one in molecule.GetRingInfo().AtomRings() for atoms in bonds)
        return len(bonds) == residues - 1 or (ring and len(bonds) == residues)

    return rule


def sugar_rings(molecule: Any) -> int:
    """Return how many rings have one oxygen, otherwise saturated carbon, and two hetero atoms or more on them."""
    count = 0
    for ring in molecule.GetRingInfo().AtomRings():
        atoms = [molecule.GetAtomWithIdx(index) for index in ring]
        carbons = [
            atom for atom in atoms if atom.GetAtomicNum() == 6 and atom.GetHybridization() == Chem.HybridizationType.SP3
        ]
        oxygens = sum(atom.GetAtomicNum() == 8 for atom in atoms)
        borne = sum(
            any(one.GetAtomicNum() in (7, 8) and one.GetIdx() not in ring for one in atom.GetNeighbors())
            for atom in carbons
        )
        count += len(ring) in (5, 6) and oxygens == 1 and len(carbons) == len(ring) - 1 and borne >= 2
    return count


def _saccharide(units: int) -> Callable[[Any], bool]:
    """Return a rule for so many sugars, one of which may be open and then has four hetero atoms."""

    def rule(molecule: Any) -> bool:
        rings = sugar_rings(molecule)
        hetero = sum(atom.GetAtomicNum() in (7, 8) for atom in molecule.GetAtoms())
        return rings == units or (rings == units - 1 and hetero >= 4 * units + 1 - (units == 1))

    return rule


def _sugar(formula: str, carbonyl: str) -> Callable[[Any], bool]:
    """Return a rule for a simple sugar of a formula, whose carbonyl carbon, free or in a ring, has the pattern."""
    pattern = Chem.MolFromSmarts(f"[{carbonyl}]")
    return lambda molecule: rdMolDescriptors.CalcMolFormula(molecule) == formula and molecule.HasSubstructMatch(pattern)


_RESIDUE_ACYL = ",".join(f"$(C{'[CX4]' * length}[#7])" for length in (1, 2, 3))
_RESIDUE_AMINE = ",".join(f"$(N{'[CX4]' * length}[CX3]=O)" for length in (1, 2, 3))
_PEPTIDE_BOND = Chem.MolFromSmarts(f"[CX3;{_RESIDUE_ACYL}](=O)[NX3;{_RESIDUE_AMINE}]")
_PEPTIDES = {"di": 2, "tri": 3, "tetra": 4, "penta": 5, "hexa": 6, "hepta": 7, "octa": 8, "nona": 9, "deca": 10}
_SACCHARIDES = {"mono": 1, "di": 2, "tri": 3, "tetra": 4, "penta": 5, "hexa": 6}
_ALDOSE = "$([CX3H1](=O)[#6]),$([CX4;H1;R]([OX2H])[O;R])"
_KETOSE = "$([#6][CX3](=O)[#6]),$([CX4;H0;R]([OX2H])[O;R])"
_SUGARS = {"tetrose": "C4H8O4", "pentose": "C5H10O5", "hexose": "C6H12O6", "heptose": "C7H14O7"}
_HYDROCARBON = _without("[!#6;!#1]")
_SATURATED = _without("[#6]=,#,:[#6]")
_OPEN = _without("[R]")
_UNBRANCHED = _without("[#6](~[#6])(~[#6])~[#6]")

RULES: dict[str, Callable[[Any], bool]] = {
    **{f"{name}peptide": _peptide(number) for name, number in _PEPTIDES.items()},
    "peptide": lambda molecule: molecule.HasSubstructMatch(_PEPTIDE_BOND),
    **{f"{name}saccharide": _saccharide(number) for name, number in _SACCHARIDES.items()},
    "oligosaccharide": lambda molecule: sugar_rings(molecule) > 1,
    **{name: _sugar(formula, f"{_ALDOSE},{_KETOSE}") for name, formula in _SUGARS.items()},
    **{f"aldo{name}": _sugar(formula, _ALDOSE) for name, formula in _SUGARS.items()},
    **{f"keto{name}": _sugar(formula, _KETOSE) for name, formula in _SUGARS.items()},
    "hydrocarbon": _HYDROCARBON,
    "saturated hydrocarbon": _all_of(_HYDROCARBON, _SATURATED),
    "alkane": _all_of(_HYDROCARBON, _SATURATED, _OPEN),
    "straight-chain alkane": _all_of(_HYDROCARBON, _SATURATED, _OPEN, _UNBRANCHED),
    "branched alkane": _all_of(_HYDROCARBON, _SATURATED, _OPEN, lambda molecule: not _UNBRANCHED(molecule)),
    "cycloalkane": _all_of(_HYDROCARBON, _SATURATED, lambda molecule: not _OPEN(molecule)),
    "alkene": _all_of(_HYDROCARBON, _count("C=C", 1)),
    "cycloalkene": _all_of(_HYDROCARBON, _count("[C;R]=[C;R]", 1)),
    "alkyne": _all_of(_HYDROCARBON, _count("C#C", 1)),
    "arene": _all_of(_HYDROCARBON, _count("c", 1)),
    "saturated fatty acid": _all_of(_count(ACID, 1), _SATURATED),
    "unsaturated fatty acid": _all_of(_count(ACID, 1), lambda molecule: not _SATURATED(molecule)),
    "monocarboxylic acid": _count(ACID, 1, 1),
    "tricarboxylic acid": _count(ACID, 3),
    "tetracarboxylic acid": _count(ACID, 4),
    "bridged compound": lambda molecule: rdMolDescriptors.CalcNumBridgeheadAtoms(molecule) > 0,
    "polycyclic cage": lambda molecule: rdMolDescriptors.CalcNumBridgeheadAtoms(molecule) > 0,
    "spiro compound": lambda molecule: rdMolDescriptors.CalcNumSpiroAtoms(molecule) > 0,
    "oxaspiro compound": lambda molecule: rdMolDescriptors.CalcNumSpiroAtoms(molecule) > 0,
    "azaspiro compound": lambda molecule: rdMolDescriptors.CalcNumSpiroAtoms(molecule) > 0,
    "ring assembly": lambda molecule: rdMolDescriptors.CalcNumRings(molecule) > 1,
    "macrocycle": lambda molecule: any(len(ring) > 8 for ring in molecule.GetRingInfo().AtomRings()),
    **{f"organic hetero{name}cyclic compound": fused_rings(least, True) for name, least in FUSED.items()},
    **{f"carbo{name}cyclic compound": fused_rings(least, False) for name, least in FUSED.items()},
}
"""Name endings, in the singular, and what no pattern can state."""


_WHOLE_WORDS = frozenset({"alkane", "alkene", "alkyne", "arene", "hydrocarbon", "amide", "azide", "sulfide", "diene"})
"""Endings that are something else behind another part of the word: `bromoalkane`."""


@lru_cache(maxsize=20_000)
def known_ending(phrase: str) -> str | None:
    """Return the longest ending of a class's name that is a key of `RULES` or `SMARTS`.

    What stands before the ending must leave its meaning.
    """
    endings = ((phrase[:i], phrase[i:]) for i in range(len(phrase)))
    known = ((before, name) for before, name in endings if name in RULES or name in SMARTS)
    return next(
        (
            name
            for before, name in known
            if _may_end(before) and not (before and name in _WHOLE_WORDS and before[-1].isalnum())
        ),
        None,
    )


def _may_end(before: str) -> bool:
    if before.endswith(_CHANGES_MEANING):
        return False
    return not before or not before[-1].isalnum() or before.endswith(_SUBSTITUENTS)


@lru_cache(maxsize=512)
def _pattern(ending: str) -> Any:
    pattern = Chem.MolFromSmarts(SMARTS[ending])
    assert pattern is not None, ending
    return pattern


def holds(phrase: str, molecule: Any) -> bool | None:
    """Return whether `molecule` can be a member of the class that `phrase` names.

    None where no pattern decides.

        `phrase` is lower-case and singular, `molecule` an RDKit molecule.
    """
    last = phrase.rsplit(" ", 1)[-1].split("(")[0]
    if last in CHARGE_SIGNS:
        charges = [atom.GetFormalCharge() for atom in molecule.GetAtoms()]
        return any(charge * CHARGE_SIGNS[last] > 0 for charge in charges)
    if last == "zwitterion":
        charges = [atom.GetFormalCharge() for atom in molecule.GetAtoms()]
        return sum(charges) == 0 and any(charges)
    ending = known_ending(phrase)
    if ending is None:
        return None
    if rule := RULES.get(ending):
        return rule(molecule)
    return bool(molecule.HasSubstructMatch(_pattern(ending)))
