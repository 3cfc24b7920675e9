"""Decide classes of molecules by the SMARTS that a member must contain.

Only necessary conditions are written: a molecule without the pattern is surely no member ("methyl ester" without a
methyl ester group), one with it may still be none. A name is looked up by its longest known ending, after substituents
only, so "a fatty acid methyl ester" is checked as a methyl ester and "2-methoxyphenol" as a phenol. Charge is checked
the same way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rdkit import Chem

_ACID = "[CX3](=[OX1])[OX2H,OX1-]"
_STEROL_CORE = "[#6]~1~[#6]~[#6]~[#6]~2~[#6](~[#6]~1)~[#6]~[#6]~[#6]~1~[#6]~2~[#6]~[#6]~[#6]~2~[#6]~[#6]~[#6]~[#6]~1~2"
_GLYCOSIDE = "[C;R]([O;R])[O,N,S;!$([OH])]"
_PEPTIDE = "[NX3,NX4+]CC(=O)[NX3]"

SMARTS = {
    "carboxylic acid": _ACID,
    "dicarboxylic acid": f"{_ACID}.{_ACID}",
    "tricarboxylic acid": f"{_ACID}.{_ACID}.{_ACID}",
    "fatty acid": f"{_ACID}",
    "amino acid": f"{_ACID}.[NX3,NX4+]",
    "ester": "[#6][OX2,SX2][C,P,S,N](=[O,S])",
    "carboxylic ester": "[CX3](=O)[OX2][#6]",
    "methyl ester": "[CH3][OX2][C,P,S,N]=[O,S]",
    "ethyl ester": "[CH3][CH2][OX2][C,P,S]=[O,S]",
    "acetate ester": "[CH3]C(=O)[OX2][#6]",
    "benzoate ester": "c1ccccc1C(=O)[OX2][#6]",
    "enoate ester": "C=CC(=O)[OX2][#6]",
    "carbamate ester": "[NX3]C(=O)[OX2,SX2][#6]",
    "lactone": "[#6;R](=O)[#8;R]",
    "gamma-lactone": "O=C1OCC~C1",
    "delta-lactone": "O=[C,c]1~[O,o]~[#6]~[#6]~[#6]~[#6]~1",
    "lactam": "[#6;R](=O)[#7;R]",
    "aldehyde": "[CX3;H1,H2]=O",
    "ketone": "[#6][CX3](=O)[#6]",
    "methyl ketone": "[CH3]C(=O)[#6]",
    "cyclic ketone": "[#6][#6;R](=O)[#6]",
    "enone": "[#6]=,:[#6]C(=O)[#6]",
    "primary alcohol": "[CX4;H2,H3][OX2H]",
    "secondary alcohol": "[CX4;H1]([#6])([#6])[OX2H]",
    "tertiary alcohol": "[CX4;H0][OX2H]",
    "tertiary alpha-hydroxy ketone": "[CX4;H0]([OX2H])C(=O)[#6]",
    "alcohol": "[#6][OX2H]",
    "diol": "[OX2H].[OX2H]",
    "triol": "[OX2H].[OX2H].[OX2H]",
    "phenol": "[c][OX2H,OX1-]",
    "polyphenol": "[c][OX2H,OX1-].[c][OX2H,OX1-]",
    "catechol": "c([OX2H,OX1-])c[OX2H,OX1-]",
    "resorcinol": "c([OX2H,OX1-])cc[OX2H,OX1-]",
    "aromatic ether": "c[OX2][#6]",
    "ether": "[#6][OX2,o][#6]",
    "cyclic ether": "[#6][O,o;R][#6]",
    "epoxide": "C1OC1",
    "organic peroxide": "[OX2][OX2]",
    "hydroperoxide": "[OX2][OX2H]",
    "thiol": "[#6][SX2H]",
    "organic sulfide": "[#6][SX2,s][#6]",
    "sulfone": "[#6][SX4](=O)(=O)[#6]",
    "sulfoxide": "[SX3](=O)",
    "sulfonamide": "S(=O)(=O)[#7]",
    "primary amino compound": "[NX3H2,NX4H3+][#6]",
    "secondary amino compound": "[NX3H1,NX4H2+]([#6])[#6]",
    "tertiary amino compound": "[NX3H0,NX4H1+]([#6])([#6])[#6]",
    "amine": "[#7][#6]",
    "aromatic amine": "c[#7]",
    "quaternary ammonium ion": "[NX4H0+]",
    "carboxamide": "C(=O)[#7]",
    "secondary carboxamide": "C(=O)[NX3H1]",
    "acid amide": "C(=O)[#7]",
    "acetamide": "[CH3]C(=O)[#7]",
    "benzamide": "c1ccccc1C(=O)[#7]",
    "aromatic amide": "[#7][C,S]=O.a",
    "nitrile": "C#N",
    "c-nitro compound": "[#6][$([NX3](=O)=O),$([NX3+](=O)[O-])]",
    "nitro compound": "[$([NX3](=O)=O),$([NX3+](=O)[O-])]",
    "imine": "C=N",
    "oxime": "C=N[O]",
    "hydrazine": "N~N",
    "azo compound": "N=N",
    "urea": "[#7]C(=O)[#7]",
    "guanidine": "[#7]C(~[#7])~[#7]",
    "organochlorine compound": "[#6].[Cl]",
    "organobromine compound": "[#6].[Br]",
    "organofluorine compound": "[#6].[F]",
    "organoiodine compound": "[#6].[I]",
    "organosulfur compound": "[#6].[#16]",
    "organonitrogen compound": "[#6].[#7]",
    "organophosphate oxoanion": "P(=O)([O-])O[#6]",
    "phospholipid": "P(=O)O",
    "phosphate": "P(=O)O",
    "olefinic compound": "[#6]=[#6]",
    "acetylenic compound": "C#C",
    "macrocycle": "[r9,r10,r11,r12,r13,r14,r15,r16,r17,r18,r19,r20,$([R])]",
    "organic heterotricyclic compound": "[R].[!#6;R]",
    "steroid": _STEROL_CORE,
    "sterol": f"{_STEROL_CORE}.[OX2H]",
    "3-oxo-delta(4) steroid": "O=C1C~C~[#6]~[#6]~[#6]1",
    "glycoside": _GLYCOSIDE,
    "glucoside": _GLYCOSIDE,
    "disaccharide": _GLYCOSIDE,
    "trisaccharide": _GLYCOSIDE,
    "oligosaccharide": _GLYCOSIDE,
    "dipeptide": _PEPTIDE,
    "tripeptide": "C(=O)[NX3].C(=O)[NX3]",
    "flavone": "O=c1cc(-c2ccccc2)oc2ccccc12",
    "flavonol": "O=c1c(O)c(-c2ccccc2)oc2ccccc12",
    "flavanone": "O=C1CC(c2ccccc2)Oc2ccccc12",
    "isoflavone": "O=c1c(-c2ccccc2)coc2ccccc12",
    "chalcone": "c1ccccc1C(=O)C=Cc1ccccc1",
    "coumarin": "O=c1ccc2ccccc2o1",
    "benzene": "c1ccccc1",
    "monochlorobenzene": "Clc1ccccc1",
    "dichlorobenzene": "Clc1ccccc1.Cl",
    "monofluorobenzene": "Fc1ccccc1",
    "monomethoxybenzene": "[CH3]Oc1ccccc1",
    "dimethoxybenzene": "[CH3]O.[CH3]O.c1ccccc1",
    "(trifluoromethyl)benzene": "FC(F)(F)c1ccccc1",
    "naphthalene": "c1ccc2ccccc2c1",
    "pyridine": "n1ccccc1",
    "pyrimidine": "n1cnccc1",
    "quinoline": "n1cccc2ccccc12",
    "quinazoline": "[#6]1~[#7]~[#6]~[#6]2~[#6]~[#6]~[#6]~[#6]~[#6]~2~[#7]~1",
    "indole": "[#6]1~[#6]~[#7]~[#6]2~[#6]~[#6]~[#6]~[#6]~[#6]~1~2",
    "imidazole": "[#6]1~[#7]~[#6]~[#6]~[#7]~1",
    "1,3-thiazole": "[#6]1~[#16]~[#6]~[#7]~[#6]~1",
    "furan": "[#6]1~[#8]~[#6]~[#6]~[#6]~1",
    "thiophene": "c1ccsc1",
    "pyrazole": "[#7]1~[#7]~[#6]~[#6]~[#6]~1",
    "piperidine": "[#7]1~[#6]~[#6]~[#6]~[#6]~[#6]~1",
    "piperazine": "[#7]1~[#6]~[#6]~[#7]~[#6]~[#6]~1",
    "pyrrolidine": "[#7]1~[#6]~[#6]~[#6]~[#6]~1",
    "morpholine": "[#7]1~[#6]~[#6]~[#8]~[#6]~[#6]~1",
    "benzodioxole": "c1ccc2OCOc2c1",
    "acyl-coa": "SCCNC(=O)CCNC(=O)",
}
"""Name endings, in the singular, and SMARTS; disconnected parts of one need distinct atoms each."""

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
)
_CHANGES_MEANING = ("seco-", "non-", "nor-", "n-acyl-", "dehydro", "aci-", "o-", "silyl ", "borate ", "of ", "n-alkyl-")
CHARGE_SIGNS = {"anion": -1, "dianion": -1, "trianion": -1, "oxoanion": -1, "cation": 1, "dication": 1}


@lru_cache(maxsize=20_000)
def known_ending(phrase: str) -> str | None:
    """Return the longest ending of a class's name that is a key of `SMARTS`.

    What stands before the ending must leave its meaning.
    """
    return next((phrase[i:] for i in range(len(phrase)) if phrase[i:] in SMARTS and _may_end(phrase[:i])), None)


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
    return None if ending is None else bool(molecule.HasSubstructMatch(_pattern(ending)))
