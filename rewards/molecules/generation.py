"""Caption2Mol: a molecule, written as SELFIES or SMILES, compared with the reference molecule.

The ladder: the same standard InChIKey or canonical SMILES is `correct` (1); the same skeleton with another charge
state or stereochemistry earns `SAME_SKELETON`; anything else a weighted Tanimoto similarity of count fingerprints
with chirality and of MACCS keys, times the agreement of the heavy-atom count, above what an unrelated molecule gets,
and at most `PARTIAL`. Bit fingerprints alone cannot tell a chain of 10 carbons from one of 30.

"SELFIES is always valid" is false of text: the decoder turns prose into an empty molecule that RDKit accepts. So the
symbols are checked first, a molecule needs a heavy atom, and lengths are capped, since canonical ranking of a
12,000-atom chain takes seconds inside C++.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import selfies
from rdkit import Chem, DataStructs, RDLogger
from rdkit.Chem import MACCSkeys, rdFingerprintGenerator

from innovator_rl.scoring import Score, right, wrong
from rewards.extraction import final_part, find_answer

RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]

MAX_CHARS = 8_000
MAX_TOKENS = 1_500
MAX_ATOMS = 1_000
SAME_SKELETON = 0.7
PARTIAL = 0.6
UNRELATED = 0.3
_SELFIES = re.compile(r"(?:\[[^\[\]\s]+\]|\.)+")
_SELFIES_RUN = re.compile(r"(?<![^\s`\"':])(?:\[[^\[\]\s]{1,30}\]\s*\.?\s*)+(?![^\s`\"'.,;])")
_SMILES = re.compile(r"[A-Za-z0-9@+\-\[\]()=#$:./\\%*~]+")
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, includeChirality=True)


def molecule(text: str) -> tuple[Any, str]:
    """An RDKit molecule, or None and the reason why not."""
    text = text.replace("\\\\", "\\")  # escaped once too often, as in the published ChEBI-20 files
    compact = re.sub(r"\s+", "", text)
    if len(compact) > MAX_CHARS:
        return None, "too_long"
    mol = None
    if _SELFIES.fullmatch(compact) and compact.count("[") <= MAX_TOKENS:
        try:
            mol = Chem.MolFromSmiles(selfies.decoder(compact))
        except (selfies.DecoderError, ValueError, KeyError, IndexError):
            mol = None
    elif compact.count("[") > MAX_TOKENS:
        return None, "too_long"
    if (mol is None or not mol.GetNumHeavyAtoms()) and _SMILES.fullmatch(text.strip()):
        mol = Chem.MolFromSmiles(text.strip())
    if mol is None or not mol.GetNumHeavyAtoms():
        return None, "malformed_answer"
    return (None, "too_long") if mol.GetNumAtoms() > MAX_ATOMS else (mol, "")


def answer_text(response: str) -> str | None:
    """The molecule's text: the marked answer, else the last run of SELFIES symbols, else a line that is nothing but a
    SMILES.
    """
    found = find_answer(response)
    if found is None:
        return None
    if found.kind in ("tag", "boxed"):
        return re.sub(r"\\text\s*\{(.*)\}", r"\1", found.text.strip().strip("`$").strip(), flags=re.DOTALL)
    text = final_part(response)
    if len(text) <= MAX_CHARS and _SELFIES.fullmatch(re.sub(r"\s+", "", text)):
        return text
    runs = _SELFIES_RUN.findall(text[-4 * MAX_CHARS :])
    if runs:
        return runs[-1].strip()
    words = found.text.strip("`").split()
    return words[-1].strip("`.,:;") if words else None


class _Keys:
    """What a molecule is compared by, computed once."""

    def __init__(self, mol: Any) -> None:
        self.mol = mol
        self.smiles = Chem.MolToSmiles(mol)
        self.inchikey = Chem.MolToInchiKey(mol)  # type: ignore[no-untyped-call]
        self.morgan = _MORGAN.GetCountFingerprint(mol)
        self.maccs = MACCSkeys.GenMACCSKeys(mol)  # type: ignore[attr-defined]
        self.atoms = mol.GetNumHeavyAtoms()


@lru_cache(maxsize=4096)
def _gold_keys(text: str) -> _Keys | None:
    mol, _ = molecule(text)
    return _Keys(mol) if mol is not None else None


def similarity(said: _Keys, gold: _Keys) -> dict[str, float]:
    """Named similarities, each 0..1."""
    return {
        "morgan": float(DataStructs.TanimotoSimilarity(said.morgan, gold.morgan)),
        "maccs": float(DataStructs.TanimotoSimilarity(said.maccs, gold.maccs)),
        "size": min(said.atoms, gold.atoms) / max(said.atoms, gold.atoms),
    }


class Caption2Mol:
    """Rewards the reference molecule, and nearness to it in part. The reference is SELFIES or SMILES."""

    def __call__(self, response: str, answer: str) -> Score:
        gold = _gold_keys(answer.strip())
        if gold is None:
            return wrong("bad_reference")
        text = answer_text(response)
        if not text:
            return wrong("no_answer")
        mol, problem = molecule(text)
        if mol is None:
            return wrong(problem, text[:300])
        said = _Keys(mol)
        parts = similarity(said, gold)
        if said.smiles == gold.smiles or (gold.inchikey and said.inchikey == gold.inchikey):
            return right(said.smiles, **parts)
        skeleton = bool(gold.inchikey) and said.inchikey[:14] == gold.inchikey[:14]
        likeness = (0.7 * parts["morgan"] + 0.3 * parts["maccs"]) * parts["size"]
        value = SAME_SKELETON if skeleton else PARTIAL * max(0.0, (likeness - UNRELATED) / (1 - UNRELATED))
        reason = "partial" if value > 0 else "wrong"
        return Score(value, False, reason, said.smiles, {**parts, "skeleton": float(skeleton)})
