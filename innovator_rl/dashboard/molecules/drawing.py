"""Draw two molecules in one picture and compare them.

They have the same orientation, and the common part is highlighted.

These are pure functions on strings (SMILES or SELFIES), with bounds on size and time. `renderer.py` runs them in a separate
process, because a model wrote the strings.
"""

from __future__ import annotations

import html
from typing import Any

import selfies
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import Descriptors, rdDepictor, rdFingerprintGenerator, rdFMCS, rdMolDescriptors
from rdkit.Chem.Draw import rdMolDraw2D

MOST_CHARS = 4_000
MOST_ATOMS = 300
MCS_SECONDS = 1
CAPTIONS = {"gold": "reference"}
HIGHLIGHT = {"light": (0.70, 0.86, 1.0), "dark": (0.16, 0.36, 0.56)}

Row = dict[str, Any]


def read_molecule(text: str) -> tuple[Any, str]:
    """Return an RDKit molecule, or None and the reason.

    Brackets distinguish SELFIES from SMILES.
    """
    text = text.strip()
    if not text:
        return None, "no molecule"
    if len(text) > MOST_CHARS:
        return None, f"longer than {MOST_CHARS} characters"
    smiles = text
    if text.startswith("[") and text.endswith("]") and text.count("[") > 1 and "][" in text:
        try:
            smiles = selfies.decoder(text) or ""
        except (selfies.DecoderError, ValueError, IndexError) as error:
            return None, f"not SELFIES: {str(error).splitlines()[0][:120] if str(error) else 'it cannot be decoded'}"
        if not smiles:
            return None, "SELFIES of no atoms"
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            parsed = Chem.MolFromSmiles(smiles, sanitize=False)
            return None, "not SMILES" if parsed is None else "its valences or aromatic rings are impossible"
    if not 0 < molecule.GetNumAtoms() <= MOST_ATOMS:
        return None, f"not between 1 and {MOST_ATOMS} atoms"
    return molecule, ""


def figures(predicted: str, gold: str) -> Row:
    """Compare two molecules: validity, formula, similarity and common part."""
    (said, said_error), (true, true_error) = read_molecule(predicted), read_molecule(gold)
    answer: Row = {
        "predicted": _facts(predicted, said, said_error) if predicted else None,
        "gold": _facts(gold, true, true_error) if gold else None,
        "same": None,
        "similarity": None,
        "common_smarts": None,
    }
    if said is None or true is None:
        return answer
    smarts, atoms = common_part(said, true)
    answer["same"] = Chem.MolToSmiles(said) == Chem.MolToSmiles(true)
    answer["similarity"] = {**_similarity(said, true), "common_atoms": atoms}
    answer["common_smarts"] = smarts or None
    return answer


def common_part(a: Any, b: Any) -> tuple[str, int]:
    """Return the maximum common substructure as SMARTS and its number of atoms.

    Both are empty where the search took too long or the common part is a single atom.
    """
    found = rdFMCS.FindMCS([a, b], timeout=MCS_SECONDS, ringMatchesRingOnly=True, completeRingsOnly=True)
    return ("", 0) if found.numAtoms < 2 else (found.smartsString, found.numAtoms)


def draw(predicted: str, gold: str, theme: str, side: str, width: int, height: int) -> str:
    """Draw the molecules as SVG: predicted left, gold right, or one of them alone.

    In a picture that is taller than wide, predicted is above gold.
    """
    sides = {"predicted": predicted, "gold": gold}
    shown = {name: text for name, text in sides.items() if side in (name, "both") and (text or side == name)} or sides
    if not predicted:
        shown = {"molecule": gold}
    read = {name: read_molecule(text) for name, text in shown.items()}
    stacked = height > width
    panel, tall = (width, height // len(shown)) if stacked else (width // len(shown), height)
    if any(molecule is None for molecule, _ in read.values()):
        places = [(0, i * tall) if stacked else (i * panel, 0) for i in range(len(shown))]
        parts = [
            _panel(CAPTIONS.get(name, name), *read[name], theme, panel, tall, place)
            for name, place in zip(shown, places, strict=True)
        ]
        return _frame("".join(parts), width, height)
    molecules = [molecule for molecule, _ in read.values()]
    for molecule in molecules:
        rdDepictor.Compute2DCoords(molecule)
    matches: list[tuple[int, ...]] = [()] * len(molecules)
    if len(molecules) == 2:
        matches = _align(*molecules)
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height, panel, tall)
    _style(drawer, theme)
    colors = [dict.fromkeys(match, HIGHLIGHT[theme]) for match in matches]
    drawer.DrawMolecules(
        molecules,
        legends=[CAPTIONS.get(name, name) for name in shown],
        highlightAtoms=[list(match) for match in matches],
        highlightAtomColors=colors,
    )
    drawer.FinishDrawing()
    return str(drawer.GetDrawingText())


def _align(said: Any, true: Any) -> list[tuple[int, ...]]:
    smarts, _ = common_part(said, true)
    pattern = Chem.MolFromSmarts(smarts) if smarts else None
    if pattern is None:
        return [(), ()]
    matches = [molecule.GetSubstructMatch(pattern) for molecule in (said, true)]
    if all(matches):
        pairs = list(zip(matches[1], matches[0], strict=True))
        rdDepictor.GenerateDepictionMatching2DStructure(said, true, atomMap=pairs)
    return matches


def _style(drawer: Any, theme: str) -> None:
    options = drawer.drawOptions()
    if theme == "dark":
        rdMolDraw2D.SetDarkMode(options)
    options.clearBackground = False
    options.legendFontSize = 16


def _panel(name: str, molecule: Any, error: str, theme: str, width: int, height: int, place: tuple[int, int]) -> str:
    if molecule is None:
        color = "#ffb4a8" if theme == "dark" else "#9b1c1c"
        text = f'<text x="{width // 2}" y="{height // 2}" text-anchor="middle" font-family="sans-serif" font-size="14" fill="{color}">'
        body = f"{text}{name}: {html.escape(error)}</text>"
    else:
        rdDepictor.Compute2DCoords(molecule)
        drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
        _style(drawer, theme)
        drawer.DrawMolecule(molecule, legend=name)
        drawer.FinishDrawing()
        body = drawer.GetDrawingText().partition("?>")[2]
    left, top = place
    return f'<svg x="{left}" y="{top}" width="{width}" height="{height}">{body}</svg>'


def _frame(body: str, width: int, height: int) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">{body}</svg>'


def _facts(text: str, molecule: Any, error: str) -> Row:
    valid = molecule is not None
    return {
        "input": text[:MOST_CHARS],
        "smiles": Chem.MolToSmiles(molecule) if valid else None,
        "valid": valid,
        "error": error or None,
        "formula": rdMolDescriptors.CalcMolFormula(molecule) if valid else None,
        "weight": round(Descriptors.MolWt(molecule), 3) if valid else None,  # type: ignore[attr-defined]
    }


def _similarity(a: Any, b: Any) -> dict[str, float]:
    """Return Tanimoto similarities of Morgan (radius 2), RDKit and MACCS fingerprints."""
    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    makers: dict[str, Any] = {
        "morgan": morgan.GetFingerprint,
        "rdkit": Chem.RDKFingerprint,
        "maccs": rdMolDescriptors.GetMACCSKeysFingerprint,
    }
    return {name: round(DataStructs.TanimotoSimilarity(make(a), make(b)), 4) for name, make in makers.items()}
