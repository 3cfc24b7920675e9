r"""Know LaTeX formulas well enough to say what is broken in one: its tokens, its commands, its defects.

`defects(r"\frac{a{b}")` names an opening brace without its partner. A parser decides whether a formula is broken; defects
only say where a repair may begin. They are cheap, and a formula without defects may still not parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_COMMANDS = """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho varrho sigma
    varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega digamma aleph
    hbar hslash ell wp Re Im partial nabla infty emptyset varnothing forall exists nexists neg lnot top bot angle
    measuredangle triangle bigtriangleup square blacksquare Box Diamond diamond star bigstar prime backprime flat natural
    sharp imath jmath degree cdot times div pm mp ast circ bullet oplus ominus otimes oslash odot cap cup sqcap sqcup uplus
    vee wedge lor land setminus wr amalg dagger ddagger bigcirc leq le geq ge neq ne equiv sim simeq approx cong propto
    prec succ preceq succeq ll gg lll ggg subset supset subseteq supseteq nsubseteq subsetneq in notin ni mid nmid parallel
    perp vdash dashv models asymp doteq lesssim gtrsim leqslant geqslant triangleq therefore because leftarrow gets
    rightarrow to leftrightarrow Leftarrow Rightarrow Leftrightarrow mapsto longmapsto hookleftarrow hookrightarrow uparrow
    downarrow updownarrow Uparrow Downarrow longleftarrow longrightarrow Longleftarrow Longrightarrow longleftrightarrow
    Longleftrightarrow iff implies impliedby nearrow searrow swarrow nwarrow rightleftharpoons leftrightharpoons
    rightharpoonup rightharpoondown leftharpoonup rightrightarrows rightleftarrows leadsto xrightarrow xleftarrow
    xleftrightarrow sum prod coprod int iint iiint oint bigcap bigcup bigvee bigwedge bigoplus bigotimes sin cos tan cot
    sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp lim limsup liminf max min sup inf det dim ker deg gcd
    hom arg Pr mod bmod pmod frac dfrac tfrac cfrac sqrt binom dbinom tbinom choose over stackrel overset underset
    overbrace underbrace overline underline overrightarrow overleftarrow overleftrightarrow widehat widetilde hat check
    breve acute grave tilde bar vec dot ddot dddot mathring boxed cancel bcancel xcancel phantom hphantom vphantom substack
    sideset not mathrm mathbf mathit mathsf mathtt mathcal mathbb mathfrak mathscr boldsymbol bm text textrm textbf textit
    textsf texttt textup mbox hbox operatorname mathop mathbin mathrel mathord mathopen mathclose mathpunct mathnormal rm
    bf it cal displaystyle textstyle scriptstyle scriptscriptstyle limits nolimits left right middle big Big bigg Bigg bigl
    bigr Bigl Bigr biggl biggr Biggl Biggr bigm lbrace rbrace lbrack rbrack langle rangle lfloor rfloor lceil rceil vert
    Vert lvert rvert lVert rVert backslash begin end quad qquad hspace vspace mspace hskip kern mkern enspace thinspace
    space hfill hline nonumber notag label tag ref eqref ldots cdots vdots ddots dots dotsc dotsb hdots colon color
    textcolor SI si num unit ce pu qty smash intertext cr newline aa AA S P copyright
"""
COMMANDS = frozenset(_COMMANDS.split())
"""Commands of LaTeX, amsmath, siunitx and mhchem that occur in scientific text."""

_TWO_ARGUMENTS = "frac dfrac tfrac cfrac binom dbinom tbinom overset underset stackrel textcolor SI qty sideset"
TWO_ARGUMENTS = frozenset(rf"\{name}" for name in _TWO_ARGUMENTS.split())
_TEXT = "text textrm textbf textit textsf textup mbox mathrm mathbf mathit mathsf mathcal mathbb operatorname"
TEXT_COMMANDS = frozenset(rf"\{name}" for name in _TEXT.split())

_TOKEN = re.compile(
    r"\\(?:begin|end)\s*\{[A-Za-z]+\*?\}"
    r"|\\(?:left|right)(?![A-Za-z])\s*(?:\\[A-Za-z]+|\\.|[^\\\s{}&^_])?"
    r"|\\[A-Za-z]+|\\.|\s+|.",
    re.DOTALL,
)
PARTNERS = {"(": ")", "[": "]", r"\{": r"\}", r"\lbrack": r"\rbrack", r"\langle": r"\rangle", "|": "|", r"\|": r"\|"}


class Defect(NamedTuple):
    """Something in a formula that has no partner or is no command.

    Attributes:
        kind: `open` or `close` (no partner), or `command` (unknown, and one that is known is near).
        mark: The token: `{`, `}`, one with `left`, `right`, `begin` or `end`, or the command.
        place: Index of the token.
        limit: Index of the token up to which (for `close`: from which) its partner may stand.
    """

    kind: str
    mark: str
    place: int
    limit: int


def tokens(latex: str) -> list[str]:
    """Return the tokens of a formula; joined they are the formula."""
    return _TOKEN.findall(latex)


def defects(found: list[str]) -> list[Defect]:
    """Return what has no partner, and the commands that look misspelled, in order."""
    stack: list[int] = []
    result: list[Defect] = []
    for place, token in enumerate(found):
        if _opens(token):
            stack.append(place)
        elif _closes(token):
            partner = next((i for i in reversed(range(len(stack))) if _match(found[stack[i]], token)), None)
            # A brace is a wall: what opened before it cannot end behind it.
            wall = next((i for i in reversed(range(len(stack))) if found[stack[i]] == "{"), -1)
            if partner is None or (token != "}" and partner < wall):
                result.append(Defect("close", token, place, stack[-1] + 1 if stack else 0))
                continue
            result += [Defect("open", found[i], i, place) for i in stack[partner + 1 :]]
            del stack[partner:]
        elif token[:1] == "\\" and _is_misspelled(found, place):
            result.append(Defect("command", token, place, place))
    result += [Defect("open", found[i], i, len(found)) for i in stack]
    return sorted(result, key=lambda defect: defect.place)


def _opens(token: str) -> bool:
    return token == "{" or (token.startswith((r"\begin", r"\left")) and not _is_longer(token, r"\left"))


def _closes(token: str) -> bool:
    return token == "}" or (token.startswith((r"\end", r"\right")) and not _is_longer(token, r"\right"))


def _is_longer(token: str, name: str) -> bool:
    """Return whether a token is another command that begins with the same letters, for example `leftarrow`."""
    return (token.startswith(name) and token[len(name) : len(name) + 1].isalpha()) or token in (r"\endgroup",)


def _match(opening: str, closing: str) -> bool:
    if opening == "{" or closing == "}":
        return opening == "{" and closing == "}"
    if opening.startswith(r"\begin"):
        return closing.startswith(r"\end") and environment(opening) == environment(closing)
    return closing.startswith(r"\right")


def environment(token: str) -> str:
    """Return the name in a `begin` or `end`."""
    return token[token.find("{") + 1 : -1]


def _is_misspelled(found: list[str], place: int) -> bool:
    """Return whether a command is unknown and near to one that is known; other unknown ones are someone's macros."""
    name = found[place][1:]
    if name[:1].isdigit():
        return True
    if not name.isalpha() or name in COMMANDS:
        return False
    return any(True for _ in near_commands(name)) or any(True for _ in cut_commands(found, place))


def cut_commands(found: list[str], place: int) -> Iterator[tuple[str, int]]:
    r"""Yield the whole commands that a digit (`\a1pha`) or a space (`\fr ac`) cuts, with the tokens that they cover."""
    name = found[place][1:]
    gap = int(place + 1 < len(found) and found[place + 1].isspace())
    run = "".join(word_after(found, place + gap))
    for end in range(len(run), 0, -1):
        whole = name + run[:end]
        if gap and whole in COMMANDS:
            yield whole, 2 + end
        elif not gap and any(c.isdigit() for c in whole):
            yield from ((word, 1 + end) for word in unconfused(whole) if word in COMMANDS)


def word_after(found: list[str], place: int) -> list[str]:
    """Return the single letters and digits that follow a token at once, 15 at most."""
    run = []
    for token in found[place + 1 : place + 16]:
        if len(token) != 1 or not (token.isascii() and token.isalnum()):
            break
        run.append(token)
    return run


CONFUSIONS = (
    ("rn", "m"), ("vv", "w"), ("1", "l"), ("0", "o"), ("5", "s"), ("I", "l"), ("l", "i"), ("i", "l"),
    ("ii", "u"), ("c", "e"), ("e", "c"), ("m", "rn"), ("8", "B"), ("9", "g"), ("6", "b"), ("O", "o"),
)  # fmt: skip
"""What recognition writes -> what stood there."""

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def unconfused(name: str) -> Iterator[str]:
    """Yield a name with one kind of confusion, or all digits, taken back."""
    if name[:1] == "0":
        yield "O" + name[1:]
    yield name.translate(str.maketrans("105", "los"))
    yield name.translate(str.maketrans("|!I", "lll"))
    for wrong, right in CONFUSIONS:
        if wrong in name:
            yield name.replace(wrong, right)
            yield name.replace(wrong, right, 1)


@lru_cache(maxsize=4096)
def near_commands(name: str) -> tuple[str, ...]:
    """Return what a misspelled command may stand for, as LaTeX, the likeliest first.

    Letters that change places, look-alikes and single wrong letters lead to a known command; a known command with letters
    glued to it is cut (`alphax` -> `alpha x`).
    """
    found: dict[str, None] = {}
    if len(name) > 2:
        swapped = [name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1)]
        changed = [name[:i] + c + name[i:] for i in range(len(name) + 1) for c in _LETTERS]
        shorter = [name[:i] + name[i + 1 :] for i in range(len(name))]
        replaced = [name[:i] + c + name[i + 1 :] for i in range(len(name)) for c in _LETTERS]
        for group in (swapped, [*unconfused(name)], changed):
            found.update((rf"\{word}", None) for word in group if word in COMMANDS and len(word) > 2)
        for end in range(len(name) - 1, 2, -1):
            if name[:end] in COMMANDS:
                found[rf"\{name[:end]} {name[end:]}"] = None
                break
        for group in (shorter, replaced):
            found.update((rf"\{word}", None) for word in group if word in COMMANDS and len(word) > 3)
    return tuple(found)
