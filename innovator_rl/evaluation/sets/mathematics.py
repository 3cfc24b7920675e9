"""Read the mathematics sets that lm-evaluation-harness lacks, scored by the rewarder `math`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from innovator_rl.evaluation.local_data import converted, find, read_rows
from innovator_rl.evaluation.questions import Question, Questions, boxed_question

Reader = Callable[[Path], list[Question]]


def rows_of(
    name: str, hub: str, places: tuple[str, ...], convert: Callable[[dict[str, Any]], tuple[str, str, str]]
) -> Reader:
    """Return the reader of a set, which leaves out rows without a question or an answer.

    Args:
        name: The set's name, the first part of every id.
        hub: Where it is published.
        places: Its places below the data root.
        convert: Returns question, answer and subset of a row; what it raises is reported with the row's number.
    """

    def read(root: Path) -> list[Question]:
        path = find(root, places, hub)
        rows = converted(path, read_rows(path), convert)
        found = Questions(
            Question(id=f"{name}/{n}", messages=boxed_question(question), answer=answer, subset=subset, core=question)
            for n, (question, answer, subset) in enumerate(rows)
            if question.strip() and answer.strip()
        )
        found.left_out = len(rows) - len(found)
        return found

    return read


def plain_number(value: Any) -> str:
    """Return an answer as text; a whole number stored as `27.0` is `27`.

    Raises:
        ValueError: The answer is neither a text nor a finite number.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"an answer must be a text or a number, got {value!r:.40}")
    return str(int(value)) if float(value).is_integer() else str(value)


def text_of(row: dict[str, Any], *columns: str) -> str:
    """Return the text of the first of the columns that a row has.

    Raises:
        KeyError: There is none.
        TypeError: It holds something else.
    """
    column = next((name for name in columns if row.get(name) is not None), columns[0])
    if not isinstance(row[column], str):
        raise TypeError(f"{column} must be a text, got {row[column]!r:.40}")
    return str(row[column])


def last_box(solution: str) -> str:
    r"""Return the content of the last \boxed{} of a solution.

    Raises:
        ValueError: There is none.
    """
    start = solution.rfind("\\boxed{")
    if start < 0:
        raise ValueError("its solution has no \\boxed{}")
    depth, begin = 0, start + len("\\boxed")
    for place in range(begin, len(solution)):
        depth += (solution[place] == "{") - (solution[place] == "}")
        if depth == 0:
            return solution[begin + 1 : place]
    raise ValueError("the \\boxed{} of its solution does not end")


def _olympiad(row: dict[str, Any]) -> tuple[str, str, str]:
    context = f"{text_of(row, 'context').strip()}\n" if row.get("context") else ""
    answers = row["final_answer"]
    if not isinstance(answers, list) or not answers:
        raise ValueError(f"final_answer must be a list with an answer, got {answers!r:.40}")
    return context + text_of(row, "question"), plain_number(answers[0]), str(row.get("subfield") or "")


def _gsm8k(row: dict[str, Any]) -> tuple[str, str, str]:
    return text_of(row, "question"), text_of(row, "answer").rpartition("####")[2].strip().replace(",", ""), ""


def _sat(row: dict[str, Any]) -> tuple[str, str, str]:
    question = f"{text_of(row, 'question')}\n{row['options']}\nAnswer with the letter of the right choice."
    return question, text_of(row, "Answer"), ""


def _gaokao(row: dict[str, Any]) -> tuple[str, str, str]:
    return text_of(row, "question"), re.sub(r"^\$(.*)\$$", r"\1", text_of(row, "answer").strip(), flags=re.DOTALL), ""


def _svamp(row: dict[str, Any]) -> tuple[str, str, str]:
    question = f"{text_of(row, 'Body').rstrip('. ')}. {text_of(row, 'Question')}"
    return question, plain_number(row["Answer"]), str(row["Type"])


def _asdiv(row: dict[str, Any]) -> tuple[str, str, str]:
    question = f"{text_of(row, 'body')} {text_of(row, 'question')}"
    return question, plain_number(row["answer"]).partition(" (")[0], str(row["solution_type"])


def _cmath(row: dict[str, Any]) -> tuple[str, str, str]:
    answer = row["answer"] if "answer" in row else row["golden"]
    return text_of(row, "question"), plain_number(answer), f"grade {row['grade']}"


def _minerva(row: dict[str, Any]) -> tuple[str, str, str]:
    return text_of(row, "problem"), last_box(text_of(row, "solution")), str(row.get("type") or "")


def _problem(row: dict[str, Any]) -> tuple[str, str, str]:
    return text_of(row, "problem"), plain_number(row["answer"]), str(row.get("subject") or "")


MATH_SETS: dict[str, tuple[str, Reader]] = {
    "aime24": (
        "math",
        rows_of(
            "aime24",
            "Maxwell-Jia/AIME_2024",
            ("eval/math/aime24.jsonl",),
            _problem,
        ),
    ),
    "amc23": (
        "math",
        rows_of(
            "amc23",
            "math-ai/amc23",
            ("eval/math/amc23.jsonl",),
            _problem,
        ),
    ),
    "math500": (
        "math",
        rows_of(
            "math500",
            "HuggingFaceH4/MATH-500",
            ("eval/math/math500.json", "eval/math/math500.jsonl"),
            _problem,
        ),
    ),
    "olympiadbench": (
        "math",
        rows_of("olympiadbench", "Hothan/OlympiadBench", ("eval/math/olympiadbench.jsonl",), _olympiad),
    ),
    "minerva": (
        "math",
        rows_of(
            "minerva",
            "math-ai/minervamath",
            ("eval/math/minerva_math.jsonl",),
            _minerva,
        ),
    ),
    "cmath": (
        "math",
        rows_of(
            "cmath",
            "weitianwen/cmath",
            ("eval/math/cmath.jsonl",),
            _cmath,
        ),
    ),
    "gsm8k": ("math", rows_of("gsm8k", "openai/gsm8k (main, test)", ("gsm8k/test.jsonl",), _gsm8k)),
    "gsm8k-train": ("math", rows_of("gsm8k-train", "openai/gsm8k (main, train)", ("gsm8k/train.jsonl",), _gsm8k)),
    "gaokao2023en": (
        "math",
        rows_of("gaokao2023en", "Gaokao 2023 in English (Qwen2.5-Math)", ("eval/math/gaokao2023en.jsonl",), _gaokao),
    ),
    "sat-math": ("choice", rows_of("sat-math", "SAT mathematics (Qwen2.5-Math)", ("eval/math/sat_math.jsonl",), _sat)),
    "svamp": (
        "math",
        rows_of(
            "svamp",
            "ChilleD/SVAMP",
            ("eval/math/svamp.jsonl",),
            _svamp,
        ),
    ),
    "asdiv": (
        "math",
        rows_of(
            "asdiv",
            "EleutherAI/asdiv",
            ("eval/math/asdiv.jsonl",),
            _asdiv,
        ),
    ),
}
"""Name -> rewarder and reader."""
