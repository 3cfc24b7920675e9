r"""Write matrices, vectors and mixed numbers of other spellings in TeX's, next to an answer that is one.

`(1, 2)^T`, `[1 2; 3 4]`, `((1, 2), (3, 4))`, `\operatorname{diag}(1, 2)` and the identity `I_2` are matrices only where the
other answer is one: `I` may be a current, and `((1, 2), (3, 4))` two points.
"""

from __future__ import annotations

import re

from rewards.equivalence.containers import items
from rewards.equivalence.normalize import split_top

MAX_MATRIX_CHARS = 600
_TRANSPOSED = r"\s*\^\s*\{?\s*(?:T|\\top|\\intercal|\\mathrm\s*\{T\})\s*\}?\s*"
_COLUMN = re.compile(rf"([^()\[\]=,]{{0,60}}?)\s*[(\[]([^()\[\]]{{1,200}})[)\]]{_TRANSPOSED}")
_ROW = re.compile(rf"\\begin\{{([pb]?matrix)\}}([^\\]*)\\end\{{\1\}}{_TRANSPOSED}")
_BY_STOPS = re.compile(r"\[([^\[\];]{1,100}(?:;[^\[\];]{1,100}){1,9})\]")
_NESTED = re.compile(r"[(\[]\s*[(\[][^()\[\]]{1,100}[)\]](?:\s*,\s*[(\[][^()\[\]]{1,100}[)\]]){1,9}\s*[)\]]")
_DIAGONAL = re.compile(r"\\?(?:operatorname\s*\{diag\}|mathrm\s*\{diag\}|text\s*\{diag\}|diag)\s*\(([^()]{1,200})\)")
_IDENTITY = re.compile(r"(?:\\mathbf\s*\{I\}|\\mathbb\s*\{[I1]\}|I)(?:_\{?(\d)(?:\s*\\times\s*\d)?\}?)?")
_MIXED = re.compile(r"(-?\d+)\s*(?:\\text\s*\{\s*and\s*\}|\band\b)\s*(\\frac\s*\{\d+\}\s*\{\d+\}|\d+/\d+)")
_ONE_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+|/\d+)?|\\frac\s*\{\d+\}\s*\{\d+\}|\d+\s*\\frac\s*\{\d+\}\s*\{\d+\})")
_HATS = re.compile(r"\\hat\s*\{?\s*\\?[ijk]")
_BARE_UNIT_VECTOR = re.compile(r"(?<![A-Za-z\\_^{])([ijk])(?![A-Za-z_^'(])")
_OR = re.compile(r"\s*(?:\\(?:text|mathrm)\s*\{\s*or\s*\}|\bor\b)\s*")
_IS_MATRIX = re.compile(r"\\begin\{(?:[pbvB]?(?:small)?matrix|array)\}")


def spelled_alike(text: str, other: str) -> str:
    r"""Return an answer as a matrix, a mixed number or unit vectors where the other one shows that it is such.

    `3 and 3/4` is one number next to 3.75, and `3i + 4j` a vector next to `3\hat{i} + 4\hat{j}`.
    """
    if (mixed := _MIXED.fullmatch(text)) and _ONE_NUMBER.fullmatch(other):
        return f"{mixed[1]} {mixed[2]}"
    if _HATS.search(other) and not re.search(r"\\(?:hat|vec|math|bold)", text):
        return _BARE_UNIT_VECTOR.sub(r"\\hat{\1}", text)
    if other[:1] == "(" and (solutions := _solutions(text)):
        return solutions
    return as_matrix(text, other)


def _solutions(text: str) -> str:
    """Return `x = 1, y = 2 or x = 3, y = 4` as `(1, 2), (3, 4)`; empty for others."""
    cases = [[split_top(part, "=") for part in split_top(case, ",")] for case in _OR.split(text)]
    if len(cases) < 2 or any(len(sides) != 2 or not all(sides) for case in cases for sides in case):
        return ""
    names = {tuple(sides[0] for sides in case) for case in cases}
    (first, *_) = names
    if len(names) > 1 or len(first) < 2 or list(first) != sorted(set(first)):
        return ""
    return ", ".join("(" + ", ".join(value for _, value in case) + ")" for case in cases)


def as_matrix(text: str, other: str) -> str:
    """Return an answer as a matrix of TeX where the other one is a matrix, or as a list where it is one.

    Args:
        text: A normalized answer.
        other: The one that it is compared with.
    """
    if len(text) > MAX_MATRIX_CHARS:
        return text
    if row := _ROW.fullmatch(text):
        return _tex([[entry] for entry in row[2].split("&")])
    if not _IS_MATRIX.search(other):
        column = _COLUMN.fullmatch(text)
        return f"({column[2]})" if column and not column[1] and items(other).kind == "()" else text
    return matrix_in_rows(text) or _diagonal(text, other) or text


def matrix_in_rows(text: str) -> str:
    r"""Return `[1 2; 3 4]`, `((1,2),(3,4))` or `(1,1)^T` behind a factor as a matrix of TeX; empty where a text is none."""
    plain = re.sub(r"\\(?:left|right)(?![a-z])", "", text.strip(" $"))
    if len(plain) > MAX_MATRIX_CHARS:
        return ""
    factor = ""
    if column := _COLUMN.fullmatch(plain):
        factor, rows = column[1], [[one] for one in column[2].split(",")]
    elif by_stops := _BY_STOPS.fullmatch(plain):
        rows = [re.split(r"[\s,]+", row.strip()) for row in by_stops[1].split(";")]
    elif _NESTED.fullmatch(plain):
        rows = [row.split(",") for row in re.findall(r"[(\[]([^()\[\]]+)[)\]]", plain[1:-1])]
    else:
        return ""
    return factor + _tex(rows) if len({len(row) for row in rows}) == 1 else ""


def _diagonal(text: str, other: str) -> str:
    """Return a diagonal matrix by its entries, or the identity in the size of the other answer; empty for others."""
    shape = items(other)
    size = shape.rows
    if shape.kind != "matrix" or size * size != len(shape.parts):
        return ""
    if diagonal := _DIAGONAL.fullmatch(text):
        entries = split_top(diagonal[1], ",", thousands=False)
    elif (identity := _IDENTITY.fullmatch(text)) and int(identity[1] or size) == size:
        entries = ["1"] * size
    else:
        return ""
    return _tex(
        [[entry if column == row else "0" for column in range(len(entries))] for row, entry in enumerate(entries)]
    )


def _tex(rows: list[list[str]]) -> str:
    return r"\begin{pmatrix}" + r"\\".join("&".join(row) for row in rows) + r"\end{pmatrix}"
