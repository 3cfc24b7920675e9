"""Convert SMILES to SELFIES without loss, or reject the molecule with a reason.

"Every SELFIES is valid" holds for the grammar, not for every molecule: hypervalent atoms cannot be written, the decoder
drops some stereo marks, and rings beyond 99 open closures cannot be read by RDKit. A gold answer that does not decode
to its own molecule could never be matched, so the round trip is checked for each.
"""

from functools import lru_cache

import selfies
from rdkit import Chem, rdBase

from innovator_rl.errors import DataRowError

MAX_TOKENS = 1500
MAX_ATOMS = 1000


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
