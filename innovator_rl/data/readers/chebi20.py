"""Read ChEBI-20 (text CC BY 4.0): CID, SMILES and description, tab-separated.

Both molecule-caption tasks come from it; the domain of the recipe selects the direction. Problems are grouped by
molecule, so a molecule that validates in one direction never trains the other (with the same seed). A molecule listed
twice keeps its first description.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from innovator_rl.data.molecules import RejectedMolecule, canonical_smiles, to_selfies
from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import field, open_text, source_files
from innovator_rl.data.recipe import Recipe
from innovator_rl.errors import UserError


def read(source: Path, recipe: Recipe, rejected: Counter[str]) -> Iterator[Problem]:
    """Yield problems from molecule to caption or from caption to molecule, in SELFIES."""
    if recipe.domain not in ("mol2caption", "caption2mol"):
        raise UserError(f"reader 'chebi20' serves mol2caption and caption2mol, not domain {recipe.domain!r}")
    seen: set[str] = set()
    for path in source_files(source, "*.tsv", "*.txt"):
        with open_text(path) as lines:
            # Captions hold apostrophes and double primes (4''-O-…), so nothing is a quotation mark here.
            for number, record in enumerate(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), start=2):
                smiles = str(field(record, "SMILES", path, number))
                caption = str(field(record, "description", path, number) or "").strip()
                try:
                    molecule, group = to_selfies(smiles), canonical_smiles(smiles)
                except RejectedMolecule as reason:
                    rejected[str(reason)] += 1
                    continue
                if not caption or group in seen:
                    rejected["molecule listed before" if caption else "no description"] += 1
                    continue
                seen.add(group)
                asked = (molecule, caption) if recipe.domain == "mol2caption" else (caption, molecule)
                yield Problem(f"chebi20/{field(record, 'CID', path, number)}", *asked, group=group)
