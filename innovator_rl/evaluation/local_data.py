"""Find the files of evaluation sets on this machine.

The data root is `--data`, else `INNOVATOR_DATA`, else `data` in the working directory. A set's files have fixed places
below it (the table in docs/evaluation.md), and `hub/ORG/NAME` below it may hold a copy of any hub data set.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from innovator_rl.errors import UserError
from innovator_rl.evaluation.task import TaskUnavailable

VARIABLE = "INNOVATOR_DATA"
Rows = list[dict[str, Any]]
Item = TypeVar("Item")


def data_root(given: str | Path | None = None) -> Path:
    """Return the folder of the evaluation sets.

    Args:
        given: The value of `--data`.

    Raises:
        UserError: The folder that was asked for does not exist.
    """
    asked = given or os.environ.get(VARIABLE)
    root = Path(asked or "data").expanduser()
    if asked and not root.is_dir():
        raise UserError(f"{'--data' if given else VARIABLE} {str(root)!r} not found: expected a folder")
    return root


def find(root: Path, places: tuple[str, ...], hub: str) -> Path:
    """Return the first file that exists, plain or with `.gz`.

    Args:
        root: The data root.
        places: Paths below it.
        hub: Where the set is published, for the message.

    Raises:
        TaskUnavailable: There is none.
    """
    for place in places:
        for path in (root / place, root / f"{place}.gz"):
            if path.exists():
                return path
    raise TaskUnavailable(
        f"{hub} is not here: put it at {places[0]} below the data folder ({root}; --data or {VARIABLE})"
    )


def read_text(path: Path) -> str:
    """Return the text of a file, unpacking `.gz`.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return raw.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): fetch the file again") from None


def read_rows(path: Path, *needed: str) -> Rows:
    """Return the objects of a JSON or JSON-lines file.

    Args:
        path: The file.
        needed: Columns that every row must have.

    Raises:
        UserError: There is no row, or one is no object or lacks a column; the message has its number.
    """
    rows: Rows = []
    try:
        if path.suffix == ".parquet":
            return _checked(pq.read_table(path).to_pylist(), path, needed)
        text = read_text(path)
        whole = json.loads(text) if text.lstrip().startswith("[") else None
        rows = whole if whole is not None else [json.loads(line) for line in text.split("\n") if line.strip()]
    except UserError:  # a ValueError too, with its own sentence
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{path} is neither JSON nor Parquet ({error}): fetch the file again") from None
    return _checked(rows, path, needed)


def _checked(rows: Rows, path: Path, needed: tuple[str, ...]) -> Rows:
    if not rows:
        raise UserError(f"{path} has no rows: fetch the file again")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UserError(f"{path}, row {number}: expected an object, found {type(row).__name__}")
        missing = [column for column in needed if row.get(column) is None]
        if missing:
            raise UserError(f"{path}, row {number}: {missing[0]!r} not found; the row has {', '.join(row)}")
    return rows


def hub_copy(root: Path, hub_id: str, subset: str | None) -> Any:
    """Return a local copy of a hub data set as a mapping of splits, or None.

    Raises:
        UserError: The copy cannot be read.
    """
    for known, read in _COPIES.items():
        if hub_id.startswith(known):
            found = read(root, hub_id, subset)
            if found is not None:
                return found
    folder = root / "hub" / hub_id
    if not folder.is_dir():
        return None
    import datasets

    hub: Any = datasets  # its functions carry no types
    try:
        return hub.load_dataset(str(folder), subset)
    except Exception as error:  # every kind, depending on the files in the folder
        raise UserError(f"{folder} cannot be read as a hub data set ({error})".splitlines()[0]) from None


def converted(path: Path, rows: Rows, convert: Callable[[dict[str, Any]], Item]) -> list[Item]:
    """Return what a set's reader makes of each row of its file.

    Args:
        path: The file, for the message.
        rows: Its rows.
        convert: Raises whatever a row without a column, or with something else in it, leads to.

    Raises:
        UserError: A row cannot be converted; the message has its number and why.
    """
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found.append(convert(row))
        except KeyError as error:
            raise UserError(f"{path}, row {number}: {error} not found; the row has {', '.join(row)}") from None
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise UserError(f"{path}, row {number} cannot be used ({error}): correct the row or remove it") from None
    return found


def _splits(splits: Mapping[str, Rows], path: Path) -> Any:
    import datasets

    hub: Any = datasets  # its classes carry no types
    try:
        return hub.DatasetDict({name: hub.Dataset.from_list(rows) for name, rows in splits.items()})
    except (pa.ArrowException, ValueError, TypeError) as error:  # a column of numbers with a text in it
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: its rows have columns of different kinds ({reason}): fetch the file again") from None


def _cmmlu(root: Path, hub_id: str, subset: str | None) -> Any:
    archive = root / "eval/cmmlu/cmmlu.tar.xz"
    if not archive.is_file():
        return None
    splits: dict[str, Rows] = {}
    try:
        with tarfile.open(archive) as files:
            for name in ("dev", "test"):
                member = files.extractfile(f"{name}/{subset}.csv")
                assert member is not None
                text = io.TextIOWrapper(member, encoding="utf-8", newline="")
                splits[name] = [{k: v for k, v in row.items() if k} for row in csv.DictReader(text)]
    except (OSError, KeyError, tarfile.TarError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0].rstrip(": ")
        raise UserError(f"{archive}: {subset} cannot be read ({reason}): fetch the archive again") from None
    return _splits(splits, archive)


def _agieval(root: Path, hub_id: str, subset: str | None) -> Any:
    """Convert AGIEval's own files (v1) into the prompts of the hub's copies."""
    name = hub_id.removeprefix("hails/agieval-")
    path = next(
        (p for p in (root / f"eval/agieval/{name}.jsonl.gz", root / f"eval/agieval/{name}.jsonl") if p.exists()), None
    )
    if path is None:
        return None
    chinese = (name.startswith("gaokao") and name != "gaokao-english") or name.endswith("-zh") or name.startswith("jec")
    rows = converted(path, read_rows(path, "question"), lambda row: _agieval_row(row, chinese))
    return _splits({"test": rows}, path)


def _agieval_row(row: dict[str, Any], chinese: bool) -> dict[str, Any]:
    passage, options = row.get("passage") or "", row.get("options") or []
    if not isinstance(options, list):
        raise ValueError(f"options must be a list, found {options!r:.40}")
    if not options:  # a cloze question: the answer is compared, there is nothing to choose
        query = f"问题：{row['question']}\n答案：" if chinese else f"Q: {row['question']}\nA: The answer is"
        return {"query": query, "answer": str(row.get("answer") or ""), "choices": [], "gold": []}
    last = chr(ord("A") + len(options) - 1)
    joined = " ".join(options)
    if chinese:
        query = f"{passage}问题：{row['question']} 选项：{joined}\n答案：从A到{last}, 我们应选择"
    else:
        query = f"{passage}\n" if passage else ""
        query += f"Q: {row['question']} Answer Choices: {joined}\nA: Among A through {last}, the answer is"
    label = row.get("label") or ""
    letters = [letter for letter in "".join(label if isinstance(label, list) else [label]) if letter.isalpha()]
    return {"query": query, "choices": options, "gold": [ord(letter) - ord("A") for letter in letters]}


def _mmlu_stem(root: Path, hub_id: str, subset: str | None) -> Any:
    path = find(root, ("eval/math/mmlu_stem.jsonl",), "MMLU-STEM in one file (Qwen2.5-Math)")
    return _splits({"test": converted(path, read_rows(path, "question", "choices", "answer"), _four_choices)}, path)


def _four_choices(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of MMLU whose prompt can be rendered, its answer as a place from 0 to 3."""
    answer, choices = row["answer"], row["choices"]
    place = "ABCD".find(answer) if isinstance(answer, str) and len(answer) == 1 else answer
    if not isinstance(row["question"], str) or not isinstance(choices, list) or len(choices) != 4:
        raise ValueError("question must be a text, and choices a list of four")
    if not isinstance(place, int) or not 0 <= place < 4:
        raise ValueError(f"answer must be a place from 0 to 3 or a letter from A to D, got {answer!r:.40}")
    return {"question": row["question"], "choices": [str(choice) for choice in choices], "answer": place}


def _gsm8k(root: Path, hub_id: str, subset: str | None) -> Any:
    places = {name: root / f"gsm8k/{name}.jsonl" for name in ("train", "test")}
    files = {name: next((p for p in (path, Path(f"{path}.gz")) if p.exists()), None) for name, path in places.items()}
    if any(path is None for path in files.values()):
        return None
    rows = {name: read_rows(path, "question", "answer") for name, path in files.items() if path is not None}
    return _splits(rows, root / "gsm8k")


def _cluewsc(root: Path, hub_id: str, subset: str | None) -> Any:
    path = find(root, ("eval/cluewsc2020/dev.json", "eval/cluewsc2020/dev.jsonl"), "clue/cluewsc2020 (dev)")
    return _splits({"test": converted(path, read_rows(path, "text", "target", "label"), _coreference)}, path)


def _coreference(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of CLUEWSC2020 with what its prompt and its reference are made of."""
    target = {name: str(row["target"][name]) for name in ("span1_text", "span2_text")}
    label = str(row["label"]).lower()
    if label not in ("true", "false"):
        raise ValueError(f"label must be true or false, got {label!r:.40}")
    return {"text": str(row["text"]), "target": target, "label": label}


_COPIES = {
    "haonan-li/cmmlu": _cmmlu,
    "hails/agieval-": _agieval,
    "openai/gsm8k": _gsm8k,
    "local/mmlu_stem": _mmlu_stem,
    "local/cluewsc2020": _cluewsc,
}
