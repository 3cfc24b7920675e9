"""Convert SMILES to SELFIES without loss, or reject the molecule with a reason.

"Every SELFIES is valid" holds for the grammar, not for every molecule: hypervalent atoms cannot be written, the decoder
drops some stereo marks, and rings beyond 99 open closures cannot be read by RDKit. A gold answer that does not decode
to its own molecule could never be matched, so the round trip is checked for each.
"""

import re
from functools import lru_cache

import selfies
from rdkit import Chem, rdBase

from innovator_rl.errors import DataRowError

MAX_TOKENS = 1500
MAX_ATOMS = 1000
MIN_SMILES_ATOMS = 5
SELFIES_RUN = re.compile(r"\[[^\[\]\s]{1,24}\](?:\s?\[[^\[\]\s]{1,24}\])+")
SMILES_WORD = re.compile(r"[A-Za-z0-9@+\-\[\]()=#$/\\.%*:]{5,}")
RING_DIGIT = re.compile(r"[A-Za-z\])]\d")


class RejectedMolecule(DataRowError):
    """A molecule that cannot be a question or an answer.

    The message is a short reason.
    """


@lru_cache(maxsize=8192)
def canonical_smiles(smiles: str) -> str:
    """Return RDKit's canonical isomeric SMILES.

    Raises:
        RejectedMolecule: The input is unreadable, empty or huge.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles) if len(smiles) <= 10 * MAX_ATOMS else None
    if molecule is None:
        raise RejectedMolecule("RDKit cannot read the SMILES")
    if not 0 < molecule.GetNumHeavyAtoms() <= MAX_ATOMS:
        raise RejectedMolecule(f"not between 1 and {MAX_ATOMS} heavy atoms")
    return str(Chem.MolToSmiles(molecule))


@lru_cache(maxsize=8192)
def to_selfies(smiles: str) -> str:
    """Return the molecule in SELFIES.

    Raises:
        RejectedMolecule: The SELFIES does not decode to the same canonical SMILES.
    """
    canonical = canonical_smiles(smiles)
    try:
        text = selfies.encoder(canonical)
    except selfies.EncoderError:
        raise RejectedMolecule("SELFIES cannot express the molecule") from None
    if selfies.len_selfies(text) > MAX_TOKENS:
        raise RejectedMolecule(f"more than {MAX_TOKENS} SELFIES tokens")
    try:
        returned = canonical_smiles(selfies.decoder(text))
    except (selfies.DecoderError, RejectedMolecule):
        returned = ""
    if returned != canonical:
        raise RejectedMolecule("another molecule after the round trip through SELFIES")
    return str(text)


def smiles_of(text: str) -> str:
    """Return a molecule that is written in SELFIES or SMILES as SMILES; empty where it is neither."""
    written = "".join(text.split())
    if not written or len(written) > 10 * MAX_ATOMS:
        return ""
    if SELFIES_RUN.fullmatch(written):
        try:
            decoded = str(selfies.decoder(written))
        except (selfies.DecoderError, KeyError, ValueError):
            decoded = ""
        if decoded:
            return decoded
    return written


@lru_cache(maxsize=65536)
def inchikey(smiles: str) -> str:
    """Return the InChIKey of a molecule, which no spelling changes; empty where RDKit cannot read it."""
    try:
        return _inchikey(canonical_smiles(smiles))
    except RejectedMolecule:
        return ""


@lru_cache(maxsize=65536)
def _inchikey(canonical: str) -> str:
    """Return the key of a canonical SMILES, so that each molecule costs one InChI however often it is spelled."""
    with rdBase.BlockLogs():
        return str(Chem.MolToInchiKey(Chem.MolFromSmiles(canonical)))  # type: ignore[no-untyped-call]


def skeleton_key(smiles: str) -> str:
    """Return the first block of the InChIKey: the same for stereoisomers and isotopes."""
    return inchikey(smiles).partition("-")[0]


@lru_cache(maxsize=65536)
def scaffold_key(smiles: str) -> str:
    """Return the Murcko scaffold in canonical SMILES; for a molecule without a ring, its skeleton key."""
    from rdkit.Chem.Scaffolds import MurckoScaffold

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            return ""
        found = MurckoScaffold.MurckoScaffoldSmiles(mol=molecule)  # type: ignore[no-untyped-call]
    return str(found) or skeleton_key(smiles)


def molecule_keys(text: str, *, whole: bool = False) -> set[str]:
    """Return the InChIKeys of the molecules in a text.

    Args:
        text: The text.
        whole: Whether the text is one molecule, of any size. Elsewhere a word counts as SMILES if RDKit reads it, it has
            at least `MIN_SMILES_ATOMS` heavy atoms, and it has a mark that ordinary words lack.
    """
    if whole:
        return {inchikey(smiles_of(text))} - {""}
    keys = {inchikey(smiles_of(run[0])) for run in SELFIES_RUN.finditer(text)}
    for word in SMILES_WORD.findall(text):
        plain = word.strip(".,;:'\"`")
        if any(mark in plain for mark in "=#()[]@/\\") or (RING_DIGIT.search(plain) and not plain.isdigit()):
            if plain.startswith("(") and plain.endswith(")"):
                plain = plain[1:-1]
            keys |= _sized_key(plain)
    return keys - {""}


def _sized_key(smiles: str) -> set[str]:
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles) if MIN_SMILES_ATOMS <= len(smiles) <= 10 * MAX_ATOMS else None
    return {inchikey(smiles)} if molecule is not None and molecule.GetNumHeavyAtoms() >= MIN_SMILES_ATOMS else set()
