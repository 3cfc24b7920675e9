"""Look up properties of a molecule with RDKit, in SMILES or SELFIES."""

from __future__ import annotations

from typing import Any

from rdkit import Chem
from rdkit.Chem import Descriptors, rdMolDescriptors

from rewards.molecules.parsing import UnreadableMolecule, read_molecule


def molar_mass(molecule: str) -> str:
    """Look up the molar mass of a molecule.

    Args:
        molecule: The molecule in SMILES or SELFIES, for example "CCO".

    Returns:
        The average molar mass in g/mol.
    """
    return f"{Descriptors.MolWt(_read(molecule)):.3f} g/mol"  # type: ignore[attr-defined]


def canonical_smiles(molecule: str) -> str:
    """Write a molecule as canonical SMILES, the same for every way to write it.

    Args:
        molecule: The molecule in SMILES or SELFIES, for example "OCC".
    """
    return str(Chem.MolToSmiles(_read(molecule)))


def molecular_formula(molecule: str) -> str:
    """Count the atoms of a molecule, hydrogens included.

    Args:
        molecule: The molecule in SMILES or SELFIES, for example "CCO".

    Returns:
        The formula in Hill order, for example C2H6O.
    """
    return str(rdMolDescriptors.CalcMolFormula(_read(molecule)))


def _read(text: str) -> Any:
    try:
        return read_molecule(text)
    except UnreadableMolecule as error:
        raise ValueError(f"{text[:60]!r} is no readable molecule in SMILES or SELFIES ({error})") from None
