"""Score the products of a reaction, or the reactants that lead to a product.

The answer is a multiset of molecules joined by dots: their order, atom maps and spelling do not matter, their number
does. Where the reference has several molecules, they may also be joined by words, signs or lines. `info.given` has the
molecules that the question shows. Repeating them earns nothing: what they have in common with the reference is taken
off. `info.ignore` lists reagents that may be written or left out. Of an answer in the form `reactants>>products`, the
side that is asked for counts; `info.asked` is `products` (default) or `reactants`.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

from rdkit import Chem

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.extraction import final_part, find_answer, hedged
from rewards.molecules.comparison import UNRELATED, MoleculeFeatures, similarities, similarity
from rewards.molecules.extraction import candidates
from rewards.molecules.generation import only_molecule
from rewards.molecules.parsing import UnreadableMolecule, read_molecule

NEAR = 0.5
EXACT = 0.6
"""The most that an answer with some, but not all, of the molecules earns."""
MAX_MOLECULES = 12
MAX_LIST_CHARS = 4_000
_NO_LIST = re.compile(
    r"\b(?:not|no|nor|never|wrong|incorrect|wait|actually|instead|rather|but|correction|from|into|gives?|yields?|than)\b|[?≠→]|(?<=\s)/(?=\s)|[-=]>",
    re.I,
)
_PART = re.compile(r"[^\s<>-]>[^\s<>]{0,4000}>[^\s<>]")
_REACTION = re.compile(r"([^\s<>,]{1,4000})>[^\s<>,]{0,4000}>([^\s<>,]{1,4000})")


class Reaction:
    """Reward the same multiset of molecules as the reference.

    Terms: `exact`, the share of molecules that are right, by heavy atoms; `chance`, the similarity that the given molecules have already.
    Reasons: `correct`, `partial`, `wrong`, `copied` (the given molecules), and those of `caption2mol` for what is no
    molecule; `bad_reference` abstains.
    """

    version = "1"

    def __call__(self, response: str, answer: str, info: dict[str, Any] | None = None) -> Score:
        """Score one response."""
        info = info or {}
        try:
            gold = molecules_of(answer.split(">")[-1 if info.get("asked") != "reactants" else 0])
            given = molecules_of(str(info["given"])) if info.get("given") else {}
            spare = molecules_of(str(info["ignore"])) if info.get("ignore") else {}
        except UnreadableMolecule:
            return abstain("bad_reference")
        texts = candidates(_asked_side(response, info))
        if not texts:
            return wrong("no_answer")
        try:
            joined = _joined(texts, response) if sum(_counts(gold).values()) > 1 else None
            said = molecules_of(joined or Chem.MolToSmiles(only_molecule(texts)))
        except UnreadableMolecule as problem:
            return wrong(str(problem), texts[-1][:300])
        return score_molecules(said, gold, given, spare)


Molecules = dict[str, tuple[MoleculeFeatures, int]]


def score_molecules(said: Molecules, gold: Molecules, given: Molecules, spare: Molecules) -> Score:
    """Score molecules by name against the reference, less what is given."""
    mine, theirs = _counts(said), _counts(gold)
    for name in spare.keys() - gold.keys():
        mine.pop(name, None)
    shown = ".".join(one.smiles for one, _ in said.values())
    if mine == theirs:
        return right(shown, exact=1.0, chance=0.0)
    if not mine or mine.keys() <= given.keys():
        return wrong("copied", shown)
    weight = {name: one.mol.GetNumHeavyAtoms() or 1 for name, (one, _) in (said | gold).items()}
    exact = sum(count * weight[name] for name, count in (mine & theirs).items() if name not in given)
    open_names = [name for name in gold if name not in said]
    best, chance = 0.0, 0.0
    for name in open_names:
        known = gold[name][0]
        floor = max([UNRELATED, *(_alike(one, known) for one, _ in given.values())])
        reached = max((_alike(one, known) for key, (one, _) in said.items() if key not in given), default=0.0)
        best += weight[name] * max(0.0, (reached - floor) / (1 - floor)) if floor < 1 else 0.0
        chance = max(chance, floor)
    size = max(sum(count * weight[name] for name, count in counts.items()) for counts in (mine, theirs))
    value = (EXACT * exact + NEAR * best) / size
    return Score(value, False, "partial" if value > 0 else "wrong", shown, {"exact": exact / size, "chance": chance})


def _counts(molecules: Molecules) -> Counter[str]:
    return Counter({name: count for name, (_, count) in molecules.items()})


def _alike(one: MoleculeFeatures, other: MoleculeFeatures) -> float:
    return similarity(similarities(one, other))


@lru_cache(maxsize=4_096)
def molecules_of(text: str) -> Molecules:
    """Return the molecules of a text, joined by dots, by what makes them the same, with their numbers.

    Raises:
        UnreadableMolecule: One is unreadable, or there are too many.
    """
    whole = read_molecule(text.strip())
    for atom in whole.GetAtoms():
        atom.SetAtomMapNum(0)
    parts = Chem.GetMolFrags(whole, asMols=True)
    if len(parts) > MAX_MOLECULES:
        raise UnreadableMolecule("too_long")
    found: Molecules = {}
    for part in parts:
        one = MoleculeFeatures(Chem.MolFromSmiles(Chem.MolToSmiles(part)) or part)
        name = one.inchi or one.smiles
        found[name] = (one, found[name][1] + 1 if name in found else 1)
    return found


def _joined(texts: list[str], response: str) -> str | None:
    """Return the molecules that an answer lists ("CCO and CC(=O)O"), joined by dots; None where it lists none.

    Alternatives, molecules that are taken back, and several marked answers are no list. Nor is it one where a part is
    several molecules already ("CCO.O, CCN.O"): each part is then an answer of its own. A salt is one part.
    """
    text = final_part(response)
    listing = text[max(0, text.find(texts[0])) :]
    if len(texts) < 2 or text.count("<answer>") > 1 or hedged(text[-MAX_LIST_CHARS:]) or _NO_LIST.search(listing):
        return None
    try:
        parts = [read_molecule(one) for one in texts]
    except UnreadableMolecule:
        return None
    return None if any(_is_several(part) for part in parts) else ".".join(map(Chem.MolToSmiles, parts))


def _is_several(mol: Chem.Mol) -> bool:
    """Return whether a molecule has parts without a charge, next to others."""
    parts = Chem.GetMolFrags(mol, asMols=True)
    return len(parts) > 1 and any(Chem.GetFormalCharge(part) == 0 for part in parts)


def _asked_side(response: str, info: dict[str, Any]) -> str:
    """Return a response with the side of a reaction that is asked for, where its answer is one."""
    found = find_answer(response)
    if found is None or not (sides := _REACTION.fullmatch(found.text.strip("` \n"))):
        return "" if found and _PART.search(found.text) else response  # a reaction among other things is no answer
    return f"<answer>{sides.group(1 if info.get('asked') == 'reactants' else 2)}</answer>"
