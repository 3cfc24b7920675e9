"""Prove that a molecule belongs to a class, which a caption then may add to those of the reference.

`class_patterns` holds what a member must contain; that is enough to charge a false statement, not to confirm a true one:
pyrrolidine contains the ring of a pyrrole, acetic anhydride the group of an ester. `PROOFS` narrows those patterns,
`RULES` counts or looks at the whole molecule, and `UNPROVEN` lists the classes that no pattern settles. What is in none
of them is proven by its own pattern.

    proves("pyrrole", Chem.MolFromSmiles("C1CCNC1"))   # False, where `holds` is True
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rdkit import Chem

from rewards.molecules.substructure_classes import FUSED, fused_rings, holds, known_ending, sugar_rings

_ALKYL = "[#6;!$([#6]=[O,N,S])]"
_CARBONYL = "[CX3;$([CX3H1]),$([CX3][#6])](=O)"
_ACID = f"{_CARBONYL}[OX2H]"
_AMINE = "[NX3;+0;!$(N[C,S,P]=[O,S,N]);!$(N~[N,O,S])]"
_AMIDE_N = "#7;!$([#7]([#6]=O)[#6]=O);!$([#7]~[#7,#8])"
_AMIDE = f"[$([CX3H1](=O)),$([CX3]([#6])=O),$([SX4](=O)(=O)[#6])][{_AMIDE_N}"
_PHENYL = "$(c1ccccc1)"
_PYRANOSE = "[CX4;R]1[OX2;R][CX4;R][CX4;R]([OX2,NX3])[CX4;R]([OX2,NX3])[CX4;R]1"
_FURANOSE = "[CX4;R]1[OX2;R][CX4;R][CX4;R]([OX2,NX3])[CX4;R]1[OX2]"
_GLYCOSIDE = f"[{_ALKYL[1:-1]};!$([CX4;R][O;R])][OX2;!R][$({_PYRANOSE}),$({_FURANOSE})]"
_C_GLYCOSIDE = "[#6]-!@[CX4;R;H1]1[OX2;R][CX4;R;H1]([CX4])[CX4;R]([OX2])[CX4;R]([OX2])[CX4;R]1[OX2]"
_P_QUINONE = "O=C1[#6]=,:[#6]C(=O)[#6]=,:[#6]1"
_O_QUINONE = "O=C1C(=O)[#6]=,:[#6][#6]=,:[#6]1"

PROOFS = {
    "carboxylic acid": _ACID,
    "monocarboxylic acid": _ACID,
    "amino acid": f"{_AMINE}.{_ACID}",
    "alpha-amino acid": f"{_AMINE}[CX4]C(=O)[OX2H]",
    "beta-amino acid": f"{_AMINE}[CX4][CX4]C(=O)[OX2H]",
    "gamma-amino acid": f"{_AMINE}[CX4][CX4][CX4]C(=O)[OX2H]",
    "ester": f"{_ALKYL}[OX2][$([CX3]=O),$(P=O),$(S=O)]",
    "carboxylic ester": f"{_CARBONYL}[OX2]{_ALKYL}",
    "acetate ester": f"[CH3]C(=O)[OX2]{_ALKYL}",
    "benzoate ester": f"c1ccccc1C(=O)[OX2]{_ALKYL}",
    "enoate ester": f"C=CC(=O)[OX2]{_ALKYL}",
    "carbamate ester": f"[NX3]C(=O)[OX2]{_ALKYL}",
    "lactone": f"[#6]~[#6;R](=O)@[#8;R]@{_ALKYL}",
    "gamma-lactone": f"O=[#6]1[#8]{_ALKYL}~[#6]~[#6]1",
    "delta-lactone": f"O=[#6]1~[#8]~{_ALKYL}~[#6]~[#6]~[#6]~1",
    "lactam": f"[#6]@[C;R](=O)@[N;R;{_AMIDE_N}]",
    "aldehyde": "[CX3H1](=O)[#6]",
    "cyclic ketone": "[#6]@[C;R](=O)@[#6]",
    "enone": "C=C[CX3](=O)[#6]",
    "tertiary alcohol": "[CX4;H0]([#6])([#6])([#6])[OX2H]",
    "alcohol": "[CX4][OX2H]",
    "phenol": f"[{_PHENYL}][OX2H]",
    "catechol": f"[{_PHENYL}]([OX2H])[{_PHENYL}][OX2H]",
    "resorcinol": "c1([OX2H])cc([OX2H])ccc1",
    "aromatic ether": f"c[OX2]{_ALKYL}",
    "ether": f"{_ALKYL}[OX2]{_ALKYL}",
    "cyclic ether": "[#6;!$([#6]=[O,N,S]);!$([#6](O)O)]@[O;R]@[#6;!$([#6]=[O,N,S]);!$([#6](O)O)]",
    "organic peroxide": "[#6][OX2][OX2]",
    "hydroperoxide": f"{_ALKYL}[OX2][OX2H]",
    "thiol": f"{_ALKYL}[SX2H]",
    **dict.fromkeys(("organic sulfide", "sulfide", "thioether"), f"{_ALKYL}[SX2]{_ALKYL}"),
    "aryl sulfide": f"c[SX2]{_ALKYL}",
    "sulfoxide": "[#6][$([SX3]=O),$([SX3+][O-])][#6]",
    "sulfonamide": "[#6][SX4](=O)(=O)[#7]",
    "primary amino compound": f"{_AMINE[:-1]};H2][#6]",
    "secondary amino compound": f"{_AMINE[:-1]};H1]([#6])[#6]",
    "tertiary amino compound": f"{_AMINE[:-1]};H0]([#6])([#6])[#6]",
    "amine": f"{_AMINE}[#6]",
    "aromatic amine": f"c{_AMINE}",
    "primary amine": f"{_AMINE[:-1]};H2]{_ALKYL}",
    "secondary amine": f"{_AMINE[:-1]};H1]({_ALKYL}){_ALKYL}",
    "tertiary amine": f"{_AMINE[:-1]};H0]({_ALKYL})({_ALKYL}){_ALKYL}",
    "quaternary ammonium ion": "[NX4H0+]([#6])([#6])([#6])[#6]",
    **dict.fromkeys(("carboxamide", "acid amide"), f"{_CARBONYL}[{_AMIDE_N}]"),
    "primary carboxamide": f"{_CARBONYL}[{_AMIDE_N};H2]",
    "secondary carboxamide": f"{_CARBONYL}[{_AMIDE_N};H1;X3]",
    "tertiary carboxamide": f"{_CARBONYL}[{_AMIDE_N};H0;X3]",
    "amide": f"{_AMIDE}]",
    "primary amide": f"{_AMIDE};H2]",
    "secondary amide": f"{_AMIDE};H1;X3]",
    "tertiary amide": f"{_AMIDE};H0;X3]",
    "acetamide": f"[CH3]C(=O)[{_AMIDE_N}]",
    "aromatic amide": "[$([CX3](=O)(a)[#7]),$([CX3](=O)([#6])[#7]a)]",
    "anilide": "c1ccccc1[NX3][CX3](=O)[#6]",
    "nitrile": "[#6][CX2]#[NX1]",
    "imine": "[CX3;!$(C[#7,#8,#16])]=[NX2;!$([NX2][#7,#8,#16])]",
    "oxime": "[CX3]=[NX2][OX2H]",
    "hydrazine": "[NX3;+0;!$(NC=[O,S,N])][NX3;+0;!$(NC=[O,S,N])]",
    "hydrazone": "[CX3;!$(C[#7,#8,#16])]=[NX2][NX3]",
    "azo compound": "[#6][NX2]=[NX2][#6]",
    "urea": "[NX3;!$(N([#6]=O)[#6]=O)][CX3](=O)[NX3;!$(N([#6]=O)[#6]=O)]",
    "guanidine": "[NX3][CX3](=[NX2,NX3+])[NX3]",
    "organochlorine compound": "[#6][Cl]",
    "organobromine compound": "[#6][Br]",
    "organofluorine compound": "[#6][F]",
    "organoiodine compound": "[#6][I]",
    "organosulfur compound": "[#6]~[#16]",
    "organonitrogen compound": "[#6]~[#7]",
    "organooxygen compound": "[#6]~[#8]",
    "organophosphorus compound": "[#6]~[#15]",
    "organosilicon compound": "[#6]~[Si]",
    "organoselenium compound": "[#6]~[#34]",
    "organoboron compound": "[#6]~[#5]",
    "phosphate": "[OX2,OX1-][PX4](=O)([OX2,OX1-])[OX2,OX1-]",
    "glycoside": _GLYCOSIDE,
    **dict.fromkeys(("c-glycoside", "c-glycosyl compound"), _C_GLYCOSIDE),
    "glycosyl compound": f"[$({_GLYCOSIDE}),$({_C_GLYCOSIDE})]",
    "glycosyloxyflavone": f"O=c1cc(-c2ccccc2)oc2ccccc12.c[OX2][$({_PYRANOSE}),$({_FURANOSE})]",
    "pyridine": "[n;R1]1[c;R1][c;R1][c;R1][c;R1][c;R1]1",
    "pyrimidine": "[n;R1]1[c;R1][n;R1][c;R1][c;R1][c;R1]1",
    "pyrazine": "[n;R1]1[c;R1][c;R1][n;R1][c;R1][c;R1]1",
    "pyridazine": "[n;R1]1[n;R1][c;R1][c;R1][c;R1][c;R1]1",
    "1,3,5-triazine": "n1cncnc1",
    "quinazoline": "n1cnc2ccccc2c1",
    "indole": "n1ccc2ccccc12",
    "imidazole": "n1[c;R1]n[c;R1][c;R1]1",
    **dict.fromkeys(("1,3-thiazole", "thiazole"), "[c;R1]1[c;R1]s[c;R1]n1"),
    **dict.fromkeys(("oxazole", "1,3-oxazole"), "[c;R1]1[c;R1]o[c;R1]n1"),
    **dict.fromkeys(("isoxazole", "1,2-oxazole"), "[c;R1]1[c;R1][c;R1]no1"),
    "furan": "[c;R1]1[c;R1][c;R1][c;R1]o1",
    "thiophene": "[c;R1]1[c;R1][c;R1][c;R1]s1",
    "pyrrole": "[c;R1]1[c;R1][c;R1][c;R1]n1",
    "pyrazole": "[c;R1]1[c;R1][c;R1]nn1",
    "triazole": "[$([#7]1:[#7]:[#7]:[#6]:[#6]:1),$([#7]1:[#7]:[#6]:[#7]:[#6]:1)]",
    "tetrazole": "n1nnnc1",
    "piperidine": "[NX3]1[CX4][CX4][CX4][CX4][CX4]1",
    "piperazine": "[NX3]1[CX4][CX4][NX3][CX4][CX4]1",
    "n-arylpiperazine": "[NX3]1([CX4][CX4][NX3][CX4][CX4]1)c",
    "pyrrolidine": "[NX3]1[CX4][CX4][CX4][CX4]1",
    "morpholine": "[NX3]1[CX4][CX4]O[CX4][CX4]1",
    "azetidine": "[NX3]1[CX4][CX4][CX4]1",
    "aziridine": "[NX3]1[CX4][CX4]1",
    "oxolane": "O1[CX4][CX4][CX4][CX4]1",
    "oxane": "O1[CX4][CX4][CX4][CX4][CX4]1",
    "oxetane": "O1[CX4][CX4][CX4]1",
    "pyran": "[$(O1C=CCC=C1),$(O1CC=CC=C1)]",
    "2-pyranone": "O=c1occcc1",
    "cyclohexane": "[CX4]1[CX4][CX4][CX4][CX4][CX4]1",
    "cyclopentane": "[CX4]1[CX4][CX4][CX4][CX4]1",
    "benzoic acid": "c1ccccc1[CX3](=O)[OX2H]",
    "styrene": "c1ccccc1-!@[CX3]=!@[CX3]",
    "toluene": "c1ccccc1[CH3]",
    "acetophenone": "c1ccccc1C(=O)[CH3]",
    "anisole": "c1ccccc1O[CH3]",
    "guaiacol": "[CH3]Oc1ccccc1[OX2H]",
    "aniline": f"[{_PHENYL}]{_AMINE}",
    "naphthol": "[$([OX2H]c1cccc2ccccc12),$([OX2H]c1ccc2ccccc2c1)]",
    "anthracene": "c1ccc2cc3ccccc3cc2c1",
    "quinone": f"[$({_P_QUINONE}),$({_O_QUINONE})]",
    "p-quinone": _P_QUINONE,
    "naphthoquinone": "[$(O=C1C=CC(=O)c2ccccc12),$(O=C1C(=O)C=Cc2ccccc12)]",
    "xanthone": "O=c1c2ccccc2oc2ccccc12",
    **dict.fromkeys(("stilbenoid", "stilbene"), "c1ccccc1-!@C=!@C-!@c1ccccc1"),
    "benzimidazole": "n1cnc2ccccc12",
    "benzothiazole": "s1cnc2ccccc12",
    "benzoxazole": "o1cnc2ccccc12",
    **dict.fromkeys(("1-benzofuran", "benzofuran"), "o1ccc2ccccc12"),
    "benzothiophene": "s1ccc2ccccc12",
    "isoquinoline": "n1ccc2ccccc2c1",
    "quinolone": "[$(O=c1ccnc2ccccc12),$(O=c1ccc2ccccc2n1)]",
    "quinoxaline": "n1ccnc2ccccc12",
    "chromene": "[$(O1CC=Cc2ccccc12),$(O1C=CCc2ccccc12)]",
    "chromone": "O=c1ccoc2ccccc12",
    "carbazole": "n1c2ccccc2c2ccccc12",
    "acridine": "n1c2ccccc2cc2ccccc12",
    "phenothiazine": "N1c2ccccc2Sc2ccccc12",
    "purine": "n1cnc2ncncc12",
    "pyrrolidin-2-one": "O=C1[NX3][CX4][CX4][CX4]1",
    "butan-4-olide": "O=C1O[CX4][CX4][CX4]1",
    "butenolide": "O=C1O[CX4]C=C1",
    "enol": "C=C[OX2H]",
    "alpha,beta-unsaturated monocarboxylic acid": "C=C[CX3](=O)[OX2H]",
    "acetal": f"[CX4]([OX2]{_ALKYL})[OX2]{_ALKYL}",
    "cyclic acetal": f"[CX4;R]([OX2]{_ALKYL})[OX2;R]{_ALKYL}",
    "lactol": "[CX4;R;$(C[#6])]([OX2H])[OX2;R;$(O[CX4])]",
    "isocyanate": "[#6]N=C=O",
    "isothiocyanate": "[#6]N=C=S",
    "thiocyanate": "[#6]SC#N",
    "thioester": "[#6][CX3](=O)[SX2][#6]",
    "acyl chloride": "[#6][CX3](=O)Cl",
    "sulfonic acid": "[#6][SX4](=O)(=O)[OX2H]",
    "phosphonic acid": "[#6]P(=O)([OX2H])[OX2H]",
    "boronic acid": "[#6]B([OX2H])[OX2H]",
    **dict.fromkeys(("ammonium ion", "ammonium ion derivative"), "[NX4+;!$([NX4+][O-])]"),
    "quaternary ammonium salt": "[NX4H0+]([#6])([#6])([#6])[#6].[-]",
    "ammonium betaine": "[NX4H0+]([#6])([#6])([#6])[#6].[O-]",
    "primary ammonium ion": "[NX4H3+][#6]",
    "secondary ammonium ion": "[NX4H2+]([#6])[#6]",
    "tertiary ammonium ion": "[NX4H1+]([#6])([#6])[#6]",
    "disulfide": "[#6][SX2][SX2][#6]",
    "hydrate": "[OX2H2].[!$([OX2H2])]",
    "hydrochloride": "[Cl;D0].[#7].[#6]",
    "hydrobromide": "[Br;D0].[#7].[#6]",
    "sodium salt": "[Na+].[-]",
    "potassium salt": "[K+].[-]",
    "ring assembly": "[R]-!@[R]",
}
"""Name endings of `class_patterns` and `substructure_classes`, and the SMARTS that a member alone has."""

UNPROVEN = frozenset(
    {"polyphenol", "phospholipid", "sterol", "3-oxo-delta(4) steroid", "glucoside", "acyl-coa", "acyl-coa(4-)"}
    | {"oxopurine", "pyrimidone", "polycyclic cage", "oxaspiro compound", "azaspiro compound", "nitroalkane"}
    | {"organic thiophosphate", "organophosphate oxoanion"}
)
"""Classes whose members share more than what is decided here."""

Rule = Callable[[Any], bool]


@lru_cache(maxsize=512)
def _compiled(smarts: str) -> Any:
    pattern = Chem.MolFromSmarts(smarts)
    assert pattern is not None, smarts
    return pattern


def matches(smarts: str, molecule: Any) -> tuple[tuple[int, ...], ...]:
    """Return the atoms of each match of a pattern."""
    found: tuple[tuple[int, ...], ...] = molecule.GetSubstructMatches(_compiled(smarts), maxMatches=500)
    return found


def _exactly(smarts: str, count: int) -> Rule:
    return lambda molecule: len(matches(smarts, molecule)) == count


def _on_one_benzene(substituent: str, count: int, next_to: str = "") -> Rule:
    """Return a rule for a benzene ring with exactly `count` of a substituent, and with `next_to` where it is given."""

    def rule(molecule: Any) -> bool:
        bearing = {one[0] for one in matches(f"c{substituent}", molecule)}
        other = {one[0] for one in matches(f"c{next_to}", molecule)} if next_to else None
        rings = map(set, matches("c1ccccc1", molecule))
        return any(len(ring & bearing) == count and (other is None or ring & other) for ring in rings)

    return rule


def _fatty_acid(molecule: Any) -> bool:
    """Return whether a molecule is a chain of at least four carbon atoms with one carboxy group and oxygen at most."""
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    return (
        set(numbers) == {6, 8}
        and numbers.count(6) >= 4
        and molecule.GetRingInfo().NumRings() == 0
        and _exactly(_ACID, 1)(molecule)
        and not matches("[#6][OX2][#6]", molecule)
    )


def _plain_sugars(least: int, most: int) -> Rule:
    """Return a rule for so many sugars of carbon, hydrogen and oxygen alone, joined by loss of water."""

    def rule(molecule: Any) -> bool:
        atoms = molecule.GetAtoms()
        carbon, oxygen = (sum(atom.GetAtomicNum() == number for atom in atoms) for number in (6, 8))
        hydrogen = sum(atom.GetTotalNumHs() for atom in atoms)
        units = carbon - oxygen + 1
        sugars = sugar_rings(molecule) + len(matches("[CX4][CX3;$(C[CX4]),H1]=O", molecule))
        return (
            carbon + oxygen == molecule.GetNumHeavyAtoms()
            and least <= units <= most
            and hydrogen == 2 * carbon - 2 * (units - 1)
            and 3 * units <= carbon <= 9 * units
            and sugars == units
            and not matches("C(=O)[OX2H,OX1-]", molecule)
        )

    return rule


def _halogenated(elements: str) -> Rule:
    """Return a rule for an alkane whose other atoms are halogens, at least one of `elements`."""
    other = "[!#6;!F;!Cl;!Br;!I,R,$([#6]=,#[#6])]"
    return lambda molecule: bool(matches(f"[CX4][{elements}]", molecule)) and not matches(other, molecule)


def _aza_steroid(molecule: Any) -> bool:
    core = matches(_ANY_CORE, molecule)
    return any(molecule.GetAtomWithIdx(index).GetAtomicNum() == 7 for one in core for index in one)


_ANY_CORE = "*~1~*~*~*~2~*(~*~1)~*~*~*~1~*~2~*~*~*~2~*~*~*~*~1~2"
_HALOGENS = {"chloro": "Cl", "bromo": "Br", "fluoro": "F", "iodo": "I"}
_HYDROXY = "[CX4,c;!$([#6](=O))][OX2H]"

RULES: dict[str, Rule] = {
    "dicarboxylic acid": _exactly(_ACID, 2),
    "tricarboxylic acid": _exactly(_ACID, 3),
    "tetracarboxylic acid": _exactly(_ACID, 4),
    "monocarboxylic acid": _exactly(_ACID, 1),
    "diol": _exactly(_HYDROXY, 2),
    "glycol": _exactly("[CX4][OX2H]", 2),
    "triol": _exactly(_HYDROXY, 3),
    "tetrol": _exactly(_HYDROXY, 4),
    "fatty acid": _fatty_acid,
    "saturated fatty acid": lambda molecule: _fatty_acid(molecule) and not matches("C=,#C", molecule),
    "unsaturated fatty acid": lambda molecule: _fatty_acid(molecule) and bool(matches("C=,#C", molecule)),
    "diene": lambda molecule: not matches("[!#6]", molecule) and _exactly("C=C", 2)(molecule),
    "monosaccharide": _plain_sugars(1, 1),
    "disaccharide": _plain_sugars(2, 2),
    "trisaccharide": _plain_sugars(3, 3),
    "tetrasaccharide": _plain_sugars(4, 4),
    "pentasaccharide": _plain_sugars(5, 5),
    "hexasaccharide": _plain_sugars(6, 6),
    "oligosaccharide": _plain_sugars(2, 20),
    "aza-steroid": _aza_steroid,
    "haloalkane": _halogenated("F,Cl,Br,I"),
    **{f"{name}alkane": _halogenated(element) for name, element in _HALOGENS.items()},
    **{f"mono{name}benzene": _on_one_benzene(f"[{_HALOGENS[name]}]", 1) for name in ("chloro", "fluoro")},
    **{f"di{name}benzene": _on_one_benzene(f"[{_HALOGENS[name]}]", 2) for name in ("chloro", "fluoro")},
    "monomethoxybenzene": _on_one_benzene("[OX2][CH3]", 1),
    "dimethoxybenzene": _on_one_benzene("[OX2][CH3]", 2),
    "monohydroxybenzoic acid": _on_one_benzene("[OX2H]", 1, "[CX3](=O)[OX2H]"),
    "macrocycle": lambda molecule: any(len(ring) > 11 for ring in molecule.GetRingInfo().AtomRings()),
    **{f"organic hetero{name}cyclic compound": fused_rings(least, True, least) for name, least in FUSED.items()},
    **{f"carbo{name}cyclic compound": fused_rings(least, False, least) for name, least in FUSED.items()},
}
"""Name endings, and what is looked at in addition to the patterns."""


@lru_cache(maxsize=8_192)
def _parts(phrase: str) -> tuple[str, str]:
    """Return the known ending of a class's name, and what stands before it."""
    ending = known_ending(phrase) or ""
    return ending, phrase.removesuffix(ending).strip()


def proves(phrase: str, molecule: Any) -> bool:
    """Return whether a molecule surely belongs to the class that a phrase names.

    What stands before the known ending has to be nothing, "organic", or a class that is proven as well.
    """
    ending, before = _parts(phrase)
    if not ending or ending in UNPROVEN or not holds(phrase, molecule):
        return False
    if ending in RULES and not RULES[ending](molecule):
        return False
    if ending in PROOFS and not matches(PROOFS[ending], molecule):
        return False
    return before in ("", "organic") or proves(before, molecule)
