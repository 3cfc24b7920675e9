"""Read WebInstruct-verified (TIGER-Lab, Apache-2.0): science questions with `answer` and `answer_type`.

The numeric, multiple-choice and boolean types are kept, as in the paper; `parameters.types` selects others. A letter,
True or False and a bare number are scored by `choice`; a value with a unit or a formula by `physics`, which compares
units.
"""

import re
from collections.abc import Iterator

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.errors import UserError

NUMERIC = ("Integer", "Float", "Percentage", "Fraction")
TYPES = (*NUMERIC, "Multiple Choice", "Boolean")
OTHER_TYPES = ("Expression", "Matrix", "List", "String", "Other")
LETTER = re.compile(r"\W*(?:option\s+|\\text\{)?\(?([A-J])(?:[).:\s}].*)?", re.IGNORECASE | re.DOTALL)
BOOLEANS = {"true": "True", "yes": "True", "false": "False", "no": "False"}
NUMBER = re.compile(r"[+-]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?%?")


def read(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield the questions of the chosen answer types, each with the rewarder of its type."""
    types = recipe.parameters.get("types", TYPES)
    known = (*TYPES, *OTHER_TYPES)
    unknown = [kind for kind in types if kind not in known]
    if unknown:
        raise UserError(f"recipe {recipe.name!r}: parameters.types has {unknown[0]!r}, expected {', '.join(known)}")
    for record in records(source, rejected, ".parquet", ".jsonl", ".json"):
        with rejected.row(record.place):
            kind = record.text("answer_type")
            if kind not in types:
                rejected.add(f"answer type {kind if kind in known else 'unknown'}", record.place, kind)
                continue
            question, answer = record.text("question"), _gold(kind, record.text("answer"))
            if not question or not answer:
                rejected.add("empty question or answer" if not question else f"no {kind} answer", record.place)
                continue
            columns = {name: record.get(name, "") for name in ("category", "difficulty", "answer_type")}
            yield Problem(
                f"webinstruct/{record.get('id', record.number)}",
                question,
                answer,
                columns=columns,
                reward=_rewarder(recipe, kind, answer),
                place=record.place,
            )


def _gold(kind: str, answer: str) -> str:
    """Return the answer in the rewarder's form; empty where it is not of its kind."""
    plain = answer.strip().strip("$").strip()
    if kind == "Multiple Choice":
        found = LETTER.fullmatch(plain)
        return found[1].upper() if found else ""
    if kind == "Boolean":
        words = re.findall(r"[a-z]+", plain.lower())
        return BOOLEANS.get(words[0], "") if words else ""
    return plain


def _rewarder(recipe: Recipe, kind: str, answer: str) -> str:
    if recipe.reward or kind in ("Multiple Choice", "Boolean") or NUMBER.fullmatch(answer):
        return ""
    return "physics"
