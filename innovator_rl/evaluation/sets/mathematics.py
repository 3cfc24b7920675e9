"""Read the mathematics sets that lm-evaluation-harness lacks, scored by the rewarder `math`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.evaluation.local_data import find, read_rows
from innovator_rl.evaluation.questions import Question, boxed_question

Reader = Callable[[Path], list[Question]]


def rows_of(
    name: str, hub: str, places: tuple[str, ...], convert: Callable[[dict[str, Any]], tuple[str, str, str]]
) -> Reader:
    """Return the reader of a set.

    Args:
        name: The set's name, the first part of every id.
        hub: Where it is published.
        places: Its places below the data root.
        convert: Returns question, answer and subset of a row; a KeyError is reported with the row's number.
    """

    def read(root: Path) -> list[Question]:
        path = find(root, places, hub)
        questions = []
        for number, row in enumerate(read_rows(path), 1):
            try:
                question, answer, subset = convert(row)
            except (KeyError, ValueError, IndexError) as error:
                raise UserError(f"{path}, row {number}: {error} not found; the row has {', '.join(row)}") from None
            identity = f"{name}/{number - 1}"
            questions.append(
                Question(id=identity, messages=boxed_question(question), answer=answer, subset=subset, core=question)
            )
        return questions

    return read


def plain_number(value: Any) -> str:
    """Return an answer as text; a whole number stored as `27.0` is `27`."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def last_box(solution: str) -> str:
    r"""Return the content of the last \boxed{} of a solution.

    Raises:
        ValueError: There is none.
    """
    start = solution.rfind("\\boxed{")
    if start < 0:
        raise ValueError("\\boxed{} in the solution")
    depth, begin = 0, start + len("\\boxed")
    for place in range(begin, len(solution)):
        depth += (solution[place] == "{") - (solution[place] == "}")
        if depth == 0:
            return solution[begin + 1 : place]
    raise ValueError("the end of \\boxed{} in the solution")


def _olympiad(row: dict[str, Any]) -> tuple[str, str, str]:
    context = f"{row['context'].strip()}\n" if row.get("context") else ""
    answer = row["final_answer"][0]
    return context + row["question"], answer, str(row.get("subfield") or "")


def _gsm8k(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["question"], row["answer"].rpartition("####")[2].strip().replace(",", ""), ""


def _sat(row: dict[str, Any]) -> tuple[str, str, str]:
    return f"{row['question']}\n{row['options']}\nAnswer with the letter of the right choice.", row["Answer"], ""


def _gaokao(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["question"], re.sub(r"^\$(.*)\$$", r"\1", row["answer"].strip(), flags=re.DOTALL), ""


MATH_SETS: dict[str, tuple[str, Reader]] = {
    "aime24": (
        "math",
        rows_of(
            "aime24",
            "Maxwell-Jia/AIME_2024",
            ("eval/math/aime24.jsonl",),
            lambda row: (row["problem"], plain_number(row["answer"]), ""),
        ),
    ),
    "amc23": (
        "math",
        rows_of(
            "amc23",
            "math-ai/amc23",
            ("eval/math/amc23.jsonl",),
            lambda row: (row["problem"], plain_number(row["answer"]), ""),
        ),
    ),
    "math500": (
        "math",
        rows_of(
            "math500",
            "HuggingFaceH4/MATH-500",
            ("eval/math/math500.json", "eval/math/math500.jsonl"),
            lambda row: (row["problem"], row["answer"], str(row.get("subject") or "")),
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
            lambda row: (row["problem"], last_box(row["solution"]), str(row.get("type") or "")),
        ),
    ),
    "cmath": (
        "math",
        rows_of(
            "cmath",
            "weitianwen/cmath",
            ("eval/math/cmath.jsonl",),
            lambda row: (
                row["question"],
                str(row["answer"] if "answer" in row else row["golden"]),
                f"grade {row['grade']}",
            ),
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
            lambda row: (f"{row['Body'].rstrip('. ')}. {row['Question']}", plain_number(row["Answer"]), row["Type"]),
        ),
    ),
    "asdiv": (
        "math",
        rows_of(
            "asdiv",
            "EleutherAI/asdiv",
            ("eval/math/asdiv.jsonl",),
            lambda row: (f"{row['body']} {row['question']}", row["answer"].partition(" (")[0], row["solution_type"]),
        ),
    ),
}
"""Name -> rewarder and reader."""
