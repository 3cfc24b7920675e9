"""Read a molecule in SELFIES or SMILES, under one policy and under caps.

| what | policy |
|---|---|
| white space, zero-width characters, Markdown and TeX marks around | dropped |
| unknown SELFIES symbols, stray brackets, prose | `malformed_answer` (the decoder makes prose an empty molecule) |
| no heavy atom | `malformed_answer` |
| more than 1,500 symbols, 8,000 characters of SMILES or 1,000 atoms | `too_long`, before any parser sees the text |
| 100 or more rings in SELFIES | `too_many_rings`: the decoder's ring numbers are no longer readable SMILES |
| salts and mixtures | kept as written; nothing is stripped or neutralised |
| charge, stereochemistry, isotopes | kept; they belong to the identity of a molecule |
| tautomers | distinct as text, the same where the standard InChI says so |

Lengths are capped first because RDKit's C++ cannot be interrupted from Python.
"""

from __future__ import annotations

import re
from typing import Any

import selfies
from rdkit import Chem, RDLogger

RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]

MAX_TEXT_CHARS = 24_000
MAX_TOKENS = 1_500
MAX_SMILES_CHARS = 8_000
MAX_ATOMS = 1_000
MAX_NESTING = 300
_SELFIES = re.compile(r"(?:\[[^\[\]\s]{1,30}\]|\.)+")
_SMILES = re.compile(r"[A-Za-z0-9@+\-\[\]()=#$:./\\%*~]+")
_ATOM = re.compile(r"\[[^\]]{0,60}\]|Br|Cl|[BCNOPSFIbcnops*]")
_INVISIBLE = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\u00ad]+")


class UnreadableMolecule(ValueError):
    """Text that is no molecule under the policy.

    The message is the reason code of a score.
    """


def is_selfies(text: str) -> bool:
    """Return whether the text has the form of SELFIES.

    Bracketed symbols and dots only.
    """
    return bool(_SELFIES.fullmatch(text))


def read_molecule(text: str) -> Any:
    """Return the RDKit molecule that `text` writes in SELFIES or SMILES.

    Raises:
        UnreadableMolecule: With a reason code as its message.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise UnreadableMolecule("too_long")
    compact = _INVISIBLE.sub("", text).strip("`$'\"")
    mol = None
    if is_selfies(compact):
        mol = _from_selfies(compact)
    if mol is None:  # a SMILES such as [Na+].[Cl-] has the form of SELFIES
        mol = _from_smiles(compact)
    if mol is None or not mol.GetNumHeavyAtoms():
        raise UnreadableMolecule("malformed_answer")
    return mol


def _from_selfies(text: str) -> Any:
    if text.count("[") > MAX_TOKENS:
        raise UnreadableMolecule("too_long")
    try:
        smiles = selfies.decoder(text)
    except (selfies.DecoderError, ValueError, KeyError, IndexError, RecursionError):
        return None
    if "%100" in smiles:
        raise UnreadableMolecule("too_many_rings")
    return _from_smiles(smiles) if smiles else None


def _from_smiles(text: str) -> Any:
    text = text.replace("\\\\", "\\")  # escaped once too often, as in the published ChEBI-20 files
    if not text or not _SMILES.fullmatch(text):
        return None
    if len(text) > MAX_SMILES_CHARS or sum(1 for _ in _ATOM.finditer(text)) > MAX_ATOMS:
        raise UnreadableMolecule("too_long")
    if _nesting(text) > MAX_NESTING:
        raise UnreadableMolecule("too_long")
    try:
        return Chem.MolFromSmiles(text)
    except Exception as error:  # RDKit reports some impossible inputs through Boost as bare RuntimeErrors
        raise UnreadableMolecule("malformed_answer") from error


def _nesting(text: str) -> int:
    depth = deepest = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        deepest = max(deepest, depth)
    return deepest
