r"""Tell which left-hand sides only name the value behind the equals sign.

`A^{-1} = (1, 2; 3, 4)` names a matrix, `A \cap B = \{1, 2\}` a set, `\det A = 7` and `\lim_{x \to 0} f(x) = 3` a
number. `2x + 1 = 7` names nothing: it is an equation.
"""

from __future__ import annotations

import re

from rewards.equivalence import calculus
from rewards.equivalence.evaluation import symbols
from rewards.equivalence.intervals import signed
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.normalize import encloses, split_top, stripped
from rewards.equivalence.numeric_equivalence import readings, rename
from rewards.equivalence.tokens import UnreadableFormula

MAX_SIDE_CHARS = 120
_LETTER = r"(?:\\(?:mathbf|boldsymbol|bm|vec|mathrm|hat)\s*\{\s*[A-Za-z]\s*\}|[A-Za-z])(?:_(?:\w|\{\w{1,8}\}))?"
_POWER = r"(?:\s*(?:\^\s*(?:\{\s*[-+]?\w{1,3}\s*\}|\{\s*\\top\s*\}|\w|\\top)|'))?"
_MATRIX = re.compile(rf"(?:{_LETTER}{_POWER}\s*){{1,4}}")
_SET = re.compile(
    rf"{_LETTER}{_POWER}(?:\s*\\(?:cap|cup|setminus|backslash|triangle)(?![a-z])\s*{_LETTER}{_POWER}){{0,3}}"
)
_COLUMN = re.compile(r"\\begin\{([pbB]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)
_WORDS = re.compile(
    r"(?:\\text\s*\{)?\s*(?:the\s+)?(?:domain|range|image|interval|solution|solutions|solution\s+set|answer)\s*"
    r"(?::\s*\}|\}\s*:|:)\s*(?=[(\[]|\\\{|\\mathbb)",
    re.IGNORECASE,
)
_ARGUMENT = r"(?:\s*(?:\\[A-Za-z]+|[A-Za-z])(?:_\{?\w+\}?)?\s*|\s*\(\s*[A-Za-z]\s*\)\s*)"
_OPERATOR = re.compile(
    r"\\?(?:operatorname\s*\{\s*)?(?:det|dim|rank|rk|tr|Tr|trace|deg|ord|ker|order|nullity|gcd|lcm|max|min|sup|inf|Var|Cov|"
    rf"E|Pr|sin|cos|tan|cot|sec|csc)\s*\}}?{_ARGUMENT}"
)
_NAMED_OPERATOR = re.compile(r"\\(?:operatorname|[A-Za-z]{3,})|(?:det|dim|rank|tr)\b")
_CHANCE = re.compile(r"(?:\\mathbb\s*\{?\s*[PE]\s*\}?|\\Pr|\\operatorname\s*\{\s*(?:Var|Cov|E|P)\s*\})\s*(?=[(\[])")
_DIRECTED = re.compile(r"\^\s*\{?\s*[-+]\s*\}?")
_BOUND = re.compile(r"\\(?:lim|sum|prod|int|iint|iiint|oint|max|min|sup|inf|limsup|liminf|bigcup|bigcap)(?![A-Za-z])")


def without_words(text: str) -> str:
    r"""Return an interval or a set without the word before it: `\text{Domain}: [0, 1)`."""
    return _WORDS.sub("", text, count=1) if _WORDS.match(text) else text


def value_of_container(text: str) -> str | None:
    r"""Return the matrix or set that an equation names, `A^{-1} = ...` or `S = \{1, 2\}`; None for others."""
    sides = split_top(text, "=")
    if len(sides) != 2 or not all(sides) or len(sides[0]) > MAX_SIDE_CHARS:
        return None
    name, value = sides
    if "\\begin{" in value and "matrix}" in value:
        return value if _MATRIX.fullmatch(name) or _is_column_of_names(name) else None
    braced = value.startswith("\\{") and value.endswith("\\}") and encloses(value.replace("\\", ""))
    interval = value[:1] in "([" and value[-1:] in ")]" and len(name) == 1
    return value if (braced or interval) and _SET.fullmatch(name) else None


def _is_column_of_names(side: str) -> bool:
    """Return whether a side is a column of letters in the order of the alphabet, as `(x, y)` is."""
    if not (match := _COLUMN.fullmatch(side)):
        return False
    names = [stripped(name) for name in match[2].split("\\\\") if name.strip()]
    letters = all(re.fullmatch(r"[A-Za-z](?:_\{?\d\}?)?", name) for name in names)
    return letters and len(set(names)) == len(names) > 1 and names == sorted(names)


def names_value(side: str) -> bool:
    r"""Return whether a side is an operator's or a function's value at a name: `\det A`, `\tan\theta`, `\mathbb{P}(X = 2)`."""
    plain = side.strip()
    if len(plain) > MAX_SIDE_CHARS:
        return False
    if chance := _CHANCE.match(plain):
        return encloses(plain[chance.end() :])
    if _OPERATOR.fullmatch(plain) and _NAMED_OPERATOR.match(plain):
        return True
    return is_bound(plain) and not is_closed(plain)


def is_bound(side: str) -> bool:
    """Return whether a side is one limit, sum, product or integral, and no sum with one."""
    return bool(_BOUND.match(side.strip())) and len(side) <= MAX_SIDE_CHARS and not re.search(r"[-+]\s*\d+$", side)


def is_closed(side: str) -> bool:
    """Return whether a side can be worked out: every letter of it is bound, and an integral has bounds."""
    try:
        tree = readings(side)[0][0]
    except UnreadableFormula:
        return False
    definite = tree.kind in calculus.BINDING and tree.parts[1].kind != "none"
    return definite and not symbols(tree) and not _has_unknown(tree)


def _has_unknown(tree: Node) -> bool:
    return tree.kind in ("apply", "delta") or any(map(_has_unknown, tree.parts))


def same_text(first: str, second: str) -> bool:
    r"""Return whether two left-hand sides are written alike, but for blanks, braces, relation signs and bound variables."""
    if _plain(first) == _plain(second):
        return True
    if not (is_bound(first) and is_bound(second)) or _DIRECTED.search(first + second):
        return False
    try:
        return any(_with_numbered(a) == _with_numbered(b) for a, b in readings(first, second))
    except UnreadableFormula:
        return False


def _with_numbered(tree: Node, depth: int = 0) -> Node:
    """Return a tree whose bound variables are numbered from outside."""
    if tree.kind in calculus.BINDING:
        name = f"bound {depth}"
        body = rename(tree.parts[0], {tree.text: Node("symbol", (), name)})
        parts = [_with_numbered(part, depth + 1) for part in (body, *tree.parts[1:])]
        return Node(tree.kind, tuple(parts), name)
    return Node(tree.kind, tuple(_with_numbered(part, depth) for part in tree.parts), tree.text)


def _plain(side: str) -> str:
    text = re.sub(r"\\(?:text|mathrm|operatorname|mathbb|limits)|\\[,;:! ]|[\s{}]", "", signed(side))
    text = text.replace("\\rightarrow", "\\to").replace("Pr(", "P(").replace("\\P(", "P(")
    return re.sub(r"(?<=[a-z])\(([A-Za-z])\)|\\(?=[A-Za-z])", lambda match: match[1] or "", text)


def is_sum_of_unknowns(side: str) -> bool:
    """Return whether a side is a sum of two unknowns or more, or its absolute value, without a number as a term or factor."""
    try:
        tree = readings(side)[0][0]
    except UnreadableFormula:
        return False
    if tree.kind == "abs":
        tree = tree.parts[0]
    return tree.kind == "add" and len(symbols(tree)) > 1 and _of_letters(tree)


def _of_letters(tree: Node) -> bool:
    if tree.kind == "pow":
        return _of_letters(tree.parts[0]) and tree.parts[1].kind == "number" and tree.parts[1].text.isdigit()
    return tree.kind == "symbol" or (
        tree.kind in ("add", "neg", "mul", "div", "abs") and all(map(_of_letters, tree.parts))
    )
