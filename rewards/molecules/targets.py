"""Say what a molecule has to have, and measure how far one is from it.

A target is one entry of `info`: the formula, how many of some group, atom or ring, a range of a property, a scaffold, a
similarity. `read_targets` turns `info` into functions from a molecule to a degree between 0 and 1; 1 is met.

    targets = read_targets({"formula": "C9H8O4", "groups": {"carboxylic acid": [1, 1]}, "range": {"logP": [0, 3]}})
    [degree(mol) for degree in targets.values()]
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from rdkit import Chem
from rdkit.Chem import QED, Crippen, Descriptors, rdMolDescriptors
from rdkit.Chem.MolStandardize import rdMolStandardize
from rdkit.Chem.Scaffolds import MurckoScaffold

from rewards.molecules.class_patterns import SMARTS
from rewards.molecules.comparison import MoleculeFeatures, similarities
from rewards.molecules.parsing import UnreadableMolecule, read_molecule
from rewards.molecules.plausibility import fragments

Degree = Callable[[Any], float]
PROPERTIES: dict[str, tuple[Callable[[Any], float], float]] = {
    "logP": (Crippen.MolLogP, 2.0),  # type: ignore[attr-defined]
    "MR": (Crippen.MolMR, 20.0),  # type: ignore[attr-defined]
    "QED": (QED.qed, 0.3),
    "TPSA": (rdMolDescriptors.CalcTPSA, 40.0),
    "MW": (Descriptors.MolWt, 100.0),  # type: ignore[attr-defined]
    "HBD": (rdMolDescriptors.CalcNumHBD, 2.0),
    "HBA": (rdMolDescriptors.CalcNumHBA, 3.0),
    "rotatable": (rdMolDescriptors.CalcNumRotatableBonds, 4.0),
    "fsp3": (rdMolDescriptors.CalcFractionCSP3, 0.4),
    "rings": (rdMolDescriptors.CalcNumRings, 2.0),
    "aromatic_rings": (rdMolDescriptors.CalcNumAromaticRings, 2.0),
    "heavy_atoms": (lambda mol: mol.GetNumHeavyAtoms(), 8.0),
    "stereocenters": (rdMolDescriptors.CalcNumAtomStereoCenters, 2.0),
}
"""Properties by name, and the distance from a range at which nothing of the degree is left."""
KEYS = ("formula", "groups", "atoms", "range", "scaffold", "contains", "similar_to")
_UNCHARGER: Any = rdMolStandardize.Uncharger()
_METALS: Any = rdMolStandardize.MetalDisconnector()
_SCAFFOLD_OF: Any = MurckoScaffold.GetScaffoldForMol
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*)+")
_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*)")


class BadTarget(ValueError):
    """A target that cannot be read; the message says which."""


def measure(name: str, mol: Any) -> float:
    """Return a property of a molecule's largest fragment, whose isotopes do not count.

    Raises:
        BadTarget: The property is unknown.
    """
    if name not in PROPERTIES:
        raise BadTarget(f"property {name!r} must be one of {', '.join(PROPERTIES)}")
    return float(PROPERTIES[name][0](_unlabeled(fragments(mol)[0])))


def neutral(mol: Any) -> Any:
    """Return the largest fragment of a molecule without its metals, its acids and bases without charge."""
    return _UNCHARGER.uncharge(fragments(_METALS.Disconnect(mol))[0])


def _unlabeled(mol: Any) -> Any:
    if not any(atom.GetIsotope() for atom in mol.GetAtoms()):
        return mol
    plain = Chem.Mol(mol)
    for atom in plain.GetAtoms():
        atom.SetIsotope(0)
    return Chem.RemoveHs(plain)


def count_group(name: str, mol: Any) -> int:
    """Return how often a group occurs; `name` is a class of `class_patterns` or SMARTS.

    Raises:
        BadTarget: It is neither.
    """
    pattern = Chem.MolFromSmarts(SMARTS.get(name, name))
    if pattern is None:
        raise BadTarget(f"group {name!r} must be a known class or SMARTS")
    return len(mol.GetSubstructMatches(pattern, maxMatches=1_000))


def read_targets(info: dict[str, Any]) -> dict[str, Degree]:
    """Return the degrees to which a molecule meets each target of `info`.

    Raises:
        BadTarget: A target cannot be read, or there is none.
    """
    targets: dict[str, Degree] = {}
    if formula := info.get("formula"):
        targets["formula"] = _formula(str(formula))
    for name, bounds in _entries(info, "groups"):
        count_group(name, Chem.MolFromSmiles("C"))
        targets[f"group {name}"] = _within(partial(count_group, name), bounds, 3.0)
    for name, bounds in _entries(info, "atoms"):
        targets[f"atoms {name}"] = _within(partial(_atoms, name), bounds, 4.0)
    for name, bounds in _entries(info, "range"):
        measure(name, Chem.MolFromSmiles("C"))
        targets[name] = _within(partial(measure, name), bounds, PROPERTIES[name][1])
    if info.get("scaffold"):
        targets["scaffold"] = _scaffold(_known(info["scaffold"]))
    if info.get("contains"):
        part = _known(info["contains"])
        targets["contains"] = lambda mol: float(mol.HasSubstructMatch(part))
    if info.get("similar_to"):
        targets["similar_to"] = _similar(*_pair(info["similar_to"]))
    if not targets:
        raise BadTarget(f"info must have at least one of {', '.join(KEYS)}")
    return targets


def _entries(info: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    found = info.get(key) or {}
    if not isinstance(found, dict):
        raise BadTarget(f"{key} must map names to [least, most]")
    return [(str(name), bounds) for name, bounds in found.items()]


def _pair(value: Any) -> tuple[Any, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise BadTarget("similar_to must be [molecule, least similarity]")
    return _known(value[0]), float(value[1])


def _known(text: Any) -> Any:
    try:
        return read_molecule(str(text))
    except UnreadableMolecule:
        raise BadTarget(f"{str(text)[:60]!r} must be a molecule") from None


def _atoms(name: str, mol: Any) -> int:
    return sum(atom.GetSymbol() == name for atom in mol.GetAtoms())


def _within(value: Callable[[Any], float], bounds: Any, scale: float) -> Degree:
    """Return a degree that is 1 between two bounds (None is open) and falls to 0 over `scale` outside."""
    if isinstance(bounds, int | float):
        bounds = [bounds, bounds]
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        raise BadTarget(f"bounds {bounds!r} must be [least, most]")
    low = float("-inf") if bounds[0] is None else float(bounds[0])
    high = float("inf") if bounds[1] is None else float(bounds[1])

    def degree(mol: Any) -> float:
        found = value(mol)
        return max(0.0, 1 - max(low - found, found - high, 0.0) / scale)

    return degree


def _formula(text: str) -> Degree:
    if not _FORMULA.fullmatch(text):
        raise BadTarget(f"formula {text[:40]!r} must be one such as C9H8O4")
    wanted = {element: int(count or 1) for element, count in _ELEMENT.findall(text)}

    def degree(mol: Any) -> float:
        elements = MoleculeFeatures(mol).elements
        both = wanted.keys() | elements.keys()
        pairs = [(wanted.get(one, 0), elements.get(one, 0)) for one in both]
        return sum(map(min, pairs)) / max(1, sum(map(max, pairs)))

    return degree


def murcko(mol: Any) -> str:
    """Return the Murcko scaffold (rings and what links them) without stereochemistry, empty where there is none."""
    found = Chem.Mol(_SCAFFOLD_OF(mol))
    Chem.RemoveStereochemistry(found)
    return str(Chem.MolToSmiles(found))


def _scaffold(wanted: Any) -> Degree:
    name = murcko(wanted)
    if not name:
        raise BadTarget("scaffold must have a ring")
    return lambda mol: float(murcko(mol) == name)


def similarity_to(mol: Any, other: Any) -> float:
    """Return the similarity of two molecules by Morgan counts, 0..1."""
    return similarities(MoleculeFeatures(mol), MoleculeFeatures(other), above=2.0)["morgan"]


def _similar(other: Any, least: float) -> Degree:
    return lambda mol: min(1.0, similarity_to(mol, other) / least)
