"""Read rows with a question and an answer: JSON lines, a JSON array, CSV, TSV or Parquet.

| column | meaning |
|---|---|
| `question`, `prompt` or `messages` | the question; a list of `{role, content}` is used as the complete prompt |
| `answer` | the gold answer |
| `id`, `group`, `info`, `smiles` | optional: a name, the group of the split, data for the rewarder, the molecule asked about |
| `domain`, `reward`, `data_source`, `system` | optional: of this row, over those of the recipe |

`fields` in a recipe renames them. Every other column can be used in a `prompt` or `system` template. Rows in verl's own
form (`prompt` as messages, `reward_model.ground_truth`, `extra_info`) are read as well. This is the format of every
`sample.jsonl` in datasets/.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from innovator_rl.data.problem import Problem
from innovator_rl.data.readers.files import Record, Source, records
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import BadRow, Rejections
from innovator_rl.errors import UserError
from innovator_rl.scoring.api import answer_text

FIELDS = ("id", "question", "answer", "info", "group", "smiles", "messages", "domain", "reward", "data_source")
ROLES = ("system", "user", "assistant", "tool")


def read(source: Source, recipe: Recipe, rejected: Rejections) -> Iterator[Problem]:
    """Yield every row with a question and an answer.

    The id defaults to file and line.
    """
    unknown = sorted(set(recipe.fields) - set(FIELDS))
    if unknown:
        raise UserError(f"recipe {recipe.name!r}: fields.{unknown[0]} must be one of {', '.join(FIELDS)}")
    for record in records(source, rejected, ".jsonl", ".json", ".csv", ".tsv", ".parquet"):
        with rejected.row(record.place):
            problem = _problem(_from_verl(record), recipe, rejected)
            if problem is not None:
                yield problem


def _problem(record: Record, recipe: Recipe, rejected: Rejections) -> Problem | None:
    column = {name: recipe.fields.get(name, name) for name in FIELDS}
    messages = _messages(record, column["messages"])
    if messages:
        asked = next(message["content"] for message in reversed(messages) if message["role"] == "user")
    else:
        name = column["question"]
        if name == "question" and name not in record.values and isinstance(record.get("prompt"), str):
            name = "prompt"
        asked = record.text(name)
    info = read_info(record, column["info"])
    answer = answer_text(record.need(column["answer"]))
    if not asked.strip() or not (answer or info):
        rejected.add("empty question or answer", record.place)
        return None
    used = {column[name] for name in ("answer", "info", "messages")} | {"reward_model", "extra_info"}
    return Problem(
        id=str(record.get(column["id"]) or f"{record.file}:{record.number}"),
        question=asked.strip(),
        answer=answer,
        info=info,
        group=str(record.get(column["group"]) or ""),
        smiles=str(record.get(column["smiles"]) or ""),
        columns={str(key): value for key, value in record.values.items() if key not in used},
        messages=messages,
        reward=str(record.get(column["reward"]) or ""),
        domain=str(record.get(column["domain"]) or ""),
        data_source=str(record.get(column["data_source"]) or ""),
        place=record.place,
    )


def _messages(record: Record, column: str) -> tuple[Mapping[str, str], ...]:
    found = record.get(column)
    if found is None and isinstance(record.get("prompt"), list):
        column, found = "prompt", record.get("prompt")
    if found is None:
        return ()
    if isinstance(found, str) and found.lstrip().startswith("["):  # a CSV cell
        try:
            found = json.loads(found)
        except ValueError as error:
            raise BadRow(f"{record.place}: {column!r} is not JSON ({error})") from None
    if not isinstance(found, list) or not found:
        raise BadRow(f"{record.place}: {column!r} must be a list of {{role, content}}")
    for message in found:
        good = isinstance(message, dict) and isinstance(message.get("content"), str) and message["content"].strip()
        if not good or message.get("role") not in ROLES:
            raise BadRow(
                f"{record.place}: {column!r} must be a list of {{role, content}} with a role among {', '.join(ROLES)} "
                f"and a text, got {str(message)[:60]!r}"
            )
    if found[-1]["role"] != "user":
        raise BadRow(
            f"{record.place}: the last message of {column!r} is from {found[-1]['role']!r}, expected 'user': "
            "put the gold answer into the answer column"
        )
    return tuple({"role": message["role"], "content": message["content"]} for message in found)


def read_info(record: Record, column: str) -> dict[str, Any]:
    """Return the data for the rewarder; empty where the row has none.

    Raises:
        BadRow: It is not an object.
    """
    info = record.get(column) or {}
    if isinstance(info, str):  # a CSV cell, or verl's row
        try:
            info = json.loads(info)
        except ValueError:
            info = None
    if not isinstance(info, dict):
        raise BadRow(f"{record.place}: {column!r} is not a JSON object")
    return info


def _from_verl(record: Record) -> Record:
    """Return a row in verl's form as a row with our columns; any other row unchanged."""
    model = record.get("reward_model")
    if "answer" in record.values or not isinstance(model, dict) or "ground_truth" not in model:
        return record
    extra = record.get("extra_info")
    extra = extra if isinstance(extra, dict) else {}
    given = {name: extra.get(name) for name in ("id", "reward", "domain", "info") if extra.get(name)}
    values = {**record.values, "answer": model["ground_truth"], **given}
    return Record(values, record.file, record.number, record.place)
