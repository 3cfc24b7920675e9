"""Molecules made by combining fragments, so that the laws of the molecule rewards hold on every machine.

Cores (rings and chains with two open ends) get two of the side groups each; every combination of a seeded draw that is
a valid molecule counts once. Their ring numbers differ, so that no ring closes between them. No published set is involved.
"""

import itertools
import random

from rdkit import Chem

CORES = (
    "c1ccc({a})cc1{b}",
    "c1cc({a})ncc1{b}",
    "c1nc({a})ncc1{b}",
    "c1c({a})sc({b})c1",
    "c1c({a})oc({b})c1",
    "C1CC({a})CCN1{b}",
    "C1CN({a})CCN1{b}",
    "C1CC({a})CC1{b}",
    "C1OC({a})CCC1{b}",
    "c1ccc2c(c1)cc({a})n2{b}",
    "c1ccc2nc({a})ccc2c1{b}",
    "O=c1cc({a})oc2cc({b})ccc12",
    "c1cc({a})nn1{b}",
    "CC({a})CCCC{b}",
    "CCCC(=O)C({a})CC{b}",
    "C/C=C/C({a})CC{b}",
    "O=C1N({a})C(=O)C({b})N1",
    "C1CC2CC({a})CC(C1)N2{b}",
)
SIDES = (
    "C(=O)O",
    "C(=O)OCC",
    "C(=O)NC",
    "CO",
    "CCO",
    "CN(C)C",
    "C(F)(F)F",
    "CC#N",
    "CC(C)C",
    "Cc9ccccc9",
    "Cc9ccc(O)cc9",
    "Cc9ccc(OC)c(Cl)c9",
    "S(=O)(=O)N",
    "CCCCCC",
    "CCN9CCOCC9",
    "C(=O)c9cccnc9",
    "CC(N)C(=O)O",
    "CP(=O)(O)O",
    "CCSC",
    "CC9CCCCC9",
)


def molecules(count: int, seed: int = 7) -> list[str]:
    """`count` different molecules as canonical SMILES, the same for the same seed."""
    draw = random.Random(seed)
    choices = list(itertools.product(CORES, SIDES, SIDES))
    draw.shuffle(choices)
    found: dict[str, None] = {}
    for core, a, b in choices:
        mol = Chem.MolFromSmiles(core.format(a=a, b=b))
        if mol is not None:
            found[Chem.MolToSmiles(mol)] = None
        if len(found) == count:
            return list(found)
    raise AssertionError(f"only {len(found)} of {count} molecules")


_KINDS = (
    ("benzoate ester", "ethyl ester"),
    ("pyridinecarboxamide", "secondary amide"),
    ("sulfonamide", "monocarboxylic acid"),
    ("tertiary amine", "aromatic ether"),
    ("organofluorine compound", "nitrile"),
    ("piperazine", "monochlorobenzene"),
    ("alpha-amino acid", "organic sulfide"),
    ("phosphonic acid", "cyclohexane"),
    ("medium-chain fatty acid", "secondary alcohol"),
    ("chromone", "member of phenols"),
    ("lactam", "organobromine compound"),
    ("hydroxamic acid", "N-alkylpyrrolidine"),
    ("imidazolidinone", "thioether"),
    ("quaternary ammonium salt", "morpholine"),
    ("oxime", "primary amine"),
    ("carbamate ester", "dichlorobenzene"),
    ("urea derivative", "trifluoromethyl compound"),
    ("epoxide", "unsaturated fatty acid"),
    ("sulfone", "guanidine"),
    ("hydrazide", "biphenyl"),
)
_PARTS = ("thiophene", "furan", "indole", "quinoline", "pyrazole", "hydantoin", "oxane", "piperidine", "pyrimidine")
_PLACES = ("2", "3", "4", "5", "2 and 5", "3 and 6")
_ROLES = ("antimalarial", "herbicide", "fragrance", "chelator", "sweetening agent", "dye", "vasodilator agent")


def captions(count: int, seed: int = 11) -> list[str]:
    """`count` different descriptions in the manner of ChEBI, about molecules such as the ones above."""
    draw = random.Random(seed)
    choices = list(itertools.product(_KINDS, _PARTS, _PLACES, _ROLES))
    draw.shuffle(choices)
    forms = (
        "The molecule is a {kind} that is {part} substituted at position {place} by a group of a {other}. It has a "
        "role as a {role}. It is a {kind} and a {other}. It derives from a {part}.",
        "The molecule is a {part} in which the hydrogen at position {place} is replaced. It is a {other}, a {kind} and "
        "a member of {part}s. It has a role as a {role}.",
        "The molecule is a {other} obtained by condensation of a {kind} with {part} at position {place}. It derives "
        "from a {part}. It is functionally related to a {kind}.",
    )
    return [
        draw.choice(forms).format(kind=kind, other=other, part=part, place=place, role=role)
        for (kind, other), part, place, role in choices[:count]
    ]
