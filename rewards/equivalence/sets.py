r"""Compare sets of real numbers by what they contain: `(0, 2) \setminus \{1\}` is `(0, 1) \cup (1, 2)`.

A set whose ends are numbers is known by the ends it contains and by one point of every gap between them, however
unions, differences, intersections and complements build it. Ends with symbols are left to `intervals`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath

from rewards.equivalence.evaluation import DIGITS, Budget, evaluate, symbols
from rewards.equivalence.formulas import read
from rewards.equivalence.intervals import INFINITE, Region, outward, region, signed
from rewards.equivalence.normalize import encloses, split_top, stripped
from rewards.equivalence.tokens import UnreadableFormula

MAX_CHARS, MAX_PARTS, MAX_DEPTH = 600, 24, 4
_EQUAL = mpmath.mpf(10) ** -30
_OR = re.compile(r"\s*(?:\\(?:text|mathrm)\s*\{\s*or\s*\}|\bor\b|\\lor(?![a-z])|\\vee(?![a-z])|∪)\s*")
_AND = re.compile(
    r"\s*(?:\\(?:text|mathrm)\s*\{\s*(?:and|but)\s*\}|\b(?:and|but)\b|\\land(?![a-z])|\\wedge(?![a-z])|∩)\s*"
)
_LISTED = re.compile(r"(?<=[)\]])\s*(?:\\(?:text|mathrm)\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*(?=[(\[])")
_CAP = re.compile(r"\\(?:big)?cap(?![a-z])|∩")
_COMPLEMENT = re.compile(r"\^\s*(?:\{\s*(?:c|C|\\complement)\s*\}|c|C|\\complement)\s*$")
_VALUE = re.compile(r"([A-Za-z])\s*=\s*([^=<>≤≥≠∈]+)")
_MINUS = re.compile(r"(?<=[\])}R])\s*-\s*(?=\\?\{|\[|\()")
_TEXTS = re.compile(r"\\(?:text|mathrm|textrm|mbox)\s*\{([^{}]*)\}")
_EXCEPT = re.compile(
    r"\s*(?:all|any|every)\s+real(?:s|\s+numbers?|\s+values)(?:\s+(?:of\s+)?[a-z])?\s*,?\s*"
    r"(?:except|excluding|other\s+than|but\s+not)(?:\s+for)?\s+((?:[^A-Za-z\\]|\\[^A-Za-z]|\\[a-z]+(?![a-z])|(?<!\\)\b(?:(?:and|or)\b|[a-z]\s*=))+)",
    re.IGNORECASE,
)
_HALF_LINES = (
    (re.compile(r"\\mathbb\s*(?:\{\s*R\s*\}|R)\s*(?:\^\s*\{?\s*\+\s*\}?|_\s*\{?\s*>\s*0\s*\}?)"), r"(0, \infty)"),
    (re.compile(r"\\mathbb\s*(?:\{\s*R\s*\}|R)\s*(?:\^\s*\{?\s*-\s*\}?|_\s*\{?\s*<\s*0\s*\}?)"), r"(-\infty, 0)"),
    (re.compile(r"\\mathbb\s*(?:\{\s*R\s*\}|R)\s*_\s*\{?\s*(?:\\geq?(?:slant)?|≥)\s*0\s*\}?"), r"[0, \infty)"),
    (re.compile(r"\s*(?:all\s+|the\s+)?positive\s+real(?:s|\s+numbers?)?\s*", re.IGNORECASE), r"(0, \infty)"),
    (re.compile(r"\s*(?:all\s+|the\s+)?negative\s+real(?:s|\s+numbers?)?\s*", re.IGNORECASE), r"(-\infty, 0)"),
    (re.compile(r"\s*(?:all\s+|the\s+)?non-?negative\s+real(?:s|\s+numbers?)?\s*", re.IGNORECASE), r"[0, \infty)"),
)
_BUILT = re.compile(
    r"\\?\{\s*(?:[A-Za-z]\s*=\s*)?([^{}|:<>=]{1,80}(?:\{[^{}]{0,40}\}[^{}|:<>=]{0,40}){0,4}?)\s*(?:\\mid(?![a-z])|\\colon|[|:])\s*([A-Za-z])\s*(?:\\in(?![a-z])|∈)\s*"
    r"(?:\\mathbb\s*\{?\s*([ZN])\s*\}?|([ℤℕ]))\s*((?:\^|_)\{?[^{}]{1,6}\}?)?\s*\\?\}"
)
_BOUND = re.compile(r"[^<>≤≥≠=∈]{1,60}[<>≤≥][^<>≤≥≠=∈]{1,60}")
_MARKED = re.compile(r"[∪∩∖<>≤≥≠∈]|\\infty|\^\s*\{?\s*(?:c|\\complement)|\\mathbb|ℝ|\bor\b|\\text\s*\{\s*or")


@dataclass(frozen=True)
class RealSet:
    """A set of real numbers.

    Attributes:
        name: The variable that is said to lie in it, empty where none is.
        ends: The numbers where membership may change.
        contains: Whether a number belongs to it.
    """

    name: str
    ends: tuple[Any, ...]
    contains: Callable[[Any], bool]


def same_set(first: str, second: str) -> bool | None:
    """Return whether two answers describe the same set of real numbers; None where either describes none.

    Args:
        first: A normalized answer.
        second: Another one.
    """
    texts = [_CAP.sub("∩", outward(signed(text))) for text in (first, second)]
    if max(map(len, texts)) > MAX_CHARS or not any(
        _MARKED.search(text) or text != signed(raw) for text, raw in zip(texts, (first, second), strict=True)
    ):
        return None
    with mpmath.workdps(DIGITS):
        try:
            a, b = (_read(text, 0) for text in texts)
        except UnreadableFormula:
            return None
        if a is None or b is None:
            return None
        if a.name and b.name and a.name != b.name:
            return False
        return all(a.contains(point) == b.contains(point) for point in probes((*a.ends, *b.ends)))


def real_set(text: str) -> RealSet | None:
    """Return the set of real numbers that a text describes; None for anything else."""
    text = _CAP.sub("∩", outward(signed(text)))
    try:
        return _read(text, 0) if len(text) <= MAX_CHARS else None
    except UnreadableFormula:
        return None


def probes(ends: tuple[Any, ...]) -> list[Any]:
    """Return every end, a point of every gap between two of them, and one beyond each side."""
    places: list[Any] = []
    for end in sorted(ends):
        if not places or not _same(end, places[-1]):
            places.append(end)
    if not places:
        return [mpmath.mpf(0)]
    gaps = [(low + high) / 2 for low, high in itertools.pairwise(places)]
    return [places[0] - 1, *places, *gaps, places[-1] + 1]


def _same(first: Any, second: Any) -> bool:
    return bool(abs(first - second) <= _EQUAL * max(1, abs(first), abs(second)))


def _read(text: str, depth: int) -> RealSet | None:
    """Read unions, or intersections, or differences; a mixture without parentheses has no one meaning."""
    text = _without_parentheses(stripped(text))
    if depth > MAX_DEPTH or not text:
        return None
    name, member, rest = text.partition("∈")
    if member and re.fullmatch(r"\s*[A-Za-z]\s*", name):
        inner = _read(rest, depth + 1)
        named = inner is not None and inner.name in ("", name.strip())
        return RealSet(name.strip(), inner.ends, inner.contains) if inner and named else None
    first, *excluded = split_top(text, ",")
    if excluded and all("≠" in part for part in excluded):
        text = " ∩ ".join([first, *excluded])
    elif len(excluded) == 1 and _is_between(first, excluded[0]):
        text = f"{first} ∩ {excluded[0]}"
    unions, meets, differences = _split(text, _OR), _split(text, _AND), split_top(_MINUS.sub("∖", text), "∖")
    found = [parts for parts in (unions, meets, differences) if len(parts) > 1]
    if len(found) > 1 or any(len(parts) > MAX_PARTS for parts in found):
        return None
    if not found:
        return _atom(text, depth)
    parts = [_read(part, depth + 1) for part in found[0]]
    sets = [part for part in parts if part is not None]
    names = {part.name for part in sets} - {""}
    if len(sets) < len(parts) or len(names) > 1:
        return None
    ends = tuple(end for part in sets for end in part.ends)
    tests = [part.contains for part in sets]
    name = names.pop() if names else ""
    if found[0] is unions:
        return RealSet(name, ends, lambda x: any(test(x) for test in tests))
    if found[0] is meets:
        return RealSet(name, ends, lambda x: all(test(x) for test in tests))
    return RealSet(name, ends, lambda x: tests[0](x) and not any(test(x) for test in tests[1:]))


def _is_between(first: str, second: str) -> bool:
    """Return whether `x > 1, x < 2` bounds one variable from below and above, so that the comma means "and"."""
    if not (_BOUND.fullmatch(first) and _BOUND.fullmatch(second)):
        return False
    found = region(first), region(second)
    if found[0] is None or found[1] is None or found[0].name != found[1].name:
        return False
    (a, b), (c, d) = ((_end(part.pieces[0].low), _end(part.pieces[0].high)) for part in found if part)
    return bool(max(a, c) < min(b, d) and mpmath.isfinite(max(a, c)) and mpmath.isfinite(min(b, d)))


def without_exceptions(text: str) -> str:
    r"""Return "all real numbers except 1 and 2" as `\mathbb{R} \setminus \{1, 2\}`; other text as it is."""
    plain = _TEXTS.sub(lambda match: f" {match[1]} ", text)
    name, member, rest = plain.rpartition("\\in") if "\\in " in plain or "\\in\\" in plain else ("", "", plain)
    for pattern, interval in _HALF_LINES:
        if len(text) <= MAX_CHARS and pattern.fullmatch(rest.strip()):
            return f"{name}{member} {interval}".strip()
    if len(text) > MAX_CHARS or not (match := _EXCEPT.fullmatch(plain)):
        return text
    values = [part.rpartition("=")[2].strip() for part in re.split(r",|\band\b|\bor\b", match[1]) if part.strip(" .")]
    return rf"\mathbb{{R}} \setminus \{{{', '.join(values)}\}}"


def same_builders(first: str, second: str, same: Callable[[str, str], bool]) -> bool | None:
    r"""Compare two sets such as `\{2k : k \in \mathbb{Z}\}` by what their members look like; None where one is no such set."""
    if "{" not in first[:2] or max(len(first), len(second)) > MAX_CHARS:
        return None
    built = _BUILT.fullmatch(first), _BUILT.fullmatch(second)
    if not built[0] or not built[1]:
        return None
    kinds = [(one[3] or one[4], re.sub(r"[{}\s]", "", one[5] or "")) for one in built if one]
    renamed = re.sub(rf"(?<![A-Za-z\\]){built[1][2]}(?![A-Za-z])", built[0][2], built[1][1])
    return kinds[0] == kinds[1] and same(built[0][1].strip(), renamed.strip())


def _split(text: str, joint: re.Pattern[str]) -> list[str]:
    """Split at a joint outside every bracket."""
    marked = joint.sub("⋄", text)
    return split_top(marked, "⋄") if "⋄" in marked else [text]


def _without_parentheses(text: str) -> str:
    """Without parentheses around a set; those of an interval stay."""
    while text[:1] == "(" and encloses(text) and (len(split_top(text[1:-1], ",;", thousands=False)) == 1):
        text = stripped(text[1:-1])
    return text


def _atom(text: str, depth: int) -> RealSet | None:
    """Read an interval, a finite set, an inequality, an equation `x = 2` or a complement."""
    if (mark := _COMPLEMENT.search(text)) and (inner := _read(text[: mark.start()], depth + 1)):
        return RealSet(inner.name, inner.ends, lambda x: not inner.contains(x))
    if value := _VALUE.fullmatch(text):
        return _points(value[1], [value[2]])
    bare = text.replace("\\{", "{").replace("\\}", "}")
    if bare[:1] == "{" and encloses(bare) and not re.search(r"[|:<>≤≥≠∈]|\\mid", bare):
        inner_text = stripped(bare[1:-1])
        return _points("", split_top(inner_text, ",;", thousands=False) if inner_text else [])
    if text in (r"\emptyset", r"\varnothing"):
        return _points("", [])
    found = region(text, interval=True)
    return _intervals(found) if found else None


def _points(name: str, values: list[str]) -> RealSet | None:
    numbers = [_number(value) for value in values]
    if len(numbers) > MAX_PARTS:
        return None
    return RealSet(name, tuple(numbers), lambda x: any(_same(x, number) for number in numbers))


def _intervals(found: Region) -> RealSet | None:
    pieces = [(_end(piece.low), _end(piece.high), piece.closed) for piece in found.pieces]
    ends = tuple(end for low, high, _ in pieces for end in (low, high) if mpmath.isfinite(end))

    def contains(x: Any) -> bool:
        for low, high, closed in pieces:
            on_low, on_high = (mpmath.isfinite(end) and _same(x, end) for end in (low, high))
            if on_low or on_high:
                if (not on_low or closed[0]) and (not on_high or closed[1]):
                    return True
            elif low < x < high:
                return True
        return False

    name = re.sub(r"[\s{}]", "", found.name)
    return RealSet(name, ends, contains)


def _end(text: str) -> Any:
    if infinite := INFINITE.fullmatch(text):
        return -mpmath.inf if infinite.group(1) == "-" else mpmath.inf
    return _number(text)


def _number(text: str) -> Any:
    """Return the value of an end.

    Raises:
        UnreadableFormula: Where it has none, or is no real number.
    """
    tree = read(text)
    if symbols(tree):
        raise UnreadableFormula("an end with symbols")
    value = evaluate(tree, {}, Budget(10_000))
    if mpmath.im(value) != 0:
        raise UnreadableFormula("no real end")
    return mpmath.re(value)


def as_union(text: str, other: str) -> str:
    r"""Write a list of intervals, `(0, 1), (2, 3)`, as their union where the other side is a union."""
    if "\\cup" in text or "\\cup" not in other or len(text) > MAX_CHARS:
        return text
    parts = [part for part in split_top(_LISTED.sub(",", text), ",") if part]
    pairs = all(part[0] in "([" and part[-1] in ")]" and len(split_top(part[1:-1], ",")) == 2 for part in parts)
    return " \\cup ".join(parts) if len(parts) > 1 and pairs else text
