"""Read MoleculeNet property tables (MIT): SMILES and a 0/1 label.

`parameters.ask` in the recipe is the True/False question before the molecule. The same molecule with both labels is
dropped.
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

LABELS = {"0": "False", "1": "True"}


def read(source: Path, recipe: Recipe, rejected: Counter[str]) -> Iterator[Problem]:
    """Yield `ask` with each molecule in SELFIES; the answer is True for label 1."""
    ask = str(recipe.parameters.get("ask", "")).strip()
    if not ask:
        raise UserError(f"recipe {recipe.name!r}: reader 'moleculenet' requires parameters.ask, the question")
    found: dict[str, tuple[str, str, str]] = {}
    contradicted: set[str] = set()
    for path in source_files(source, "*.csv"):
        with open_text(path) as lines:
            for number, record in enumerate(csv.DictReader(lines), start=2):
                label = LABELS.get(str(field(record, "label", path, number)).strip().removesuffix(".0"))
                smiles = str(field(record, "smiles", path, number))
                try:
                    molecule, group = to_selfies(smiles), canonical_smiles(smiles)
                except RejectedMolecule as reason:
                    rejected[str(reason)] += 1
                    continue
                if label is None:
                    rejected["no 0/1 label"] += 1
                elif group in found:
                    rejected["molecule listed before"] += 1
                    contradicted |= {group} if found[group][2] != label else set()
                else:
                    found[group] = (f"{recipe.name}/{path.stem}:{number}", molecule, label)
    for group in contradicted:
        rejected["molecule with both labels"] += 1
        del found[group]
    for group, (identity, molecule, label) in found.items():
        yield Problem(identity, f"{ask}\nMolecule: {molecule}", label, group=group)
