"""Generate tasks about molecules whose answers RDKit computes.

| task | rewarder | problem |
|---|---|---|
| `structure-count` | math | how many atoms, hydrogens, rings or bonds a molecule has |
| `structure-drawing` | caption2mol | a molecule's scaffold, or the same molecule in SMILES or SELFIES |
| `same-molecule` | chemistry | whether two spellings are one molecule; True as often as False |
| `molecule-design` | design | a molecule of a formula with a group and a lipophilicity |
| `molecule-edit` | edit | exchange or add one group and keep the rest |
| `molecule-optimize` | optimize | raise or lower a computed property and keep the rest |
| `reaction-product`, `retrosynthesis` | reaction | what a named reaction gives, or what it starts from |
| `property-regression` | property-regression | a computed property as a number |

Molecules are made of common cores and substituents, so that no published set is involved. The rewarders do the counting
again from `info`; patterns are therefore written as SMARTS.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any

import selfies
from rdkit import Chem, DataStructs
from rdkit.Chem import AllChem, Crippen, rdFingerprintGenerator, rdMolDescriptors
from rdkit.Chem.Scaffolds import MurckoScaffold

from innovator_rl.data.problem import Problem
from innovator_rl.errors import UserError

Parameters = Mapping[str, Any]
CORES = """
    c1cc({})ccc1{} c1ccc({})cc1{} c1cc({})cc({})c1 c1nc({})ccc1{} c1cnc({})nc1{} c1cc({})oc1{} c1cc({})sc1{}
    C1CC({})CCC1{} C1CCC({})C1{} c1ccc2c({})cccc2c1{} c1ccc2nc({})ccc2c1{} O=C1CC({})CCC1{} c1cc({})c(C)cc1{}
    c1cc({})ccc1CC{} c1cc({})ccc1Oc1ccc({})cc1 CC({})CC(C)C{}
""".split()  # noqa: SIM905
GROUPS: dict[str, tuple[str, str]] = {
    "a hydroxy group": ("O", "[#6;!$(C=O)][OX2H]"),
    "a chlorine atom": ("Cl", "[#6]Cl"),
    "a bromine atom": ("Br", "[#6]Br"),
    "a fluorine atom": ("F", "[#6;!$(C(F)(F)F)]F"),
    "a nitrile group": ("C#N", "[#6]C#N"),
    "a carboxylic acid group": ("C(=O)O", "[CX3](=O)[OX2H]"),
    "a methoxy group": ("OC", "[CH3]O[#6;!$(C=O)]"),
    "a trifluoromethyl group": ("C(F)(F)F", "C(F)(F)F"),
    "a nitro group": ("[N+](=O)[O-]", "[$([NX3+](=O)[O-])]"),
    "a primary amide group": ("C(N)=O", "C(=O)[NX3H2]"),
    "an acetyl group": ("C(C)=O", "[CH3][CX3](=O)[#6]"),
    "a methyl ester group": ("C(=O)OC", "[CH3]OC(=O)[#6]"),
    "a methylthio group": ("SC", "[CH3]S[#6]"),
    "a tert-butyl group": ("C(C)(C)C", "C([CH3])([CH3])[CH3]"),
}
"""What a group is called, how it is written behind a bond, and how it is found."""
SIMILARITY = 0.4
_LOGP: Any = Crippen.MolLogP  # type: ignore[attr-defined]
_REACTION: Any = AllChem.ReactionFromSmarts  # type: ignore[attr-defined]
_SCAFFOLD: Any = MurckoScaffold.MurckoScaffoldSmiles
LOGP_TOLERANCE = 0.05
PROPERTIES = {
    "logP": ("Wildman-Crippen logP", _LOGP, 0.6),
    "TPSA": ("topological polar surface area", rdMolDescriptors.CalcTPSA, 15.0),
}
ACIDS = [
    "CC(=O)O",
    "CCC(=O)O",
    "CC(C)C(=O)O",
    "OC(=O)c1ccccc1",
    "OC(=O)c1ccncc1",
    "OC(=O)c1ccc(Cl)cc1",
    "OC(=O)Cc1ccccc1",
    "OC(=O)C1CCCC1",
    "OC(=O)c1ccco1",
]
ALCOHOLS = ["CCO", "CCCO", "CC(C)O", "OCC1CCCCC1", "OCc1ccccc1", "OC1CCCC1", "OCCOC", "OCc1ccco1", "CC(C)CO"]
AMINES = ["CCN", "CC(C)N", "NCc1ccccc1", "NC1CCCCC1", "NCCOC", "NCc1ccncc1", "NCC1CC1", "Nc1ccccc1", "Nc1ccc(F)cc1"]
ARYL_BROMIDES = [
    "Brc1ccccc1",
    "Brc1ccc(OC)cc1",
    "Brc1ccncc1",
    "Brc1ccc(C)cc1",
    "Brc1cccc(F)c1",
    "Brc1cccs1",
    "Brc1ccc(C#N)cc1",
]
BORONIC_ACIDS = [
    "OB(O)c1ccccc1",
    "OB(O)c1ccc(F)cc1",
    "OB(O)c1cccnc1",
    "OB(O)c1ccc(C)cc1",
    "OB(O)c1ccsc1",
    "OB(O)c1ccc(Cl)cc1",
]
PHENOLS = ["Oc1ccccc1", "Oc1ccc(C)cc1", "Oc1ccc(Cl)cc1", "Oc1cccc(C#N)c1", "Oc1cccnc1"]
ALKYL_BROMIDES = ["CCBr", "CCCBr", "BrCc1ccccc1", "CC(C)CBr", "BrCCOC", "BrCC1CC1"]
ALDEHYDES = ["O=Cc1ccccc1", "CCC=O", "O=Cc1ccc(OC)cc1", "O=Cc1ccncc1", "CC(C)C=O"]
REACTIONS: dict[str, tuple[str, list[str], list[str]]] = {
    "Fischer esterification": ("[C:1](=[O:2])[OX2H].[OX2H:3][CX4:4]>>[C:1](=[O:2])[O:3][C:4]", ACIDS, ALCOHOLS),
    "amide coupling": ("[C:1](=[O:2])[OX2H].[NX3H2:3][#6:4]>>[C:1](=[O:2])[N:3][#6:4]", ACIDS, AMINES),
    "Suzuki coupling": ("[c:1]Br.[c:2]B(O)O>>[c:1]-[c:2]", ARYL_BROMIDES, BORONIC_ACIDS),
    "Williamson ether synthesis": ("[CX4:1]Br.[OX2H:2][c:3]>>[C:1][O:2][c:3]", ALKYL_BROMIDES, PHENOLS),
    "reductive amination": ("[CX3H1:1]=O.[NX3H2:2][#6:3]>>[C:1][N:2][#6:3]", ALDEHYDES, AMINES),
}
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, includeChirality=True)


def structure_count(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield counts that RDKit makes, none of them frequent."""
    _no("structure-count", parameters)
    counts: dict[str, Callable[[Any], int]] = {
        "heavy atoms (atoms other than hydrogen)": lambda mol: mol.GetNumHeavyAtoms(),
        "hydrogen atoms": lambda mol: Chem.AddHs(mol).GetNumAtoms() - mol.GetNumAtoms(),
        "atoms, hydrogen included,": lambda mol: Chem.AddHs(mol).GetNumAtoms(),
        "carbon atoms": lambda mol: sum(atom.GetSymbol() == "C" for atom in mol.GetAtoms()),
    }
    seen: Counter[int] = Counter()
    for number, smiles in enumerate(_molecules(draw)):
        name = draw.choice(list(counts))
        count = counts[name](Chem.MolFromSmiles(smiles))
        if seen[count] > 1 + 0.08 * number:
            continue
        seen[count] += 1
        question = (
            f"How many {name} does this molecule have?\nMolecule: {selfies.encoder(smiles)}\nAnswer with a number."
        )
        yield Problem(f"{name.split()[0]}/{smiles}", question, str(count), group=smiles, smiles=smiles)


def structure_drawing(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield scaffolds and translations between SMILES and SELFIES; a copy of the question's molecule is not the answer."""
    _no("structure-drawing", parameters)
    for smiles in _molecules(draw):
        kind, said = draw.choice(("scaffold", "smiles", "selfies")), selfies.encoder(smiles)
        info: dict[str, Any] = {"form": kind}
        if kind == "scaffold":
            answer = _SCAFFOLD(smiles)
            question = f"Write the Murcko scaffold (the rings and what links them) of this molecule in SMILES.\nMolecule: {smiles}"
            info = {"given": smiles}
            if not answer or answer == smiles:
                continue
        elif kind == "smiles":
            question, answer = f"Write this molecule in SMILES.\nMolecule: {said}", smiles
        else:
            question, answer = f"Write this molecule in SELFIES.\nMolecule: {smiles}", said
        question += "\nWrite it between <answer> and </answer>."
        yield Problem(f"{kind}/{smiles}", question, answer, info=info, group=smiles, smiles=smiles)


def same_molecule(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield pairs of spellings, one molecule and two isomers of one formula by turns."""
    _no("same-molecule", parameters)
    while True:
        core = draw.choice(CORES)
        first, second = draw.sample([code for code, _ in GROUPS.values()], 2)
        one, other = _smiles(core.format(first, second)), _smiles(draw.choice(CORES).format(second, first))
        if not one or not other or one == other or _formula(one) != _formula(other):
            continue
        for truth, partner in ((True, one), (False, other)):
            pair = [
                Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(m), 1, randomSeed=draw.randrange(10**6))[0]
                for m in (one, partner)
            ]
            if pair[0] == pair[1]:
                break
            question = f"Are these two SMILES the same molecule?\nA: {pair[0]}\nB: {pair[1]}\nAnswer with one word, True or False."
            yield Problem(f"{truth}/{one}/{partner}", question, str(truth), group=one)


def molecule_design(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield targets that a known molecule meets: its formula, a group, and logP within a unit."""
    _no("molecule-design", parameters)
    for smiles in _molecules(draw):
        mol = Chem.MolFromSmiles(smiles)
        present = [(name, smarts) for name, (_, smarts) in GROUPS.items() if _count(mol, smarts)]
        if not present:
            continue
        name, smarts = draw.choice(present)
        low = round(_LOGP(mol) - draw.uniform(0.2, 0.8), 1)
        info = {"formula": _formula(smiles), "groups": {smarts: [1, None]}, "range": {"logP": [low, low + 1.0]}}
        question = (
            f"Design a molecule with the formula {info['formula']} that has {name} and a Wildman-Crippen logP between "
            f"{low:.1f} and {low + 1.0:.1f}. Write its SMILES between <answer> and </answer>."
        )
        yield Problem(f"{info['formula']}/{smiles}", question, smiles, info=info, group=str(info["formula"]))


def molecule_edit(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield a molecule with one group to exchange or to add."""
    _no("molecule-edit", parameters)
    while True:
        core, (kept, old, new) = draw.choice(CORES), draw.sample(list(GROUPS), 3)
        adds = draw.random() < 0.3
        source = _smiles(core.format(GROUPS[kept][0], "" if adds else GROUPS[old][0]).replace("()", ""))
        answer = _smiles(core.format(GROUPS[kept][0], GROUPS[new][0]))
        if not source or not answer or _alike(source, answer) < SIMILARITY + 0.05:
            continue
        change = {GROUPS[new][1]: 1} if adds else {GROUPS[old][1]: -1, GROUPS[new][1]: 1}
        mols = Chem.MolFromSmiles(source), Chem.MolFromSmiles(answer)
        if any(_count(mols[1], smarts) - _count(mols[0], smarts) != more for smarts, more in change.items()):
            continue
        asked = f"Add {new} to this molecule" if adds else f"Exchange {old} of this molecule for {new}"
        question = f"{asked}, and keep the rest.\nMolecule: {source}\nWrite its SMILES between <answer> and </answer>."
        info = {"source": source, "groups": change, "similarity": SIMILARITY}
        yield Problem(f"{source}/{new}", question, answer, info=info, group=source, smiles=source)


def molecule_optimize(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield a molecule and a property to move by an amount that one exchange of a group can reach."""
    _no("molecule-optimize", parameters)
    while True:
        core, (kept, old, new) = draw.choice(CORES), draw.sample([code for code, _ in GROUPS.values()], 3)
        source, answer = _smiles(core.format(kept, old)), _smiles(core.format(kept, new))
        if not source or not answer or _alike(source, answer) < SIMILARITY + 0.05:
            continue
        key = draw.choice(list(PROPERTIES))
        name, compute, amount = PROPERTIES[key]
        change = compute(Chem.MolFromSmiles(answer)) - compute(Chem.MolFromSmiles(source))
        if abs(change) < amount:
            continue
        direction = "up" if change > 0 else "down"
        question = (
            f"Change this molecule a little so that its {name} goes {direction} by at least {amount:g}.\nMolecule: {source}\n"
            "Write its SMILES between <answer> and </answer>."
        )
        info = {"source": source, "property": key, "direction": direction, "amount": amount, "similarity": SIMILARITY}
        yield Problem(f"{key}/{direction}/{source}", question, answer, info=info, group=source, smiles=source)


def reaction_product(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield two reactants and the name of their reaction; the answer is the organic product."""
    _no("reaction-product", parameters)
    for name, reactants, product in _reactions(draw):
        question = (
            f"What is the organic product of the {name} of these two molecules?\nReactants: {reactants}\n"
            "Write its SMILES between <answer> and </answer>."
        )
        yield Problem(f"{name}/{reactants}", question, product, info={"given": reactants}, group=product)


def retrosynthesis(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield a product and the name of the reaction that made it; the answer is both reactants."""
    _no("retrosynthesis", parameters)
    for name, reactants, product in _reactions(draw):
        question = (
            f"Which two molecules give this product in a {name}?\nProduct: {product}\nWrite their SMILES, joined by a dot, "
            "between <answer> and </answer>."
        )
        yield Problem(
            f"{name}/{product}", question, reactants, info={"given": product, "asked": "reactants"}, group=product
        )


def property_regression(draw: random.Random, parameters: Parameters) -> Iterator[Problem]:
    """Yield molecules with their Wildman-Crippen logP; `info.center` is the median, so that no constant earns."""
    _no("property-regression", parameters)
    molecules = []
    for smiles in _molecules(draw):
        molecules.append(smiles)
        if len(molecules) == 1_500:
            break
    values = {smiles: round(_LOGP(Chem.MolFromSmiles(smiles)), 2) for smiles in molecules}
    info = {"tolerance": LOGP_TOLERANCE, "center": round(median(values.values()), 2)}
    for smiles, value in values.items():
        question = f"What is the Wildman-Crippen logP of this molecule?\nMolecule: {smiles}\nAnswer with a number."
        yield Problem(smiles, question, f"{value:.2f}", info=info, group=smiles, smiles=smiles)


def _molecules(draw: random.Random) -> Iterator[str]:
    """Yield canonical SMILES without doubles, until a thousand draws bring no new one."""
    seen: set[str] = set()
    idle = 0
    while idle < 1_000:
        smiles = _smiles(
            draw.choice(CORES).format(*(draw.choice([code for code, _ in GROUPS.values()]) for _ in range(2)))
        )
        idle = 0 if smiles and smiles not in seen else idle + 1
        if smiles and smiles not in seen:
            seen.add(smiles)
            yield smiles


def _reactions(draw: random.Random) -> Iterator[tuple[str, str, str]]:
    cases = [(name, a, b) for name, (_, firsts, seconds) in REACTIONS.items() for a in firsts for b in seconds]
    draw.shuffle(cases)
    compiled = {name: _REACTION(smarts) for name, (smarts, _, _) in REACTIONS.items()}
    for name, first, second in cases:
        made = {
            Chem.MolToSmiles(mol)
            for (mol,) in compiled[name].RunReactants((Chem.MolFromSmiles(first), Chem.MolFromSmiles(second)))
        }
        products = {_smiles(smiles) for smiles in made} - {""}
        if len(products) == 1:  # else the reaction has a choice
            yield name, f"{_smiles(first)}.{_smiles(second)}", products.pop()


def _smiles(text: str) -> str:
    mol = Chem.MolFromSmiles(text)
    return "" if mol is None else str(Chem.MolToSmiles(mol))


def _formula(smiles: str) -> str:
    return str(rdMolDescriptors.CalcMolFormula(Chem.MolFromSmiles(smiles)))


def _count(mol: Any, smarts: str) -> int:
    return len(mol.GetSubstructMatches(Chem.MolFromSmarts(smarts)))


def _alike(one: str, other: str) -> float:
    return float(
        DataStructs.TanimotoSimilarity(
            *(_MORGAN.GetSparseCountFingerprint(Chem.MolFromSmiles(m)) for m in (one, other))
        )
    )


def _no(task: str, parameters: Parameters) -> None:
    if parameters:
        raise UserError(f"task {task!r} has no parameter {next(iter(parameters))!r}; it takes none")


MOLECULE_TASKS = {
    "structure-count": structure_count,
    "structure-drawing": structure_drawing,
    "same-molecule": same_molecule,
    "molecule-design": molecule_design,
    "molecule-edit": molecule_edit,
    "molecule-optimize": molecule_optimize,
    "reaction-product": reaction_product,
    "retrosynthesis": retrosynthesis,
    "property-regression": property_regression,
}
