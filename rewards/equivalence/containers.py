"""Take an answer apart.

Parts are those of lists, sets, tuples, vectors and matrices, values with labels, and signs that stand for two values.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache

from rewards.equivalence.normalize import BRACKETS, encloses, split_top, stripped

MAX_ITEMS = 24
_MATRIX = re.compile(r"\\begin\{([pbvB]?(?:small)?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}", re.DOTALL)
_JOIN = re.compile(
    r"\s*(?:(?<!\\),)?\s*(?:\\q?quad\s*)*\\(?:text|mathrm|textrm|mbox)\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}\s*(?:\\q?quad\s*)*|"
    r"\s*(?:(?<!\\),)?\s*(?:(?<=[\d)}\]$])|(?<=\s))(?:and|or)(?=[\s\d(\[\\$-]|[A-Za-z]\()\s*|\\l(?:or|and)(?![a-z])|\\vee(?![a-z])|"
    r"\s*(?:\\q?quad\s*)+(?=[A-Za-z\\(\[\d-])|;?\s*\n\s*"
)
_COUNTED = re.compile(r"(?<=\d)\s*\\text\s*\{\s*([a-z ]*[a-z])\s*,?\s*\b(?:and|or)\s*\}\s*(?=\d)")
_LABEL = re.compile(
    r"^(?:\\(?:text|mathrm|textbf)\s*\{\s*)?((?=[A-Za-z .'-]*[A-Za-z]{3})[A-Za-z][A-Za-z .'-]*?)(?:\s+(\d+))?\s*\}?\s*[:=]\s*\}?\s*(?=\S)"
)
_PART_MARK = re.compile(r"^(?:\\text\s*\{\s*)?\(\s*(?:[a-h]|i{1,3}|iv|v)\s*\)\s*\}?\s*(?=\S{2})")
_UNCERTAIN = re.compile(r"\d\s*\\pm\s*\d*\.\d|\d\.\d+\s*\)?\s*\\pm")


@dataclass(frozen=True)
class Items:
    """`kind` is the bracket pair around the parts, empty for a bare list.

    `rows` is set for a matrix.
    """

    kind: str
    parts: tuple[str, ...]
    rows: int = 0

    @property
    def ordered(self) -> bool:
        """Return whether the order of the parts matters."""
        return self.kind[:1] in ("(", "[")


@lru_cache(maxsize=1024)
def items(text: str) -> Items:
    """Return the parts of an answer; one part where it has none."""
    if text[:1] == "{" and encloses(text):  # braces that TeX does not print
        text = stripped(text[1:-1])
    text = _plain_brackets(text)
    matrix = _matrix(text) or _listed_rows(text)
    if matrix is not None:
        return matrix
    if encloses(text):
        inner = split_top(text[1:-1], ",;", thousands=False)
        if len(inner) > 1 or text[0] == "{" or ("\\pm" in inner[0] and text[0] != "("):
            if text[0] == "{" and len(inner) == 1 and "\\pm" not in inner[0]:
                return Items("", (inner[0],))
            kind = text[0] + text[-1]
            if kind != "{}" and "\\pm" in text and not _UNCERTAIN.search(text):
                return Items("", _signs([text]))
            return Items(kind, _signs(inner) if kind == "{}" else tuple(inner))
    if ";" in text and "," in text:
        groups = split_top(text, ";")
        if len(groups) > 1 and all(len(split_top(group, ",")) > 1 and not encloses(group) for group in groups):
            return Items("", tuple(f"({_values_only(group)})" for group in groups if group))
    text = _COUNTED.sub(r"\\text{\1},", text)
    parts = [part for part in split_top(_JOIN.sub(",", text), ",;") if part]
    return Items("", _signs([labeled(part) for part in parts] if len(parts) > 1 else parts or [text]))


def labeled(part: str) -> str:
    """Return a list member without its label (`Maximum: 3`) or mark (`(a) 3`)."""
    return _LABEL.sub("", _PART_MARK.sub("", part))


def _values_only(group: str) -> str:
    return ", ".join(split_top(part, "=")[-1] for part in split_top(group, ","))


def _plain_brackets(text: str) -> str:
    for written, bracket in (("\\{", "{"), ("\\}", "}"), ("\\lbrace", "{"), ("\\rbrace", "}")):
        text = text.replace(written, bracket)
    text = re.sub(r"\\langle(?![a-z])([^()]*,[^()]*)\\rangle(?![a-z])", r"(\1)", text)
    text = re.sub(r"^<(?=[^<>=]*,[^<>=]*>$)(.*)>$", r"(\1)", text.strip())
    while encloses(text) and text[0] == "(" and encloses(text[1:-1].strip()) and "," in text:
        text = text[1:-1].strip()
    if text[:1] == "(" and encloses(text) and "\\begin" in text and len(split_top(text[1:-1], ",;")) == 1:
        text = text[1:-1].strip()
    return stripped(text)


def _matrix(text: str) -> Items | None:
    inner = (
        text[1:-1].strip() if encloses(text) and text[0] in "([" and text[1:].strip().startswith("\\begin") else text
    )
    match = _MATRIX.fullmatch(inner.strip())
    if not match:
        return None
    body = re.sub(r"\\\\(?:\[[^\]]*\])?\s*$|\\hline", "", match.group(2).strip())
    rows = [row.split("&") for row in re.split(r"\\\\(?:\[[^\]]*\])?", body)]
    parts = tuple(stripped(entry) for row in rows for entry in row)
    if len({len(row) for row in rows}) != 1 or len(parts) > 100:
        return Items("matrix", (text,), 1)
    if match.group(1) == "vmatrix":
        return Items("vmatrix", parts, len(rows))
    return Items("()", parts) if len(rows) == 1 or len(rows[0]) == 1 else Items("matrix", parts, len(rows))


def _listed_rows(text: str) -> Items | None:
    """Read a matrix in brackets, `[1, 2; 3, 4]` or `[[1, 2], [3, 4]]`."""
    if not (encloses(text) and text[0] == "["):
        return None
    inner = text[1:-1].strip()
    rows = split_top(inner, ";")
    if len(rows) == 1:
        rows = split_top(inner, ",", thousands=False)
        if not all(encloses(row) and row[0] == "[" for row in rows):
            return None
        rows = [row[1:-1] for row in rows]
    entries = [split_top(row, ",", thousands=False) for row in rows]
    if len(rows) < 2 or len({len(row) for row in entries}) != 1 or len(entries[0]) < 2 or len(entries) > MAX_ITEMS:
        return None
    return Items("matrix", tuple(entry for row in entries for entry in row), len(rows))


def _signs(parts: list[str]) -> tuple[str, ...]:
    """Each part with a plus-minus sign as two; in a tuple every sign by itself."""
    found: list[str] = []
    for part in parts:
        count = part.count("\\pm")
        if not count or _UNCERTAIN.search(part):
            found.append(part)
        elif encloses(part) and 1 < count <= 4:
            pieces = part.split("\\pm")
            for chosen in itertools.product("+-", repeat=count):
                found.append(pieces[0] + "".join(sign + piece for sign, piece in zip(chosen, pieces[1:], strict=True)))
        else:
            found += [part.replace("\\pm", a).replace("\\mp", b) for a, b in ("+-", "-+")]
    return tuple(found)


def is_uncertain(text: str) -> bool:
    """Return whether a plus-minus sign states an uncertainty rather than two values."""
    return bool(_UNCERTAIN.search(text))


def brackets_match(first: Items, second: Items) -> bool:
    """Return whether two bracketed answers may mean the same.

    `[0, 1)` is not `[0, 1]`, and the set `{1, 2}` is no pair; `[1, 2, 3]` may be `(1, 2, 3)` or `{1, 2, 3}`, and no brackets
    at all are a list.
    """
    if "matrix" in first.kind or "matrix" in second.kind:
        return first.kind == second.kind and first.rows == second.rows
    if not first.kind or not second.kind or first.kind == second.kind == "{}":
        return True
    if "{}" in (first.kind, second.kind):
        return "[]" in (first.kind, second.kind) and len(first.parts) > 2
    whole = all(kind[1] == BRACKETS[kind[0]] for kind in (first.kind, second.kind))
    return first.kind == second.kind or (whole and len(first.parts) > 2)
