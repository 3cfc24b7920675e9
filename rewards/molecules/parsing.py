"""Read a molecule in SELFIES or SMILES, under one policy and under caps.

| what | policy |
|---|---|
| white space, zero-width characters, Markdown and TeX marks around | dropped |
| unknown SELFIES symbols, stray brackets, prose | `malformed_answer` (the decoder makes prose an empty molecule) |
| no atom | `malformed_answer` |
| dative bonds `->` and `<-` | read; whether a bond to a metal is drawn does not count (see `comparison`) |
| one atom in brackets, `[S]` | SELFIES (hydrogen sulfide), but SMILES (the atom) where the reference is such a SMILES |
| valences above SELFIES' own, `[O][=Cl]...` | cut off by the decoder, but kept where the reference has them |
| more than 1,500 symbols, 8,000 characters of SMILES or 1,000 atoms | `too_long`, before any parser sees the text |
| 100 or more rings in SELFIES | `too_many_rings`: the decoder's ring numbers are no longer readable SMILES |
| salts and mixtures | kept as written; nothing is stripped or neutralised |
| charge, stereochemistry, isotopes | kept; they belong to the identity of a molecule |
| tautomers | distinct; only the drawings of one bonding are the same (see `generation`) |

Lengths are capped first because RDKit's C++ cannot be interrupted from Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
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
_SYMBOL = re.compile(
    r"\[(?:[=#/\\-]{0,2}(?:Branch|Ring)[1-3]|[=#/\\]?(?:\d{1,3})?(?:[A-Z][a-z]?|\*)@{0,2}(?:H\d?)?(?:[+-]\d{0,2})?|nop|epsilon)\]"
)
_SMILES = re.compile(r"(?:[A-Za-z0-9@+\[\]()=#$:./\\%*~]|->|<-|-)+")
_BARE_ATOM = re.compile(r"\[\d{0,3}[A-Z][a-z]?\](?:\.\[\d{0,3}[A-Z][a-z]?\])*")
_ATOM = re.compile(r"\[[^\]]{0,60}\]|Br|Cl|[BCNOPSFIbcnops*]")
_INVISIBLE = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\u00ad]+")


@dataclass(frozen=True)
class Reading:
    """How to read what more than one molecule may be meant by; the reference decides.

    Attributes:
        atoms: One symbol in brackets is SMILES, an atom without hydrogen.
        hypervalent: SELFIES may bind chlorine, bromine and iodine seven times, nitrogen five times.
        dummies: A star at an end is an open end of the molecule; else it is Markdown.
    """

    atoms: bool = False
    hypervalent: bool = False
    dummies: bool = False


DEFAULT = Reading()


class UnreadableMolecule(ValueError):
    """Text that is no molecule under the policy.

    The message is the reason code of a score.
    """


def is_selfies(text: str) -> bool:
    """Return whether the text has the form of SELFIES.

    Bracketed symbols and dots only.
    """
    return bool(_SELFIES.fullmatch(text))


def read_molecule(text: str, reading: Reading = DEFAULT) -> Any:
    """Return the RDKit molecule that `text` writes in SELFIES or SMILES.

    Raises:
        UnreadableMolecule: With a reason code as its message.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise UnreadableMolecule("too_long")
    compact = _INVISIBLE.sub("", text).strip("`$'\"")
    mol = None
    if is_selfies(compact) and not (reading.atoms and _BARE_ATOM.fullmatch(compact)):
        mol = _from_selfies(compact, reading.hypervalent)
    if mol is None:  # a SMILES such as [Na+].[Cl-] has the form of SELFIES
        mol = _from_smiles(compact)
    if mol is None or not mol.GetNumAtoms():
        raise UnreadableMolecule("malformed_answer")
    return mol


def reading_of(text: str, asked_in_selfies: bool = False) -> Reading:
    """Return how answers are read for a reference.

    Args:
        text: The reference, as it is written.
        asked_in_selfies: Whether the prompt speaks of SELFIES; `[O]` is water then.

    Raises:
        UnreadableMolecule: The reference is no molecule.
    """
    compact = _INVISIBLE.sub("", text)
    atoms = bool(_BARE_ATOM.fullmatch(compact)) and not asked_in_selfies
    mol = read_molecule(text, Reading(atoms=atoms))
    high = any(
        (atom.GetSymbol() in ("Cl", "Br", "I") and atom.GetTotalValence() > 1)
        or (atom.GetSymbol() == "N" and atom.GetFormalCharge() > 0)
        for atom in mol.GetAtoms()
    )
    return Reading(atoms, high, "*" in compact)


def _from_selfies(text: str, hypervalent: bool) -> Any:
    if text.count("[") > MAX_TOKENS:
        raise UnreadableMolecule("too_long")
    if not all(map(_is_symbol, set(re.findall(r"\[[^\]]*\]", text)))):
        return None
    if hypervalent and (mol := _decoded(text, "hypervalent")) is not None:
        return mol
    return _decoded(text, "default")


@lru_cache(maxsize=4_096)
def _is_symbol(text: str) -> bool:
    return bool(_SYMBOL.fullmatch(text))


def _decoded(text: str, constraints: str) -> Any:
    # The constraints are global to the package, and setting them empties its caches: only where they differ.
    try:
        if constraints != "default":
            selfies.set_semantic_constraints(constraints)
        smiles = selfies.decoder(text)
    except (selfies.DecoderError, ValueError, KeyError, IndexError, RecursionError):
        return None
    finally:
        if constraints != "default":
            selfies.set_semantic_constraints("default")
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
