"""Compare the molecule rewards with the published formula of the nearest work.

    python -m benchmarks.rewards_molecules [--data ../shared/data] [--rows 300] [--seed 0]

Accuracy, what an answer that ignores the question earns, and speed are printed. The published formula (MolReasoner,
arXiv 2508.02066) gives 2 for the same canonical SMILES or InChI and else 0.5 + 1.5 R. For molecules R is the mean of
four parts, of which the two that need no fragment library are computed here: the mean Tanimoto similarity of Morgan,
MACCS and RDKit bit fingerprints, and BLEU over characters. For captions R is the mean of BLEU-2/4, METEOR and
ROUGE-1/2/L. Both are shown as parts of their maximum. Speed is processor time of one process; the references are in
the cache of the reward functions here, the published formula reads them each time.
"""

import argparse
import csv
import gzip
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import selfies
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rdkit import Chem, DataStructs
from rdkit.Chem import MACCSkeys, rdFingerprintGenerator

from rewards.molecules import text_metrics
from rewards.molecules.captions import BOILER_PLATE, GUESSES, Mol2Caption
from rewards.molecules.generation import Caption2Mol
from rewards.molecules.parsing import UnreadableMolecule, read_molecule
from rewards.molecules.property import PropertyChoice

GOLDEN = Path(__file__).parents[1] / "rewards" / "golden" / "chemistry.jsonl"
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
_SMOOTHING = SmoothingFunction().method1


_MACCS: Any = MACCSkeys.GenMACCSKeys  # type: ignore[attr-defined]


def _inchi(mol: Any) -> str:
    return str(Chem.MolToInchi(mol))  # type: ignore[no-untyped-call]


def published_molecule(said: str, gold: str) -> float:
    """Return the published reward of a SELFIES answer, as a part of its maximum 2."""
    try:
        smiles = selfies.decoder(said)
    except selfies.DecoderError:
        return 0.0
    mine, theirs = Chem.MolFromSmiles(smiles), Chem.MolFromSmiles(selfies.decoder(gold))
    if mine is None:
        return 0.0
    if Chem.MolToSmiles(mine) == Chem.MolToSmiles(theirs) or _inchi(mine) == _inchi(theirs):
        return 1.0
    pairs = [(make(mine), make(theirs)) for make in (_MORGAN.GetFingerprint, _MACCS, Chem.RDKFingerprint)]
    alike = statistics.mean(DataStructs.TanimotoSimilarity(*pair) for pair in pairs)
    bleu = sentence_bleu([list(gold)], list(said) or ["-"], smoothing_function=_SMOOTHING)
    return float((0.5 + 1.5 * (alike + bleu) / 2) / 2)


def published_caption(said: str, gold: str) -> float:
    """Return the published formula for a caption, as a part of its maximum of 2."""
    return (0.5 + 1.5 * statistics.mean(text_metrics.similarities(said, gold).values())) / 2


def molecules(shared: Path, rows: int, draw: random.Random) -> list[str]:
    """`rows` molecules of ChEBI-20's validation part, in SELFIES."""
    with (shared / "chebi20" / "validation.tsv").open(encoding="utf-8") as lines:
        found = [
            row["SMILES"].replace("\\\\", "\\") for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]
    draw.shuffle(found)
    written: list[str] = []
    for smiles in found:
        if len(written) == rows:
            break
        try:
            written.append(selfies.encoder(Chem.MolToSmiles(read_molecule(smiles))))
        except (UnreadableMolecule, selfies.EncoderError):
            continue
    return written


def edited(gold: str, draw: random.Random) -> str:
    """Return the molecule with one terminal atom taken away or a methyl group added."""
    mol = Chem.RWMol(read_molecule(gold))
    places = [
        a.GetIdx() for a in mol.GetAtoms() if a.GetTotalNumHs() and a.GetSymbol() in "CNO" and not a.GetIsAromatic()
    ]
    if not places:
        return gold
    atom = mol.GetAtomWithIdx(draw.choice(places))
    atom.SetNumExplicitHs(max(0, atom.GetNumExplicitHs() - 1))
    mol.AddBond(atom.GetIdx(), mol.AddAtom(Chem.Atom("C")), Chem.BondType.SINGLE)
    try:
        Chem.SanitizeMol(mol)
        return str(selfies.encoder(Chem.MolToSmiles(mol)))
    except (ValueError, selfies.EncoderError):
        return gold


def mirrored(gold: str) -> str:
    """Return the enantiomer; the molecule itself where it has none."""
    return gold.replace("@@", "\0").replace("@", "@@").replace("\0", "@")


def line(name: str, *values: float | str) -> None:
    """Return one row of a Markdown table."""
    print(f"| {name} | " + " | ".join(v if isinstance(v, str) else f"{v:.4f}" for v in values) + " |", flush=True)


def rate(score: Callable[..., Any], pairs: list[tuple[Any, ...]]) -> str:
    """Scores per second of processor time."""
    before = time.process_time()
    for pair in pairs:
        score(*pair)
    return f"{len(pairs) / (time.process_time() - before):.0f}/s"


def compare_molecules(golds: list[str], draw: random.Random) -> None:
    """Caption2Mol."""
    ours = Caption2Mol()
    edits = [edited(gold, draw) for gold in golds]
    probes = {
        "the reference": golds,
        "its white space doubled": [gold.replace("][", "]  [") for gold in golds],
        "one methyl group added": edits,
        "free text": ["I don't know"] * len(golds),
        "`[C]`": ["[C]"] * len(golds),
        "one lipid": [selfies.encoder("CCCCCCCCCCCCCCCC(=O)OCC(O)CO")] * len(golds),
        "one glycan": [
            selfies.encoder("OC[C@H]1O[C@@H](O[C@H]2[C@H](O)[C@@H](O)C(O)O[C@@H]2CO)[C@H](O)[C@@H](O)[C@H]1O")
        ]
        * len(golds),
        "another question's reference": golds[1:] + golds[:1],
    }
    print(f"\nCaption2Mol, {len(golds)} molecules\n\n| answer | published formula | here |\n|---|---|---|")
    for name, said in probes.items():
        pairs = list(zip(said, golds, strict=True))
        line(
            name, statistics.mean(published_molecule(*p) for p in pairs), statistics.mean(ours(*p).value for p in pairs)
        )
    chiral = [(mirrored(g), g) for g in golds if mirrored(g) != g]
    wrong = [p for p in chiral if _inchi(read_molecule(p[0])) != _inchi(read_molecule(p[1]))]
    line(
        f"enantiomers given full marks, of {len(wrong)}",
        str(sum(published_molecule(*p) == 1 for p in wrong)),
        str(sum(ours(*p).correct for p in wrong)),
    )
    pairs = list(zip(edits, golds, strict=True))
    line("speed, one methyl group added", rate(published_molecule, pairs), rate(ours, pairs))
    pairs = list(zip(golds[1:] + golds[:1], golds, strict=True))
    line("speed, another's reference", rate(published_molecule, pairs), rate(ours, pairs))
    line("speed, the reference", rate(published_molecule, [(g, g) for g in golds]), rate(ours, [(g, g) for g in golds]))


def compare_captions(shared: Path, rows: int, draw: random.Random) -> None:
    """Mol2Caption."""
    with gzip.open(shared / "captions" / "mol_instruct_predictions.jsonl.gz", "rt", encoding="utf-8") as lines:
        data = draw.sample([json.loads(text) for text in lines], rows)
    ours = Mol2Caption()
    golds = [row["label"] for row in data]
    probes = {
        "the reference": golds,
        "a model's captions (Mol-Instructions)": [row["predict"] for row in data],
        "another molecule's reference": golds[1:] + golds[:1],
        "free text": ["I don't know what this molecule is."] * rows,
        **{f"boiler-plate {i}": [text] * rows for i, text in enumerate(BOILER_PLATE, 1)},
        **{f"a family for all, {i}": [text] * rows for i, text in enumerate(GUESSES, 1)},
    }
    print(f"\nMol2Caption, {rows} captions, WordNet {'found' if text_metrics.WORDNET else 'not installed'}\n")
    print("| caption | published formula | here |\n|---|---|---|")
    for name, said in probes.items():
        theirs = statistics.mean(published_caption(*pair) for pair in zip(said, golds, strict=True))
        line(
            name,
            theirs,
            statistics.mean(ours(s, r["label"], r["prompt"]).value for s, r in zip(said, data, strict=True)),
        )
    pairs = [(row["predict"], row["label"]) for row in data]
    with_prompt = [(row["predict"], row["label"], row["prompt"]) for row in data]
    line("speed, a model's captions", rate(published_caption, pairs), rate(ours, with_prompt))


def word_search(response: str, gold: str) -> bool:
    """Return the usual True/False grader.

    The first of the words that occurs decides.
    """
    words = [word.strip(".,:;*{}()").lower() for word in response.replace("{", " ").split()]
    found = [word for word in words if word in ("true", "false", "yes", "no")]
    return bool(found) and (found[0] in ("true", "yes")) == (gold.lower() in ("true", "yes", "1"))


def compare_properties() -> None:
    """True/False extraction on the golden cases."""
    cases = [json.loads(text) for text in GOLDEN.read_text(encoding="utf-8").splitlines()]
    cases = [case for case in cases if case["case"] != "abstain"]
    ours = PropertyChoice()
    theirs = sum(word_search(c["response"], c["answer"]) == (c["case"] == "full") for c in cases)
    right = sum(ours(c["response"], c["answer"]).correct == (c["case"] == "full") for c in cases)
    pairs = [(c["response"], c["answer"]) for c in cases] * 50
    print(f"\nTrue or False, {len(cases)} golden cases\n\n| | first word found | here |\n|---|---|---|")
    line("answered rightly", str(theirs), str(right))
    line("speed", rate(word_search, pairs), rate(ours, pairs))


def main() -> None:
    """Run all three comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = os.environ.get("INNOVATOR_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(beside), help="default: INNOVATOR_DATA")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    compare_properties()
    compare_molecules(molecules(options.data, options.rows, draw), draw)
    compare_captions(options.data, options.rows, draw)


if __name__ == "__main__":
    main()
