"""Score tables as SciAssess does: `accuracy_value`, with its partial credit by edit distance.

The benchmark renames the columns and rows of an answer to the most similar ones of the reference, compares each cell of the
reference with the cell of that name, and takes the mean. It is lenient on purpose here, for the number stands next to the
paper's: a cell that the other one begins or ends with is right, `bal` equals anything, a number is right in any unit,
additional rows cost nothing, of rows with one name the first counts, and the recalls of rows and columns are always 1
(`max` where `min` is meant). `papers.exact_cells` is the strict metric.

Read as the benchmark reads them are lines with more than three commas, else a block of CSV, else the whole answer. Two of
its readers are left out, because they run what a model wrote: headings that it evaluates as Python, and links that it
downloads.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from innovator_rl.evaluation.questions import Question
from innovator_rl.evaluation.sets.molecules import silence_rdkit
from innovator_rl.evaluation.task import MetricResult, row_metric

SPARE, SPARE_VALUE = 15, 0.9  # places next to the names in the benchmark's matrix, and their similarity to names
TOLERANCE = 1e-2  # absolute and relative, between numbers
MAX_ROWS, MAX_COLUMNS, MAX_CELL = 500, 100, 400
DEFAULT_INDEX = ("Compound", "")
_NAMES = {"Compound", "Name", "SMILES", "Nickname", "Substrate", "AlloyName"}  # never renamed
_AT_END = {"pIC50", "IC50", "EC50", "TC50", "GI50", "Ki", "Kd", "Kb", "pKb"}
_UNITS = {"nM", "uM", "µM", "mM", "%", " %", "wt.%", "at.%", "at%", "wt%"}
_MISSING = {"n/a", "nan", "na", "n.a.", "nd", "not determined", "not tested", "inactive"}
_NANOMOLAR = {"µM": 1e3, "uM": 1e3, "mM": 1e6, "mm": 1e6}
_FENCE = re.compile(r"```csv[^\n]*\n(.+?)\n```", re.DOTALL)
_QUOTED = re.compile(r'"[^"]*"')
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
Rows = Sequence[tuple[Question, str]]


def official_tables(rows: Rows) -> list[MetricResult]:
    """Return the mean over rows of the share of cells, as SciAssess counts it."""
    return [row_metric("official_accuracy_value", (q.id for q, _ in rows), [accuracy_value(q, t) for q, t in rows])]


def accuracy_value(question: Question, response: str) -> float:
    """Return the benchmark's score of one table.

    Args:
        question: Its `info` names `compare_fields` and, where rows have names, `index`.
        response: The answer.

    Returns:
        A number from 0 to 1; 0 where there is no table.
    """
    fields = [tuple(field) if isinstance(field, list) else field for field in question.info["compare_fields"]]
    index = question.info.get("index") or (DEFAULT_INDEX if any(isinstance(one, tuple) for one in fields) else "")
    text = response.rpartition("</think>")[2] if "</think>" in response else response
    wanted, given = _table(question.answer, fields, index), _table(text, fields, index)
    if wanted is None or given is None:
        return 0.0
    own = [index, index[0]] if isinstance(index, tuple) else [index]
    compared = [field for field in fields if field not in own]
    given = given.rename(columns=_renamed(fields, list(given.columns)))
    given = given.rename(index=_renamed(list(wanted.index), list(given.index)))
    total = 0.0
    for name in wanted.index:
        for field in compared:
            gold, said = _cell(wanted, name, field), _cell(given, name, field)
            total += _same_molecule(gold, said) if field == "SMILES" else same_value(gold, said)
    return total / (len(wanted.index) * len(compared)) if compared else 0.0


def _table(text: str, fields: Sequence[Any], index: Any) -> Any:
    """Return an answer as a data frame under its index, or None."""
    lines = [line for line in text.strip().split("\n") if line.count(",") > 3]
    fenced = _FENCE.search(text)
    for csv in ("\n".join(lines), fenced[1] if fenced else text):
        with contextlib.suppress(Exception):  # a table that pandas cannot read is no table, whatever its reason
            frame = _read(csv, any(isinstance(field, tuple) for field in fields))
            if len(frame):
                return _indexed(frame.iloc[:MAX_ROWS, :MAX_COLUMNS], index)
    return None


def _read(csv: str, double: bool) -> Any:
    pandas = importlib.import_module("pandas")
    lines = csv.strip().split("\n")
    commas = [_QUOTED.sub("", line).count(",") for line in lines]
    padded = "\n".join(line + "," * (max(commas) - count) for line, count in zip(lines, commas, strict=True))
    frame = pandas.read_csv(io.StringIO(padded))
    if double and len(frame) and pandas.isna(frame.iloc[0, 0]):
        frame = pandas.read_csv(io.StringIO(padded), header=[0, 1])
        pairs = [(top, plain_name(low)) for top, low in frame.columns]
        frame.columns = pandas.MultiIndex.from_tuples(pairs)
    elif double:
        frame.columns = pandas.MultiIndex.from_tuples([(column, "") for column in frame.columns])
    return frame


def _indexed(frame: Any, index: Any) -> Any:
    """Set the index columns; the first columns are taken where their names are others."""
    pandas = importlib.import_module("pandas")
    if not index:
        return frame
    names = list(index) if isinstance(index, list) else [index]
    if frame.columns.nlevels > 1:
        names = [name if isinstance(name, tuple) else (name, "") for name in names]
    columns = list(frame.columns)
    if any(name not in columns for name in names):
        columns = [*names, *columns[len(names) :]]
        frame.columns = pandas.MultiIndex.from_tuples(columns) if frame.columns.nlevels > 1 else columns
    rows = [tuple(map(str, row)) for row in frame[names].itertuples(index=False)]
    frame = frame.drop(columns=names)
    frame.index = pandas.MultiIndex.from_tuples(rows) if len(names) > 1 else [row[0] for row in rows]
    return frame


def _renamed(wanted: Sequence[Any], given: Sequence[Any]) -> dict[str, str]:
    """Return which names of an answer mean which of the reference, by the best assignment."""
    from scipy.optimize import linear_sum_assignment

    if not len(wanted) or not len(given):
        return {}
    ours, theirs = [_queried(name) for name in wanted], [_queried(name) for name in given]
    similarities = np.ones((len(ours) + SPARE, len(theirs) + SPARE))
    similarities[: len(ours), len(theirs) :] = SPARE_VALUE
    similarities[len(ours) :, : len(theirs)] = SPARE_VALUE
    for i, one in enumerate(ours):
        for j, other in enumerate(theirs):
            similarities[i, j] = same_name(plain_name(one), plain_name(other))
    places = zip(*linear_sum_assignment(similarities, maximize=True), strict=True)
    found = {theirs[j]: ours[i] for i, j in places if i < len(ours) and j < len(theirs)}
    return {key: value for key, value in found.items() if key not in _NAMES}


def _queried(name: Any) -> str:
    """Return the part of a name that is compared: of two headings the lower one, of a row's names the last."""
    if not isinstance(name, tuple):
        return str(name)
    return str(name[0] if len(name) == 1 or name[-1] == "" else name[-1])


def _cell(frame: Any, name: Any, field: Any) -> str:
    try:
        value = frame.loc[name, field]
        while hasattr(value, "iloc"):  # a name that occurs twice, or one heading over several
            value = value.iloc[0]
    except (KeyError, IndexError, TypeError):
        return "not found"
    return str(value)[:MAX_CELL]


@functools.lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """Return a name as the benchmark compares it: an element by its symbol, a kind of measurement at the end."""
    if name.startswith("Unnamed"):
        return ""
    name = re.sub(r"[^\w\s%.\-()]", "", name)
    words = _symbols().get(name, name).split()
    return " ".join([word for word in words if word not in _AT_END] + [word for word in words if word in _AT_END])


@functools.cache
def _symbols() -> dict[str, str]:
    from rdkit import Chem

    table: Any = vars(Chem)["GetPeriodicTable"]()
    return {table.GetElementName(number): table.GetElementSymbol(number) for number in range(1, 101)}


def same_name(one: str, other: str) -> float:
    """Return how similar two names are, from 0 to 1."""
    one, other = one.strip(), other.strip()
    if not one or not other:
        return 0.0
    numbers = _float(one), _float(other)
    if numbers[0] is not None and numbers[1] is not None:
        return _close(*numbers)
    return _affix_or_distance(one, other)


def same_value(one: str, other: str) -> float:
    """Return how far two cells agree, from 0 to 1."""
    one, other = one.strip(), other.strip()
    numbers = _float(one), _float(other)
    if numbers[0] is not None and numbers[1] is not None:
        return _close(*numbers)
    plain = _plain_value(one), _plain_value(other)
    if "bal" in plain or plain[0] == plain[1]:
        return 1.0
    if not one or not other:
        return _distance(one, other)
    if _has_unit(one) and _has_unit(other):
        amounts = _amount(one), _amount(other)
        return float(amounts[0] == amounts[1]) if all(amounts) else _distance(one, other)
    if {one.lower(), other.lower()} <= _MISSING:
        return 1.0
    return _affix_or_distance(one, other)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _close(one: Any, other: Any) -> float:
    return float(np.allclose(one, other, equal_nan=True, atol=TOLERANCE, rtol=TOLERANCE))


def _affix_or_distance(one: str, other: str) -> float:
    a, b = one.lower(), other.lower()
    if a.startswith(b) or a.endswith(b) or b.startswith(a) or b.endswith(a):
        return 1.0
    return _distance(one, other)


def _distance(one: str, other: str) -> float:
    from rapidfuzz.distance import Levenshtein

    longest = max(len(one), len(other))
    return 1.0 - Levenshtein.distance(one.lower(), other.lower()) / longest if longest else 0.0


def _plain_value(text: str) -> str | float:
    """Return a cell as one number, as a range, or as text; what stands for a missing value is 0."""
    text = text.lower()
    if "bal" in text or "remainder" in text or "bas" in text:
        return "bal"
    if ("nan" in text and "–" not in text) or text in ("/", "") or "n/a" in text or "na" in text:
        text = "0"
    text = text.replace("nan", "–").replace("~", "-")
    numbers = _NUMBER.findall(text)
    if len(numbers) == 2:
        text = "-".join(numbers)
    elif len(numbers) == 1:
        text = numbers[0]
    value = _float(text.replace("<", "").replace(">", ""))
    return text.replace("<", "").replace(">", "") if value is None else round(value, 3)


def _has_unit(text: str) -> bool:
    return text[-2:] in _UNITS or text[-1:] in _UNITS or text.split()[-1] in _UNITS


def _amount(text: str) -> str:
    """Return a sign of comparison, a number and a unit, of concentrations in nM; empty where there is no number."""
    number = re.search(r"[+-]*[0-9.]+", text)
    value = _float(number[0]) if number else None
    if value is None:
        return ""
    sign, unit = re.search(r"[<>=]", text), text.rstrip()[-2:]
    factor = _NANOMOLAR.get(unit, 1.0)
    mark = sign[0].replace("=", "") if sign else ""
    return f"{mark}{value * factor:.1f} {'nM' if unit in _NANOMOLAR else unit}"


def _same_molecule(one: str, other: str) -> float:
    from rdkit import Chem

    silence_rdkit()
    molecules = [Chem.MolFromSmiles(text) for text in (one, other)]
    if any(molecule is None for molecule in molecules):
        return 0.0
    first, second = (vars(Chem)["MolToSmiles"](vars(Chem)["RemoveHs"](molecule)) for molecule in molecules)
    return float(first == second)
