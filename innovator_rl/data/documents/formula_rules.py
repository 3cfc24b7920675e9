r"""Propose repairs of a formula that does not parse, the likeliest first; a parser accepts one of them or none.

Every rule makes one small edit: it adds or takes back a brace, gives `\left` its `\right` and an environment its end,
respells a command that recognition garbled, or removes a mark that stands alone. Up to `DEPTH` edits are combined, and a
formula gets at most `PROPOSALS` proposals, so that the cost is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from innovator_rl.data.documents.latex import (
    PARTNERS,
    TEXT_COMMANDS,
    TWO_ARGUMENTS,
    Defect,
    cut_commands,
    defects,
    environment,
    near_commands,
    tokens,
)

DEPTH = 3
BEAM = 16
PROPOSALS = 48
LONGEST = 5_000
"""Characters of a formula that is repaired, at most; a longer one is left as it is."""

_RELATIONS = frozenset("=<>,;+-") | {r"\leq", r"\geq", r"\approx", r"\rightarrow", r"\to", r"\times", r"\\", "&", r"\,"}
_NO_TEXT = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad\ufffe\ufffd\x00-\x08\x0b\x0c\x0e-\x1f]")
_FENCE = re.compile(r"(\\left\s*|\\right\s*)([{}])")
"""A brace as a delimiter that lost its backslash."""

_SCRIPTS = ("^", "_")


def proposals(latex: str) -> Iterator[str]:
    """Yield repaired forms of a formula, each once, the likeliest first."""
    if len(latex) > LONGEST:
        return
    yield from islice((text for text in dict.fromkeys(_search(latex)) if text != latex), PROPOSALS)


def _search(latex: str) -> Iterator[str]:
    """Yield forms without defects, by fewer edits first, then what small edits make of them."""
    clean = _NO_TEXT.sub("", latex)
    beam, sound = list(dict.fromkeys([_FENCE.sub(r"\1\\\2", clean), clean])), []
    seen = set(beam)
    for _ in range(DEPTH + 1):
        following: list[tuple[int, str]] = []
        for text in beam:
            found = tokens(text)
            wrong = defects(found)
            if not wrong:
                sound.append(text)
                yield text
                continue
            for changed in _mended(found, wrong):
                if changed not in seen:
                    seen.add(changed)
                    following.append((len(defects(tokens(changed))), changed))
            if len(following) > 8 * BEAM:
                break
        least = min((count for count, _ in following), default=0)
        beam = [text for count, text in following if count == least][:BEAM]
    for text in sound[:4] or [clean]:
        yield from small_edits(text)
        yield from _joined_commands(tokens(text))


def _mended(found: list[str], wrong: Sequence[Defect]) -> Iterator[str]:
    yield from _joined_commands(found)
    for defect in wrong[:2]:
        if defect.kind == "command":
            yield from _respelled(found, defect.place)
        elif defect.mark == "{":
            yield from _closed_brace(found, defect)
        elif defect.mark == "}":
            yield from _opened_brace(found, defect)
        elif defect.kind == "open":
            yield from _closed_fence(found, defect)
        else:
            yield from _opened_fence(found, defect)


def _with(found: list[str], place: int, new: str, drop: int = 0) -> str:
    """Return the formula with tokens put in (or in the place of `drop` tokens)."""
    return "".join((*found[:place], new, *found[place + drop :]))


def _respelled(found: list[str], place: int) -> Iterator[str]:
    for whole, covered in cut_commands(found, place):
        yield _command(found, place, rf"\{whole}", covered)
    for word in near_commands(found[place][1:]):
        yield _command(found, place, word, 1)


def _command(found: list[str], place: int, command: str, covered: int) -> str:
    following = found[place + covered] if place + covered < len(found) else ""
    return _with(found, place, command + (" " if following[:1].isalpha() else ""), covered)


def _joined_commands(found: list[str]) -> Iterator[str]:
    r"""Yield the formula with a command joined that a space cuts, also where its first part is one, `\le ft`."""
    for place, token in enumerate(found[:-2]):
        if token[:1] == "\\" and token[1:].isalpha() and found[place + 1].isspace():
            yield from (_command(found, place, rf"\{whole}", covered) for whole, covered in cut_commands(found, place))


def _level(found: list[str], start: int, stop: int) -> Iterator[int]:
    """Yield the token places from start to stop that are not inside a deeper group."""
    depth = 0
    for place in range(start, stop):
        if found[place] == "}":
            depth -= 1
        if depth == 0:
            yield place
        if found[place] == "{":
            depth += 1


def _closed_brace(found: list[str], defect: Defect) -> Iterator[str]:
    start, stop = defect.place + 1, defect.limit
    places = [place for place in _level(found, start + 1, stop)] + [stop]
    before = next((token for token in reversed(found[: defect.place]) if not token.isspace()), "")
    ranked = sorted(dict.fromkeys(places), key=lambda place: _closing_rank(found, before, start, place, stop))
    for place in ranked[:20]:
        yield _with(found, place, "}")
    yield _with(found, defect.place, "", 1)


def _closing_rank(found: list[str], before: str, start: int, place: int, stop: int) -> tuple[int, int]:
    """Return how well a closing brace fits before the token at `place`; low is good."""
    following = found[place] if place < stop else ""
    inside = [token for token in found[start:place] if not token.isspace()]
    previous = inside[-1] if inside else ""
    if following == "{" and (previous in _SCRIPTS or (previous[:1] == "\\" and previous[1:].isalpha())):
        return (9, place)  # that group belongs to what stands before it
    if before in _SCRIPTS and following in _SCRIPTS and following != before:
        return (0, place)
    if before in _SCRIPTS:
        whole = len(inside) == 1 or (len(inside) == 2 and inside[0] in "+-")
        number = all(token.isdigit() or token in "+-." for token in inside) and not following.isdigit()
        return (0 if number else 1 if whole else 2 if following in _RELATIONS or not following else 3, place)
    if before in TEXT_COMMANDS:
        plain = all((len(token) == 1 and token.isalpha()) or token.isspace() for token in found[start:place])
        beyond = found[place + 1] if following.isspace() and place + 1 < stop else following
        ends = not (len(beyond) == 1 and beyond.isalpha())
        return (0 if plain and ends else 1 if not following else 2, place)
    if following == "{" and before in TWO_ARGUMENTS:
        return (0, place)
    if not following:
        return (1, place)
    return (2 if following in _RELATIONS else 3, -place if following in _RELATIONS else place)


def _opened_brace(found: list[str], defect: Defect) -> Iterator[str]:
    places = list(_level_backwards(found, defect.limit, defect.place))
    wants = [place for place in places if place and (found[place - 1] in _SCRIPTS or found[place - 1][1:].isalpha())]
    wants = [place for place in wants if found[place - 1][:1] == "\\" or found[place - 1] in _SCRIPTS]
    for place in [*wants[:12], *places[:6]]:
        yield _with(found, place, "{")
    yield _with(found, defect.place, "", 1)
    if defect.limit in places:
        yield _with(found, defect.limit, "{")


def _level_backwards(found: list[str], start: int, stop: int) -> Iterator[int]:
    depth = 0
    for place in range(stop - 1, start - 1, -1):
        if found[place] == "}":
            depth += 1
        elif found[place] == "{":
            depth -= 1
        if depth == 0 and found[place] not in _SCRIPTS and not found[place].isspace():
            yield place


def _delimiter(token: str) -> str:
    return token.removeprefix(r"\left").removeprefix(r"\right").strip()


def _closed_fence(found: list[str], defect: Defect) -> Iterator[str]:
    if defect.mark.startswith(r"\begin"):
        yield _with(found, defect.limit, rf"\end{{{environment(defect.mark)}}}")
        yield _with(found, defect.place, "", 1)
        return
    own = _delimiter(defect.mark)
    partner = PARTNERS.get(own, "")
    depth = 0
    closing = []
    for place in _level(found, defect.place + 1, defect.limit):
        token = found[place]
        depth += token == own and own != partner
        if token == partner:
            closing.append((depth != 0, place))
            depth = max(0, depth - 1)
    for deeper in (False, True):
        for inside, place in closing[:8]:
            if inside == deeper:
                yield _with(found, place, r"\right" + partner, 1)
        if not deeper:
            if not own:
                yield _with(found, defect.place, r"\left.", 1)
            yield _with(found, defect.limit, rf"\right{partner or '.'}")
    yield _with(found, defect.place, own, 1)


def _opened_fence(found: list[str], defect: Defect) -> Iterator[str]:
    if defect.mark.startswith(r"\end"):
        yield _with(found, defect.limit, _begin(environment(defect.mark), found[defect.limit : defect.place]))
        yield _with(found, defect.place, "", 1)
        return
    own = _delimiter(defect.mark)
    opening = next((key for key, value in PARTNERS.items() if value == own), "")
    for place in _level_backwards(found, defect.limit, defect.place):
        if found[place] == opening:
            yield _with(found, place, r"\left" + opening, 1)
    if not own:
        yield _with(found, defect.place, r"\right.", 1)
    yield _with(found, defect.limit, rf"\left{opening or '.'}")
    yield _with(found, defect.place, own, 1)


def _begin(name: str, body: Sequence[str]) -> str:
    if name != "array":
        return rf"\begin{{{name}}}"
    text = "".join(body)
    columns = 1 + max((row.count("&") for row in text.split(r"\\")), default=0)
    return r"\begin{array}" if text.lstrip().startswith("{") else rf"\begin{{array}}{{{'l' * columns}}}"


_EDITS: Iterable[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\^(?:\s*\^)+"), "^"),
    (re.compile(r"_(?:\s*_)+"), "_"),
    (re.compile(r"[\^_](?=\s*(?:[\^_}&)]|\\\\|\\end|\\right|\Z))"), ""),
    (re.compile(r"(?<!\\)#"), r"\\#"),
    (re.compile(r"(?<!\\)&"), ""),
    (re.compile(r"(?:\\\\|\\)\s*\Z"), ""),
    (re.compile(r"(?<!\\)\$"), ""),
    (re.compile(r"\\(?=\d)"), ""),
    (re.compile(r"\\(?:nonumber|notag|label\{[^{}]*\})"), ""),
]
"""Marks that stand where they cannot stand -> what takes their place."""


def small_edits(latex: str) -> Iterator[str]:
    """Yield the formula with one kind of stray mark removed, then with all of them removed."""
    every = latex
    for pattern, new in _EDITS:
        changed = pattern.sub(new, latex)
        if changed != latex:
            yield changed
        every = pattern.sub(new, every)
    if every != latex:
        yield every
