"""Read PHYSICS (Yale NLP): PhD qualifying problems.

A record has `questions`, `solutions` and a list of `final_answers`. A rewarder compares formulas and values, so a
problem stays only where it has one final answer and that answer is not prose. `parameters: {several: true}` keeps
problems with several answers, joined by "; " in the order of the parts asked.
"""

import re
from collections.abc import Iterator

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections

TEXT = re.compile(r"\\(?:text|mathrm|textbf|textrm)\s*\{([^{}]*)\}")
WORD = re.compile(r"[A-Za-z]{4,}")
MAX_WORDS = 3


def read(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield problems without a figure whose final answer can be compared."""
    several = bool(recipe.parameters.get("several", False))
    for record in records(source, rejected, ".jsonl", ".parquet"):
        with rejected.row(record.place):
            if "final_answers" not in record.values or "questions" not in record.values:
                rejected.add("not a problem (no questions or final_answers)", record.place)
                continue
            found = record.get("final_answers", [])
            answers = [str(answer).strip().strip("$").strip() for answer in found if str(answer).strip()]
            question = record.text("questions").replace("\ufeff", "").strip()
            reason = _reason(record.values, question, answers, several)
            if reason:
                rejected.add(reason, record.place)
                continue
            info = {"answers": answers} if len(answers) > 1 else {}
            yield Problem(record.text("id"), question, "; ".join(answers), info, place=record.place)


def is_prose(answer: str) -> bool:
    """Return whether an answer is a sentence.

    It has more than three words of four letters and more.

    Words count in text commands and outside of every command.
    """
    spoken = " ".join(TEXT.findall(answer)) + " " + re.sub(r"\\[A-Za-z]+", " ", TEXT.sub(" ", answer))
    return len(WORD.findall(spoken)) > MAX_WORDS


def _reason(record: dict[str, object], question: str, answers: list[str], several: bool) -> str:
    if not question or not answers:
        return "empty question or answer"
    if record.get("graphs"):
        return "needs a figure"
    if len(answers) > 1 and not several:
        return "several final answers"
    return "answer is prose" if any(is_prose(answer) for answer in answers) else ""
