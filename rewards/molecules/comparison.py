"""Measure how similar two molecules are, and how similar a mere guess would be.

`similarity` is 0.6 chirality-aware Morgan counts + 0.2 MACCS keys + 0.2 molecular formula, each a symmetric Tanimoto
similarity. Bit fingerprints alone cannot tell a chain of 10 carbons from one of 30; counts and the formula can.

`random_baseline` is the similarity that an answer reaches without reading the question: the best of a panel of common
constituents of nature and of drugs, one for each family that descriptions of molecules come from, and at least
`UNRELATED`, what nine of ten pairs of molecules drawn at random from ChEBI-20 have in common at most.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from rdkit import Chem, DataStructs
from rdkit.Chem import MACCSkeys, rdFingerprintGenerator, rdMolDescriptors, rdMolHash

from rewards.molecules.parsing import Reading, UnreadableMolecule, read_molecule, reading_of

WEIGHTS = {"morgan": 0.6, "maccs": 0.2, "formula": 0.2}
UNRELATED = 0.3
MAX_RANDOM_BASELINE = 0.65
MIN_PARENT_ATOMS = 3
DRAWINGS = 32
MAX_DRAWN_ATOMS = 100
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, includeChirality=True)
_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*)")

PANEL = {
    "methane": "C",
    "glucose": "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
    "lactose": "OC[C@H]1O[C@@H](O[C@H]2[C@H](O)[C@@H](O)C(O)O[C@@H]2CO)[C@H](O)[C@@H](O)[C@H]1O",
    "chitotriose": "CC(=O)N[C@@H]1[C@@H](O)[C@H](O[C@@H]2O[C@H](CO)[C@@H](O[C@@H]3O[C@H](CO)[C@@H](O)[C@H](O)[C@H]3NC(C)=O)"
    "[C@H](O)[C@H]2NC(C)=O)[C@@H](CO)OC1O",
    "oleic acid": "CCCCCCCC/C=C\\CCCCCCCC(=O)O",
    "palmitoyl-oleoyl phosphatidylcholine": "CCCCCCCCCCCCCCCC(=O)OC[C@H](COP(=O)([O-])OCC[N+](C)(C)C)OC(=O)CCCCCCC/C=C\\CCCCCCCC",
    "tripalmitin": "CCCCCCCCCCCCCCCC(=O)OCC(COC(=O)CCCCCCCCCCCCCCC)OC(=O)CCCCCCCCCCCCCCC",
    "palmitoyl sphingosine": "CCCCCCCCCCCCC/C=C/[C@@H](O)[C@H](CO)NC(=O)CCCCCCCCCCCCCCC",
    "palmitoyl coenzyme A": "CCCCCCCCCCCCCCCC(=O)SCCNC(=O)CCNC(=O)[C@H](O)C(C)(C)COP(=O)([O-])OP(=O)([O-])OC[C@H]1O[C@H]"
    "([C@H](O)[C@@H]1OP(=O)([O-])[O-])n1cnc2c(N)ncnc12",
    "adenosine triphosphate": "Nc1ncnc2n(cnc12)[C@@H]1O[C@H](COP(=O)(O)OP(=O)(O)OP(=O)(O)O)[C@@H](O)[C@H]1O",
    "alanylalanylalanine": "C[C@H](N)C(=O)N[C@@H](C)C(=O)N[C@@H](C)C(=O)O",
    "phenylalanine": "N[C@@H](Cc1ccccc1)C(=O)O",
    "glutamate": "[NH3+][C@@H](CCC(=O)[O-])C(=O)[O-]",
    "citric acid": "OC(=O)CC(O)(CC(=O)O)C(=O)O",
    "quercetin": "O=c1c(O)c(-c2ccc(O)c(O)c2)oc2cc(O)cc(O)c12",
    "quercetin 3-glucoside": "OC[C@H]1O[C@@H](Oc2c(-c3ccc(O)c(O)c3)oc3cc(O)cc(O)c3c2=O)[C@H](O)[C@@H](O)[C@@H]1O",
    "cholesterol": "C[C@H](CCCC(C)C)[C@H]1CC[C@H]2[C@@H]3CC=C4C[C@@H](O)CC[C@]4(C)[C@H]3CC[C@]12C",
    "testosterone": "C[C@]12CC[C@H]3[C@@H](CCC4=CC(=O)CC[C@]34C)[C@@H]1CC[C@@H]2O",
    "oleanolic acid": "CC1(C)CC[C@@]2(CC[C@]3(C)C(=CC[C@@H]4[C@@]5(C)CC[C@H](O)C(C)(C)[C@@H]5CC[C@@]34C)[C@@H]2C1)C(=O)O",
    "limonene": "CC1=CCC(CC1)C(C)=C",
    "caffeic acid": "OC(=O)/C=C/c1ccc(O)c(O)c1",
    "vanillin": "COc1cc(C=O)ccc1O",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "morphine": "CN1CC[C@]23[C@H]4Oc5c2c(C[C@@H]1[C@@H]3C=C[C@@H]4O)ccc5O",
    "an aryl piperazine drug": "COc1ccccc1N1CCN(CCNC(=O)c2ccc(Cl)cc2)CC1",
}
"""Common molecules by name; a reward for any of them, or for one like them, whatever was asked, would be a constant's."""


class MoleculeFeatures:
    """What a molecule is compared by; costly parts are computed when first used."""

    def __init__(self, mol: Any) -> None:
        self.mol = mol
        self.morgan = _MORGAN.GetSparseCountFingerprint(mol)
        self.elements = {
            element: int(count or 1) for element, count in _ELEMENT.findall(rdMolDescriptors.CalcMolFormula(mol))
        }
        self.heavy = {element: count for element, count in self.elements.items() if element != "H"}

    @cached_property
    def maccs(self) -> Any:
        """Return MACCS keys, the costliest part of a comparison."""
        return MACCSkeys.GenMACCSKeys(self.mol)  # type: ignore[attr-defined]

    @cached_property
    def smiles(self) -> str:
        """Return canonical isomeric SMILES."""
        return str(Chem.MolToSmiles(self.mol))

    @cached_property
    def inchikey(self) -> str:
        """Return the standard InChIKey; empty for what InChI cannot express."""
        return str(Chem.MolToInchiKey(self.undrawn))  # type: ignore[no-untyped-call]

    @cached_property
    def inchi(self) -> str:
        """Return the InChI with every hydrogen in its place, which tells tautomers and zwitterions apart."""
        return str(Chem.MolToInchi(self.undrawn, options="/FixedH") or "")  # type: ignore[no-untyped-call]

    @cached_property
    def undrawn(self) -> Any:
        """Return the molecule without its dative bonds: a metal and its ligand may be drawn with or without one."""
        dative = [bond for bond in self.mol.GetBonds() if bond.GetBondType() == Chem.BondType.DATIVE]
        if not dative:
            return self.mol
        apart = Chem.RWMol(self.mol)
        for bond in dative:
            apart.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        try:
            Chem.SanitizeMol(apart)
        except (ValueError, RuntimeError):
            return self.mol
        return apart.GetMol()

    @property
    def protons(self) -> int:
        """Return hydrogen atoms less the charge: the same for acid, base and tautomer, not for a reduced form."""
        return int(self.elements.get("H", 0) - Chem.GetFormalCharge(self.mol))

    @cached_property
    def drawings(self) -> frozenset[str]:
        """Return the canonical SMILES of random spellings of the molecule.

        More than one where RDKit cannot keep the stereochemistry, as in some cages (rdkit issues 7759 and 8775): which of
        them a data file holds is chance.
        """
        if self.mol.GetNumAtoms() > MAX_DRAWN_ATOMS:
            return frozenset({self.smiles})
        spelled = map(Chem.MolFromSmiles, Chem.MolToRandomSmilesVect(self.mol, DRAWINGS, randomSeed=7))
        return frozenset({self.smiles, *(Chem.MolToSmiles(mol) for mol in spelled if mol is not None)})

    @cached_property
    def skeleton(self) -> str:
        """Return the connectivity, blind to charge, all hydrogens and stereochemistry.

        It is Sayle's hetero-atom tautomer hash, extended to keto and enol forms.
        """
        flat = Chem.Mol(self.mol)
        Chem.RemoveStereochemistry(flat)
        return str(rdMolHash.MolHash(flat, rdMolHash.HashFunction.HetAtomTautomerv2)).rsplit("_", 2)[0]

    @cached_property
    def parent(self) -> MoleculeFeatures | None:
        """Return the component with the most heavy atoms.

        Returns:
            None where that is a tie or fewer than `MIN_PARENT_ATOMS`.
        """
        parts = sorted(Chem.GetMolFrags(self.mol, asMols=True), key=lambda part: part.GetNumHeavyAtoms())
        sizes = [part.GetNumHeavyAtoms() for part in parts]
        if sizes[-1] < MIN_PARENT_ATOMS or sizes[-1] in sizes[:-1]:
            return None
        return MoleculeFeatures(parts[-1])


def similarities(one: MoleculeFeatures, other: MoleculeFeatures, above: float = -1.0) -> dict[str, float]:
    """Return named similarities, each 0..1 and symmetric.

    MACCS keys cost more than everything else together. They count as 0 where even with 1 for them `similarity` would not
    exceed `above`.
    """
    if one.elements == other.elements and one.smiles == other.smiles:
        return dict.fromkeys(WEIGHTS, 1.0)
    both = one.elements.keys() | other.elements.keys()
    pairs = [(one.elements.get(element, 0), other.elements.get(element, 0)) for element in both]
    morgan = float(DataStructs.TanimotoSimilarity(one.morgan, other.morgan))
    parts = {"morgan": morgan, "maccs": 0.0, "formula": sum(map(min, pairs)) / max(1, sum(map(max, pairs)))}
    if similarity(parts | {"maccs": 1.0}) > above:
        parts["maccs"] = float(DataStructs.TanimotoSimilarity(one.maccs, other.maccs))
    return parts


def similarity(parts: dict[str, float]) -> float:
    """Return the weighted mean of the similarities."""
    return sum(weight * parts[name] for name, weight in WEIGHTS.items())


def random_baseline(gold: MoleculeFeatures) -> float:
    """Return the similarity to `gold` that costs no knowledge of it.

    It lies between `UNRELATED` and `MAX_RANDOM_BASELINE`.
    """
    best = max(similarity(similarities(member, gold)) for member in _panel())
    return min(MAX_RANDOM_BASELINE, max(UNRELATED, best))


@lru_cache(maxsize=1)
def _panel() -> list[MoleculeFeatures]:
    return [MoleculeFeatures(read_molecule(smiles)) for smiles in PANEL.values()]


@dataclass(frozen=True)
class Reference:
    """A reference molecule, the similarity that a guess reaches, and how answers to it are read."""

    features: MoleculeFeatures
    baseline: float
    reading: Reading


@lru_cache(maxsize=4_096)
def reference(text: str, asked_in_selfies: bool = False) -> Reference | None:
    """Return a reference, kept by its text.

    Returns:
        None when the text is no molecule.
    """
    try:
        reading = reading_of(text, asked_in_selfies)
        gold = MoleculeFeatures(read_molecule(text, reading))
    except UnreadableMolecule:
        return None
    return Reference(gold, random_baseline(gold), reading)


def same_in_space(one: MoleculeFeatures, other: MoleculeFeatures) -> bool:
    """Return whether two molecules of one connectivity are the same where RDKit's usual stereo perception errs."""
    if one.smiles in other.drawings:
        return True
    Chem.SetUseLegacyStereoPerception(False)  # global to RDKit, so only for this comparison
    try:
        mine, theirs = Chem.Mol(one.mol), Chem.Mol(other.mol)
        for mol in (mine, theirs):
            Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
        return bool(Chem.MolToSmiles(mine) == Chem.MolToSmiles(theirs))
    finally:
        Chem.SetUseLegacyStereoPerception(True)
