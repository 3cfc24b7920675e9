"""Read OlympicArena's validation rows where they are supplied: text only, one answer.

Its test answers are not public. Rows with pictures, programs or free text as answer are left out, because nothing here
can grade them; the number of rows in the report is what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from innovator_rl.evaluation.local_data import converted, find, read_rows
from innovator_rl.evaluation.questions import Question, boxed_question
from innovator_rl.evaluation.task import TaskUnavailable

HUB = "GAIR/OlympicArena (val)"
SUBJECTS = ("Math", "Physics", "Chemistry", "Biology", "Geography", "Astronomy")
REWARDERS = {"SC": "choice", "MC": "choice", "TF": "choice", "NV": "physics", "EX": "math", "EQ": "math", "IN": "math"}
"""Answer type -> rewarder: single and multiple choice, true or false, value, expression, equation, interval."""


def reader(subject: str) -> Callable[[Path], list[Question]]:
    """Return the reader of a subject."""

    def read(root: Path) -> list[Question]:
        places = tuple(f"olympicarena/{subject}/val{end}" for end in (".parquet", ".jsonl", ".json"))
        path = find(root, (*places, f"hub/GAIR/OlympicArena/{subject}/val-00000-of-00001.parquet"), HUB)
        rows = read_rows(path, "id", "problem", "answer_type")
        every = converted(path, rows, lambda row: _question(row) if _gradable(row) else None)
        kept = [question for question in every if question is not None]
        if not kept:
            raise TaskUnavailable(f"{path} has no row that is text alone and can be graded by a rule")
        return kept

    return read


def _gradable(row: dict[str, Any]) -> bool:
    text = str(row.get("modality") or "text-only") == "text-only" and not row.get("figure_urls")
    return text and row["answer_type"] in REWARDERS and len(row.get("answer") or []) > 0


def _question(row: dict[str, Any]) -> Question:
    answer = row["answer"]
    values = [str(part) for part in ([answer] if isinstance(answer, str) else answer)]
    joined = "".join(values) if row["answer_type"] == "MC" else values[0]
    unit = f" {row['unit']}" if row.get("unit") and row["answer_type"] == "NV" else ""
    return Question(
        id=f"olympicarena/{row['id']}",
        messages=boxed_question(str(row["problem"])),
        answer=joined + unit,
        subset=str(row.get("subfield") or ""),
        core=str(row["problem"]),
        rewarder=REWARDERS[row["answer_type"]],
    )
