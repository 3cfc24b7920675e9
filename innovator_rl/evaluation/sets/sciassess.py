"""Read the tasks of SciAssess, with the benchmark's own metric next to a strict one.

The benchmark's metrics are needed next to the paper's numbers, and they are lenient in ways that matter: an empty answer
counts as the shortest option, free text as its last letter from a to d, and an entity with a comma is lost. The strict
metric of choices takes the one option that a response commits to, that of molecules is the rewarder `caption2mol`, that
of entities an exact match of whole lists (the benchmark's own is in `entities.py`), and that of tables an exact match of
cells (the benchmark's own, with partial credit by edit distance, is in `tables.py`).

Nine of the 24 tasks of the paper run from text. The others name a paper by DOI, and need its PDF (`papers.py`).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from innovator_rl.data.documents.pdf import PdfError
from innovator_rl.errors import UserError
from innovator_rl.evaluation.local_data import converted, find, read_rows
from innovator_rl.evaluation.questions import Question
from innovator_rl.evaluation.sets.molecules import silence_rdkit
from innovator_rl.evaluation.sets.papers import (
    FOLDER,
    exact_cells,
    official_yes_no,
    paper_key,
    papers,
    strict_yes_no,
    with_paper,
)
from innovator_rl.evaluation.sets.tables import official_tables
from innovator_rl.evaluation.task import MetricResult, TaskUnavailable, row_metric

HUB = "SciAssess (sci-assess/SciAssess)"
FAR = 100  # the benchmark gives no answer where every option is at least this many edits away
_LABEL = re.compile(r"(?<![A-Za-z0-9])\(?([A-Ja-j])\)")
_CONCLUSION = re.compile(r"(?:answer|choice|option)\s+is\s*:?|answer\s*:", re.IGNORECASE)
_NEGATED = re.compile(r"\bnot\s*$", re.IGNORECASE)
Rows = Sequence[tuple[Question, str]]


def official_letter(text: str, options: Sequence[str]) -> str:
    """Return the option that SciAssess reads out of a response; empty where it finds none.

    Args:
        text: The response.
        options: The options as the row has them, `b) longitudinal section`.
    """
    from rapidfuzz.distance import Levenshtein

    known = [_split(option) for option in options]
    letter, content = _split(text)
    for own, _ in known:
        if own and own in letter:
            return own
    for own, whole in known:
        if whole in content:
            return own
    best, nearest = "", FAR
    for own, whole in known:
        distance = Levenshtein.distance(whole, content)
        if distance < nearest:
            best, nearest = own, distance
    return best


def _split(text: str) -> tuple[str, str]:
    """Split a text into letter and content as the benchmark does."""
    head, bracket, rest = text.partition(")")
    if bracket:
        return head.strip().replace("(", "").lower()[-1:], rest.strip()
    if len(text) < 3:
        return text.strip().replace("(", "").lower(), text.strip()
    return next((c for c in reversed(text.lower()) if c in "abcd"), ""), text.strip()


def official_choice(rows: Rows) -> list[MetricResult]:
    """Return the accuracy as SciAssess counts it; a row without options has no right answer."""
    values = [
        bool(q.options) and official_letter(text.strip(), q.options) == official_letter(str(q.info["ideal"]), q.options)
        for q, text in rows
    ]
    return [row_metric("official_acc", (q.id for q, _ in rows), values)]


def strict_choice(question: Question, response: str) -> float:
    """Grade a response: right if it commits to the right option and to no other one."""
    text = (response.rpartition("</think>")[2] if "</think>" in response else response).strip()
    concluded = _CONCLUSION.split(text)[-1].strip()
    for option in sorted(map(str.strip, question.options), key=len, reverse=True):  # a SMILES may have `C)` in it
        concluded = concluded.replace(option, f"{option.partition(')')[0]})")
    labels = {label.lower() for label in _LABEL.findall(concluded)}
    if not labels:
        plain = concluded.strip("().* ").casefold()
        labels = {letter for letter, content in map(_split, question.options) if plain in (letter, content.casefold())}
    negated = any(_NEGATED.search(concluded[: match.start()]) for match in _LABEL.finditer(concluded))
    return float(labels == {question.answer.lower()} and not negated)


def official_tanimoto(rows: Rows) -> list[MetricResult]:
    """Return the mean Tanimoto similarity of Morgan count fingerprints; an invalid molecule counts 0."""
    values = [_tanimoto(q.answer, text) for q, text in rows]
    return [row_metric("official_tanimoto", (q.id for q, _ in rows), values)]


def _tanimoto(gold: str, text: str) -> float:
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    silence_rdkit()
    molecules = [Chem.MolFromSmiles(re.sub(r"<.*>", "", part.strip().strip("`"))) for part in (gold, text[:2000])]
    if any(molecule is None or molecule.GetNumAtoms() == 0 for molecule in molecules):
        return 0.0
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    prints = [generator.GetSparseCountFingerprint(molecule) for molecule in molecules]
    return float(DataStructs.TanimotoSimilarity(prints[0], prints[1]))


def entities(text: str) -> list[str]:
    """Return the groups in outer brackets of an answer, in a comparable spelling.

    Brackets inside a name, such as `(R)-(1,2-dichloroethane)`, do not end its group.
    """
    found, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        if sign == "(":
            depth += 1
            start = place + 1 if depth == 1 else start
        elif sign == ")" and depth:
            depth -= 1
            if depth == 0:
                found.append(re.sub(r"\s*,\s*", ",", " ".join(text[start:place].split())).casefold())
    return [entity for entity in found if entity]


def exact_f1(question: Question, text: str) -> float:
    """Return F1 of the entities of an answer, each of which must be spelled as in the reference."""
    wanted, given = Counter(entities(question.answer)), Counter(entities(text))
    if not wanted or not given:
        return float(wanted == given)
    matched = sum((wanted & given).values())
    precision, recall = matched / sum(given.values()), matched / sum(wanted.values())
    return 2 * precision * recall / (precision + recall) if matched else 0.0


@dataclass(frozen=True)
class SciTask:
    """How a task of SciAssess is asked and graded.

    Attributes:
        rewarder: The rewarder of the strict metric; empty for a grading function.
        official: The benchmark's metric; None where it needs something that is not here.
        grade: The strict metric of a row where no rewarder fits.
        needs_pdf: Whether the question is about a paper.
        parts: Parts of an entity, for the benchmark's F1; 0 where no entities are asked for.
    """

    rewarder: str = ""
    official: Callable[[Rows], list[MetricResult]] | None = None
    grade: Callable[[Question, str], float] | None = None
    needs_pdf: bool = False
    parts: int = 0


_CHOICE = SciTask(official=official_choice, grade=strict_choice)
_PAPER_CHOICE = SciTask(official=official_choice, grade=strict_choice, needs_pdf=True)
_PAPER_TABLE = SciTask(official=official_tables, grade=exact_cells, needs_pdf=True)

TASKS: dict[str, SciTask] = {
    "BIO_mmlu_pro_biology": _CHOICE,
    "CHEM_mmlu_pro_chemistry": _CHOICE,
    "MED_mmlu_pro_health": _CHOICE,
    "MAT_material_qa": _CHOICE,
    "BIO_chemical_entities_recognition": SciTask(grade=exact_f1, parts=1),
    "BIO_disease_entities_recognition": SciTask(grade=exact_f1, parts=1),
    "BIO_compound_disease_recognition": SciTask(grade=exact_f1, parts=2),
    "BIO_gene_disease_function": SciTask(grade=exact_f1, parts=3),
    "MED_markush2mol": SciTask("caption2mol", official_tanimoto),
    "BIO_biology_chart_qa": _PAPER_CHOICE,
    "CHEM_polymer_chart_qa": _PAPER_CHOICE,
    "MAT_alloy_chart_qa": _PAPER_CHOICE,
    "MED_drug_chart_qa": _PAPER_CHOICE,
    "CHEM_polymer_composition_qa": _PAPER_CHOICE,
    "CHEM_reactant_qa": _PAPER_CHOICE,
    "CHEM_reaction_mechanism_qa": _PAPER_CHOICE,
    "MAT_temperature_qa": _PAPER_CHOICE,
    "MAT_sample_differentiation": _PAPER_CHOICE,
    "CHEM_oled_property_extraction": _PAPER_TABLE,
    "CHEM_polymer_property_extraction": _PAPER_TABLE,
    "CHEM_solubility_extraction": _PAPER_TABLE,
    "MAT_composition_extraction": _PAPER_TABLE,
    "MED_affinity_extraction": _PAPER_TABLE,
    "MED_mol_in_document": SciTask(official=official_yes_no, grade=strict_yes_no, needs_pdf=True),
}
"""The 24 tasks of the paper's Table 3, by the names of their files."""


def questions(root: Path, name: str) -> list[Question]:
    """Return the questions of a task; of one about papers, those whose paper is here.

    Raises:
        TaskUnavailable: The file, or every paper, is not here.
        UserError: A row lacks a column, or a paper cannot be read.
    """
    path = find(root, (f"sciassess/{name}.jsonl",), f"{HUB} {name}")
    about_papers = TASKS[name].needs_pdf
    rows = read_rows(path, "input", "ideal", *(("doi",) if about_papers else ()))
    here = papers(root)
    found = []
    numbers = itertools.count()
    every = converted(path, rows, lambda row: _question(row, f"sciassess/{name}/{next(numbers)}"))
    for question, row in zip(every, rows, strict=True):
        if about_papers:
            paper = here.get(paper_key(str(row["doi"])))
            if paper is None:
                continue
            try:
                messages = with_paper(question.messages, paper, row.get("pages") or ())
            except PdfError as error:
                raise UserError(f"{paper} cannot be read ({error}): replace the file or remove it") from None
            question = replace(question, messages=messages)
        found.append(question)
    if rows and not found:
        needed = len({paper_key(str(row["doi"])) for row in rows})
        raise TaskUnavailable(
            f"{HUB} {name} asks about {needed} papers, which are under their publishers' copyright: put their PDFs, "
            f"named as 10.1021_jm0105171.pdf, into {FOLDER} below the data folder ({root})"
        )
    return found


def without_paper(root: Path, name: str) -> int:
    """Return how many rows of a task about papers are left out because their paper is not here."""
    rows = read_rows(find(root, (f"sciassess/{name}.jsonl",), f"{HUB} {name}"), "doi")
    here = papers(root)
    return sum(paper_key(str(row["doi"])) not in here for row in rows)


def _question(row: dict[str, Any], identity: str) -> Question:
    ideal = row["ideal"][0] if isinstance(row["ideal"], list) else row["ideal"]
    options = tuple(map(str, row.get("option") or ()))
    answer = str(ideal)
    if options:
        answer = _letter(answer)
        if answer not in map(_letter, options):
            raise ValueError(f"ideal {str(ideal)!r:.60} must begin with the letter of an option")
    if not row["input"] or not isinstance(row["input"][-1]["content"], str):
        raise ValueError("input must be a list of messages, the question last")
    table = {key: row[key] for key in ("compare_fields", "index") if row.get(key)}
    return Question(
        id=identity,
        messages=tuple({"role": m["role"], "content": m["content"]} for m in row["input"]),
        answer=answer,
        info={"ideal": str(ideal), **table},
        options=options,
        core=row["input"][-1]["content"],
    )


def _letter(option: str) -> str:
    letter, bracket, _ = option.partition(")")
    return letter.strip().strip("(").upper() if bracket else ""
