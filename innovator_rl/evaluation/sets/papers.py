"""Find the papers that questions of SciAssess are about, and grade what is asked about them.

The papers are under their publishers' copyright: whoever has them puts the PDFs into `sciassess/pdf/` below the data
folder, named by DOI as the benchmark names them, `10.1021_jm0105171.pdf`. The text is attached to the question and the
whole is cut where the benchmark's own run cuts it. Figures are not read.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from innovator_rl.data.documents.pdf import read_layout
from innovator_rl.evaluation.questions import Question
from innovator_rl.evaluation.task import MetricResult, row_metric

FOLDER = "sciassess/pdf"
CUT = int(8192 * 2 * 0.9)  # characters of a message, as the benchmark's script for vLLM cuts it
READ_SECONDS = 120.0
TOLERANCE = 0.01  # by which a number of a table may differ, as in the benchmark
_FENCE = re.compile(r"```(?:csv)?\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_YES, _NO = re.compile(r"yes\b", re.IGNORECASE), re.compile(r"no\b", re.IGNORECASE)
Rows = Sequence[tuple[Question, str]]


def papers(root: Path) -> dict[str, Path]:
    """Return the PDFs that are here by `paper_key` of their DOI."""
    return {paper_key(path.stem): path for path in sorted((root / FOLDER).glob("*.pdf"))}


def paper_key(doi: str) -> str:
    """Return a DOI in one spelling: rows have a slash or an underscore in it, and several kinds of hyphen."""
    plain = re.sub("[\u2010-\u2015]", "-", doi).removesuffix(".pdf")
    return re.sub(r"[/_\s]+", "_", plain).strip("_").casefold()


def with_paper(
    messages: Sequence[Mapping[str, str]], path: Path, pages: Sequence[int]
) -> tuple[Mapping[str, str], ...]:
    """Return the messages with the text of the paper behind the last one.

    Args:
        messages: The question.
        path: The PDF.
        pages: First and last page from 1; a last page of -1 is that of the file.

    Raises:
        PdfError: The file cannot be read, or has no text.
    """
    first, last = pages if len(pages) == 2 else (1, -1)
    text = "\n".join(text for page, text in _blocks(path) if first <= page and (last < 0 or page <= last))
    attached = f"\nThe whole content of this patent is as follow:\n```\n{text}\n```\n"
    *before, question = messages
    return (*before, {**question, "content": (question["content"] + attached)[:CUT]})


@functools.lru_cache(maxsize=8)  # questions about one paper follow each other
def _blocks(path: Path) -> list[tuple[int, str]]:
    layout = read_layout(path.read_bytes(), READ_SECONDS)
    return [(int(block["page"]), str(block["text"])) for block in layout["blocks"]]


def official_yes_no(rows: Rows) -> list[MetricResult]:
    """Return the accuracy of Yes or No as SciAssess counts it: the word at the beginning, else anywhere."""
    return [row_metric("official_acc", (q.id for q, _ in rows), [_loose(text) == q.answer for q, text in rows])]


def _loose(text: str) -> str:
    start = text.strip().casefold()
    for word in ("Yes", "No"):
        if start.startswith(word.casefold()):
            return word
    return next((word for word in ("Yes", "No") if word in text or word.casefold() in text), text)


def strict_yes_no(question: Question, response: str) -> float:
    """Grade Yes or No: the response begins with the right word, and has the other one nowhere."""
    text = response.rpartition("</think>")[2].strip() if "</think>" in response else response.strip()
    right, wrong = (_YES, _NO) if question.answer.casefold() == "yes" else (_NO, _YES)
    return float(bool(right.match(text)) and not re.search(rf"\b{wrong.pattern}", text, re.IGNORECASE))


def exact_cells(question: Question, response: str) -> float:
    """Return the share of cells of a table that an answer has right, in rows found by their names.

    Cells are equal as numbers (1%) or as words. Rows that the reference lacks count as rows with wrong cells.
    """
    fields = [_name(field) for field in question.info["compare_fields"]]
    index = [_name(one) for one in _listed(question.info.get("index"))]
    fields = [field for field in fields if field not in index]
    double = any(isinstance(field, list) for field in question.info["compare_fields"])
    wanted = _table(question.answer, index, double)
    given = _table(response.rpartition("</think>")[2] if "</think>" in response else response, index, double)
    total = len(fields) * max(len(wanted), len(given))
    right = sum(
        _equal(row.get(field, ""), given[key].get(field, ""))
        for key, row in wanted.items()
        if key in given
        for field in fields
    )
    return right / total if total else 0.0


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _name(field: Any) -> str:
    """Return the name of a column, both lines of a heading joined."""
    return " ".join("/".join(part for part in map(str, _listed(field)) if part).casefold().split())


def _table(text: str, index: list[str], double: bool) -> dict[tuple[str, ...], dict[str, str]]:
    """Return the rows of a table by the values of their index columns; without an index by the first column."""
    fenced = _FENCE.search(text)
    lines = [line for line in (fenced[1] if fenced else text).strip().splitlines() if "," in line]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    heading = 2 if double else 1
    if len(rows) <= heading:
        return {}
    names = [_name(rows[0][0])]
    for place in range(1, max(map(len, rows))):
        parts = [row[place] for row in rows[:heading] if place < len(row)]
        names.append(_name([part for part in parts if part.casefold() != "nan"]))
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows[heading:]:
        cells = dict(zip(names, row, strict=False))
        key = tuple(_name(cells.get(name, "")) for name in index or names[:1])
        found.setdefault(key, cells)
    return found


def _equal(wanted: str, given: str) -> bool:
    try:
        one, other = float(wanted), float(given)
    except ValueError:
        return _name(wanted) == _name(given)
    return one == other or abs(one - other) <= TOLERANCE * max(abs(one), abs(other)) or (one != one and other != other)
