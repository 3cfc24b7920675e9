"""Read inequalities, intervals, unions and sets as pieces of the real line.

The ends stay text, since they may be formulas; the comparison of the ends is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from rewards.equivalence.normalize import encloses, split_top, stripped

INFINITE = re.compile(r"([-+]?)(?:\s|\\[,;:! ])*(?:\\infty|infinity|inf)")
_SIGNS = (
    (re.compile(r"\\(?:leqslant|leqq|leq|le)(?![A-Za-z])|≤|<=|⩽"), "≤"),
    (re.compile(r"\\(?:geqslant|geqq|geq|ge)(?![A-Za-z])|≥|>=|⩾"), "≥"),
    (re.compile(r"\\(?:neq|ne)(?![A-Za-z])|\\not\s*=|≠|!="), "≠"),
    (re.compile(r"\\(?:lt|ll)(?![A-Za-z])"), "<"),
    (re.compile(r"\\(?:gt|gg)(?![A-Za-z])"), ">"),
    (re.compile(r"\\(?:cup|bigcup)(?![A-Za-z])|∪"), "∪"),
    (re.compile(r"\\in(?![A-Za-z])|∈"), "∈"),
    (re.compile(r"\\(?:setminus|backslash)(?![A-Za-z])"), "∖"),
)
_BUILDER = re.compile(r"\\?\{\s*([A-Za-z])\s*(?:∈\s*\\?[A-Za-z{}\s]*?)?(?:\\mid|\||:)\s*(.*?)\\?\}", re.DOTALL)
_REALS = re.compile(r"\\mathbb\s*\{?\s*R\s*\}?|\\R(?![A-Za-z])|ℝ")
_OR = re.compile(r"\s*(?:\\text\s*\{\s*or\s*\}|\bor\b|\\lor(?![a-z])|\\vee(?![a-z])|∪)\s*")
_LINEAR = re.compile(r"(-?)\s*(\d*)\s*\*?\s*(\\?[A-Za-z]+(?:_\{?\w+\}?)?)")
_OUTWARD = re.compile(
    r"(?<![A-Za-z\d)}\]|])([\[\]])([^\[\]()=]*?[,;](?:[^\[\]()]|\([^()]*\))*?)([\[\]])(?![A-Za-z\d({|])"
)
_SIGNED = re.compile(r"\\[lgnbsi]|[≤⩽<>≥⩾≠!∪∈]|\\cup")
_SIGN = re.compile(r"[<>≤≥≠∈]")
_FLIP = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}


@dataclass(frozen=True)
class Piece:
    """An interval from `low` to `high`, both TeX.

    `closed` says which ends belong to it.
    """

    low: str
    high: str
    closed: tuple[bool, bool]


@dataclass(frozen=True)
class Region:
    """The pieces that `name` (empty where none is given) may lie in."""

    name: str
    pieces: tuple[Piece, ...]


@lru_cache(maxsize=2048)
def signed(text: str) -> str:
    """Return the text with one sign for each relation."""
    if not _SIGNED.search(text):
        return text
    for pattern, sign in _SIGNS:
        text = pattern.sub(sign, text)
    return text


def outward(text: str) -> str:
    """Return a text with intervals in outward brackets, `]1, 2[`, in parentheses."""
    if not re.match(r"\s*\]|.*\[\s*(?:$|∪|∩|∖)", text, re.DOTALL):
        return text

    def turned(match: re.Match[str]) -> str:
        low, high = ("(" if match[1] == "]" else "["), (")" if match[3] == "[" else "]")
        return low + match[2] + high

    return _OUTWARD.sub(turned, text)


def has_relation(text: str) -> bool:
    """Return whether an inequality or membership sign occurs."""
    text = signed(text)
    return any(sign in text for sign in "<>≤≥≠∈") and bool(_SIGN.search(text if encloses(text) else _outside(text)))


def _outside(text: str) -> str:
    """Return a text without what stands in parentheses, as the `x > 1` of `P(x > 1)` does."""
    kept, depth = [], 0
    for char in text:
        depth += char == "("
        if depth <= 0:
            kept.append(char)
        depth -= char == ")" and depth > 0
    return "".join(kept)


@lru_cache(maxsize=1024)
def region(text: str, interval: bool = False) -> Region | None:
    """Return the region that a text states; None for anything else.

    `(a, b)` is a point unless `interval` says otherwise.
    """
    written = signed(text).strip()
    text = outward(written)
    interval = interval or text != written
    if builder := _BUILDER.fullmatch(text):
        text = builder.group(2)
    if len(text) > 600:
        return None
    if "∖" in text:
        return _without_points(text)
    if "∈" in text:
        name, _, rest = text.partition("∈")
        found = region(rest, interval=True)
        return Region(stripped(name), found.pieces) if found and not re.search(r"[<>≤≥=]", name) else None
    parts = _OR.split(text) if not encloses(text) or "∪" in text else [text]
    if len(parts) == 1 and re.search(r"[<>≤≥≠]", text):
        parts = split_top(text, ",") if len(split_top(text, ",")) > 1 and "," in text else parts
        parts = [part for part in parts if part]
    read = [_piece(stripped(part), interval or "∪" in text) for part in parts]
    regions = [part for part in read if part is not None]
    if not regions or len(regions) < len(read) or len(read) > 24:
        return None
    names = {part.name for part in regions} - {""}
    if len(names) > 1:
        return None
    pieces = tuple(piece for part in regions for piece in part.pieces)
    return _without_bars(Region(names.pop() if names else "", pieces))


def _without_points(text: str) -> Region | None:
    r"""Read the real line without whole numbers or one point: `\mathbb{R} \setminus \{1\}`."""
    name, mark, rest = text.rpartition("∈")
    whole, _, points = rest.partition("∖")
    inner = stripped(points).replace("\\{", "{").replace("\\}", "}")
    if not _REALS.fullmatch(stripped(whole)) or not (encloses(inner) and inner[0] == "{"):
        return None
    ends = [stripped(end) for end in split_top(inner[1:-1], ",")]
    if len(ends) > 1:
        if not all(re.fullmatch(r"-?\d{1,9}", end) for end in ends):
            return None
        ends.sort(key=int)
    lows, highs = [r"-\infty", *ends], [*ends, r"\infty"]
    pieces = tuple(Piece(low, high, (False, False)) for low, high in zip(lows, highs, strict=True))
    return Region(stripped(name) if mark else "", pieces)


def _piece(text: str, interval: bool) -> Region | None:
    if _REALS.fullmatch(text):
        return Region("", (Piece(r"-\infty", r"\infty", (False, False)),))
    if text[:1] == "-" and encloses(text[1:].strip()) and "," in text:
        return _turned(_piece(text[1:].strip(), interval))
    if encloses(text) and text[0] in "([" and text[-1] in ")]":
        ends = [end for end in split_top(text[1:-1], ",;", thousands=False)]
        kind = text[0] + text[-1]
        if len(ends) != 2 or not (interval or kind in ("(]", "[)") or any(INFINITE.fullmatch(end) for end in ends)):
            return None
        return Region("", (Piece(ends[0], ends[1].rstrip("."), (text[0] == "[", text[-1] == "]")),))
    if encloses(text.replace("\\{", "{").replace("\\}", "}")) and interval:
        inner = text.replace("\\", "", 1).strip("{} \\")
        return Region("", tuple(Piece(value, value, (True, True)) for value in split_top(inner, ",")))
    return _chain(text)


def _turned(found: Region | None) -> Region | None:
    """Return an interval with the opposite sign: `-[1, 2)` is `(-2, -1]`."""
    if found is None or len(found.pieces) != 1:
        return None
    (piece,) = found.pieces
    return Region(found.name, (Piece(_over(piece.high, "-1"), _over(piece.low, "-1"), piece.closed[::-1]),))


def _chain(text: str) -> Region | None:
    r"""Read `-4 < m \le 0`, `x > 5`, `5 \le x`, `x \ne 3`."""
    pieces = [stripped(part) for part in re.split(r"([<>≤≥≠])", text)]
    members, signs = pieces[::2], pieces[1::2]
    if not all(members) or not signs or "=" in text or len(signs) > 2:
        return None
    if len(signs) == 2:
        if not _is_name(members[1]) or "≠" in signs or (signs[0] in "<≤") != (signs[1] in "<≤"):
            return None
        if signs[0] in ">≥":
            members, signs = members[::-1], [_FLIP[sign] for sign in signs[::-1]]
        closed = signs[0] == "≤", signs[1] == "≤"
        return _scaled(members[1], Piece(members[0], members[2], closed))
    left, sign, right = members[0], signs[0], members[1]
    if not _is_name(left):
        if not _is_name(right):
            return None
        left, right, sign = right, left, _FLIP.get(sign, sign)
    if sign == "≠":
        ends = Piece(r"-\infty", right, (False, False)), Piece(right, r"\infty", (False, False))
        return Region(left, ends) if not left.startswith("-") else None
    if sign in "<≤":
        return _scaled(left, Piece(r"-\infty", right, (False, sign == "≤")))
    return _scaled(left, Piece(right, r"\infty", (sign == "≥", False)))


def _is_name(text: str) -> bool:
    return bool(
        re.fullmatch(r"-?\s*(?:\|?\s*\\?[A-Za-z]+(?:_\{?\w+\}?)?\s*(?:\([a-z]\))?\|?)", text)
    ) and not re.fullmatch(r"-?\s*(?:\\pi|\\infty|e)", text)


def _scaled(name: str, piece: Piece) -> Region:
    """With the sign and the factor of the variable moved to the ends.

    `-x > -1` is x < 1.
    """
    match = _LINEAR.fullmatch(name)
    if not match or (not match.group(1) and match.group(2) in ("", "1")):
        return Region(name, (piece,))
    factor = match.group(1) + (match.group(2) or "1")
    low, high = (_over(end, factor) for end in (piece.low, piece.high))
    if match.group(1):
        return Region(match.group(3), (Piece(high, low, piece.closed[::-1]),))
    return Region(match.group(3), (Piece(low, high, piece.closed),))


def _over(end: str, factor: str) -> str:
    if infinite := INFINITE.fullmatch(end):
        return "\\infty" if (infinite.group(1) == "-") == factor.startswith("-") else "-\\infty"
    return f"\\frac{{{end}}}{{{factor}}}"


def _without_bars(found: Region) -> Region:
    r"""Return `1 \le |z| \le 2` as pieces for z."""
    match = re.fullmatch(r"\|\s*(\\?[A-Za-z]+)\s*\|", found.name)
    if not match:
        return found
    pieces: list[Piece] = []
    for piece in found.pieces:
        if piece.low == r"-\infty":
            pieces.append(Piece(f"-({piece.high})", piece.high, (piece.closed[1], piece.closed[1])))
        elif piece.high == r"\infty":
            pieces += [
                Piece(r"-\infty", f"-({piece.low})", (False, piece.closed[0])),
                Piece(piece.low, r"\infty", piece.closed),
            ]
        else:
            pieces += [Piece(f"-({piece.high})", f"-({piece.low})", piece.closed[::-1]), piece]
    return Region(match.group(1), tuple(pieces))


def same_region(first: Region, second: Region, same_end: Callable[[str, str], bool]) -> bool:
    """Return whether two regions have the same pieces and no different variables."""
    names = [re.sub(r"[\s{}]", "", part.name) for part in (first, second)]
    if all(names) and names[0] != names[1]:
        return False
    if len(first.pieces) != len(second.pieces):
        return False
    left = list(second.pieces)
    for piece in first.pieces:
        hit = next((other for other in left if _same_piece(piece, other, same_end)), None)
        if hit is None:
            return False
        left.remove(hit)
    return True


def _same_piece(first: Piece, second: Piece, same_end: Callable[[str, str], bool]) -> bool:
    if first.closed != second.closed:
        return False
    for a, b in ((first.low, second.low), (first.high, second.high)):
        ends = INFINITE.fullmatch(a), INFINITE.fullmatch(b)
        if ends[0] or ends[1]:
            if not (ends[0] and ends[1] and (ends[0].group(1) == "-") == (ends[1].group(1) == "-")):
                return False
        elif not same_end(a, b):
            return False
    return True
