"""Read MoleculeNet property tables (MIT): SMILES and a 0/1 label.

`parameters.ask` in the recipe is the True/False question before the molecule; `parameters.label` and
`parameters.smiles` name the columns (by default `label` and `smiles`). The same molecule with both labels is dropped.
"""

from collections.abc import Iterator

from innovator_rl.data.molecules import RejectedMolecule, canonical_smiles, to_selfies
from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.errors import UserError

LABELS = {"0": "False", "1": "True"}


def read(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield `ask` with each molecule in SELFIES; the answer is True for label 1."""
    ask = str(recipe.parameters.get("ask", "")).strip()
    if not ask:
        raise UserError(f"recipe {recipe.name!r}: reader 'moleculenet' requires parameters.ask, the question")
    label_column = str(recipe.parameters.get("label", "label"))
    smiles_column = str(recipe.parameters.get("smiles", "smiles"))
    found: dict[str, Problem] = {}
    contradicted: set[str] = set()
    for record in records(source, rejected, ".csv", ".parquet"):
        with rejected.row(record.place):
            label = LABELS.get(record.text(label_column).removesuffix(".0"))
            smiles = record.text(smiles_column)
            try:
                molecule, group = to_selfies(smiles), canonical_smiles(smiles)
            except RejectedMolecule as reason:
                rejected.add(str(reason), record.place)
                continue
            if label is None:
                rejected.add("no 0/1 label", record.place)
            elif group in found:
                rejected.add("molecule listed before", record.place)
                contradicted |= {group} if found[group].answer != label else set()
            else:
                name = f"{recipe.name}/{record.file.partition('.')[0]}:{record.number}"
                found[group] = Problem(
                    name, f"{ask}\nMolecule: {molecule}", label, group=group, smiles=group, place=record.place
                )
    for group in contradicted:
        rejected.add("molecule with both labels", found.pop(group).place)
    yield from found.values()
