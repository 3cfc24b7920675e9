"""Read ChEBI-20 (text CC BY 4.0): CID, SMILES and description, tab-separated or as a hub data set.

Both molecule-caption tasks come from it; the domain of the recipe selects the direction. Problems are grouped by
molecule, so a molecule that validates in one direction never trains the other (with the same seed). A molecule listed
twice keeps its first description.
"""

from collections.abc import Iterator

from innovator_rl.data.molecules import RejectedMolecule, canonical_smiles, to_selfies
from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.errors import UserError


def read(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield problems from molecule to caption or from caption to molecule, in SELFIES."""
    if recipe.domain not in ("mol2caption", "caption2mol"):
        raise UserError(f"reader 'chebi20' serves mol2caption and caption2mol, not domain {recipe.domain!r}")
    seen: set[str] = set()
    for record in records(source, rejected, ".tsv", ".txt", ".csv", ".parquet"):
        with rejected.row(record.place):
            caption = record.text("description")
            try:
                molecule, group = to_selfies(record.text("SMILES")), canonical_smiles(record.text("SMILES"))
            except RejectedMolecule as reason:
                rejected.add(str(reason), record.place)
                continue
            if not caption or group in seen:
                rejected.add("molecule listed before" if caption else "no description", record.place)
                continue
            seen.add(group)
            asked = (molecule, caption) if recipe.domain == "mol2caption" else (caption, molecule)
            yield Problem(f"chebi20/{record.text('CID')}", *asked, group=group, smiles=group, place=record.place)
