"""Decide classes of molecules by what a member must contain.

The conditions are necessary ones: `class_patterns` has those that a substructure states, `RULES` the rest (how many
groups, which rings, a molecule of water beside). A name is looked up by its longest known ending, after substituents
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
_CHANGES_MEANING = ("seco-", "non-", "nor-", "n-acyl-", "dehydro", "aci-", "o-", "silyl ", "borate ", "of ", "n-alkyl-")
_CHANGES_MEANING += ("'s ", "aza-", "aza", "thia-", "oxa-", "carba", "homo", "-free ", "cyclo", "bi", "non")
CHARGE_SIGNS = {"anion": -1, "dianion": -1, "trianion": -1, "oxoanion": -1, "cation": 1, "dication": 1}

_FUSED = {"bi": 2, "tri": 3, "tetra": 4, "penta": 5, "hexa": 6, "hepta": 7, "octa": 8}


def _count(smarts: str, least: int, most: int = 10_000) -> Callable[[Any], bool]:
    pattern = Chem.MolFromSmarts(smarts)
    return lambda molecule: least <= len(molecule.GetSubstructMatches(pattern, maxMatches=most + 1)) <= most


def _fused_rings(least: int, hetero: bool) -> Callable[[Any], bool]:
    """Ring systems that share atoms, with a hetero atom in a ring where one is asked for."""

    def rule(molecule: Any) -> bool:
        systems: list[tuple[set[int], int]] = []
        for ring in map(set, molecule.GetRingInfo().AtomRings()):
            apart = [one for one in systems if not one[0] & ring]
            joined = [one for one in systems if one[0] & ring]
            systems = [*apart, (ring.union(*(one[0] for one in joined)), 1 + sum(one[1] for one in joined))]
        element = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
        return any(size >= least and (not hetero or any(element[i] != 6 for i in ring)) for ring, size in systems)

    return rule


RULES: dict[str, Callable[[Any], bool]] = {
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
    **{f"organic hetero{name}cyclic compound": _fused_rings(least, True) for name, least in _FUSED.items()},
    **{f"carbo{name}cyclic compound": _fused_rings(least, False) for name, least in _FUSED.items()},
}
"""Name endings, in the singular, and what no pattern can state."""


@lru_cache(maxsize=20_000)
def known_ending(phrase: str) -> str | None:
    """Return the longest ending of a class's name that is a key of `RULES` or `SMARTS`.

    What stands before the ending must leave its meaning.
    """
    endings = ((phrase[:i], phrase[i:]) for i in range(len(phrase)))
    return next((name for before, name in endings if (name in RULES or name in SMARTS) and _may_end(before)), None)


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
