"""Compare equations: named values, chains of equal members, relations of symbols."""

from __future__ import annotations

import re
from collections.abc import Callable

import mpmath

from rewards.equivalence.evaluation import digits_for, symbols
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.left_sides import is_bound, is_closed, is_sum_of_unknowns, names_value, same_text
from rewards.equivalence.normalize import encloses, split_top
from rewards.equivalence.numeric_equivalence import (
    Comparison,
    points,
    readings,
    reconcile,
    rename,
    same_trees,
)
from rewards.equivalence.quantities import quantity
from rewards.equivalence.solutions import same_solutions
from rewards.equivalence.tokens import UnreadableFormula
from rewards.equivalence.working import agrees_with_its_working

_ARGUMENT = r"\s*(?:\\(?:vec|mathbf)\s*\{?\s*)?(?:\\[A-Za-z]+|[A-Za-z]|\d+)\}?(?:_\{?\w+\}?)?'?\s*"
_APPLIED = re.compile(rf"(.+?)\s*\(({_ARGUMENT}(?:,{_ARGUMENT})*)\)\s*")
_WORDY = re.compile(r"(?:\\(?:text|mathrm)\s*\{[^{}]*\}|[A-Za-z][a-z]{2,}[A-Za-z ]*)")
_NAME = re.compile(r"([A-Za-z*+]+)(?:_([^#^]*))?(?:\^\((\w+)\))?(?:#(.*))?$")
_EVENT = re.compile(
    r"(?:\\[A-Za-z]+|[A-Za-z]+)(?:_\{?\w+\}?)?\s*[(\[].*(?:[<>=≤≥|,]|\\(?:to|rightarrow|mid|cap|cup|leq?|geq?|in)(?![a-z])).*[)\]]"
)
_MEASURE = re.compile(
    r"\\text\s*\{\s*(?:the\s+)?(?:area|perimeter|volume|length|measure|circumference|slope)\s+of\s*\}\s*(?:\\(?:triangle|square|angle)\s*)?[A-Z]{1,5}",
    re.IGNORECASE,
)
_CHANGED = re.compile(
    r"\\text\s*\{[^{}]*\b(?:half|twice|double|triple|not|minus|negative|less|more|let|suppose|assume|assuming|if)\b",
    re.IGNORECASE,
)
_ENCLOSED = re.compile(
    r"\\langle(?![a-z])(?:(?!\\[lr]angle).)*\\rangle|[A-Za-z]?\s*\\(?:angle|triangle|overline|widehat)(?![a-z])[^=]*"
)
_TERM = re.compile(r"([-+]?)\s{0,9}(?<![\d.])(\d{1,30}(?:\.\d{0,30})?)\s{0,9}([A-Za-z\\][^\d+-]{0,40})")
_FUNCTION = re.compile(r"[A-Za-z]\s*\(\s*([A-Za-z])\s*\)")
Equal = Callable[[str, str], bool]


def name_of(side: str) -> str | None:
    r"""Return the symbol that a side consists of; None for a formula.

    Examples are `v`, `E_n`, `\psi(x, t)`.
    """
    match = _APPLIED.fullmatch(side.strip())
    if match and "," not in match.group(1):
        side = match.group(1)
    if quantity(side) is not None:
        return None
    try:
        tree = readings(side)[0][0]
    except UnreadableFormula:
        return side.strip() if re.fullmatch(r"\\?[A-Za-z]+", side.strip()) else None
    return tree.text if tree.kind == "symbol" else None


def arguments_of(side: str) -> list[str]:
    """Return the arguments of `f(x, t)`."""
    match = _APPLIED.fullmatch(side.strip())
    return [part.strip() for part in match.group(2).split(",")] if match else []


def is_label(side: str) -> bool:
    """Return whether a left-hand side only names what follows.

    A name is a symbol, words, a length `|AB|`, a ratio or product of symbols; no sum and no number.
    """
    plain = side.strip()
    if _CHANGED.search(plain):
        return False
    if is_bound(plain):
        return names_value(plain)
    if (
        name_of(side)
        or _WORDY.fullmatch(plain)
        or _ENCLOSED.fullmatch(plain)
        or _MEASURE.fullmatch(plain)
        or names_value(plain)
    ):
        return True
    opening = re.search(r"[(\[]", plain)
    if _is_commutator(plain) or (opening and _EVENT.fullmatch(plain) and encloses(plain[opening.start() :])):
        return True
    try:
        return _names_only(readings(side)[0][0])
    except UnreadableFormula:
        return False


def _is_commutator(side: str) -> bool:
    return side[:1] in "[{" and encloses(side) and len(split_top(side[1:-1], ",")) == 2


def _names_only(tree: Node) -> bool:
    if tree.kind == "pow" and tree.parts[0].kind == "abs":
        return _names_only(tree.parts[0])
    if tree.kind in ("symbol", "apply", "infinity"):
        return True
    return tree.kind in ("mul", "div", "abs") and all(map(_names_only, tree.parts))


def same_equations(gold: list[str], predicted: list[str], equal: Equal, in_list: bool, comparison: Comparison) -> bool:
    """Compare the sides of two equations, or of one with a bare value (a single side).

    Args:
        gold: The sides of the reference.
        predicted: The sides of the answer.
        equal: The comparison of two sides.
        in_list: Whether the equations are members of a list, whose names tell members apart and must be there and
            equal.
        comparison: The comparison under way.
    """
    gold, predicted = (_name_first([_gathered(side) for side in sides]) for sides in (gold, predicted))
    gold, predicted = _as_function(gold, predicted), _in_order(_as_function(predicted, gold), gold)
    if len(gold) == 1 or len(predicted) == 1:
        value, chain = (gold[0], predicted) if len(gold) == 1 else (predicted[0], gold)
        if is_label(chain[0]) and _chain_holds(chain[1:], value, equal):
            return True
        if (
            len(gold) == 1
            and quantity(value) is not None
            and _of_unknowns(chain)
            and _chain_holds(chain[1:], value, equal)
        ):
            return True
        followed = agrees_with_its_working(chain, value, equal)
        if followed is not None:
            return followed
        if not is_label(chain[0]) and all(quantity(side) is not None or is_closed(side) for side in chain):
            return all(equal(side, value) for side in chain)
        return len(chain) == 2 and _solves(chain, value, comparison)
    if is_label(gold[0]) and is_label(predicted[0]) and (is_bound(gold[0]) or is_bound(predicted[0])):
        return same_text(gold[0], predicted[0]) and _same_values(gold, predicted, equal)
    names = name_of(gold[0]), name_of(predicted[0])
    if names[0] and names[1]:
        if _contradict(gold[1:], predicted[1:], equal) or _other_names(gold, predicted):
            return False
        if alike(names[0], names[1], in_list) and _same_arguments(gold, predicted, in_list):
            return _same_named(gold, predicted, equal, comparison)
        if quantity(gold[-1]) is not None and quantity(predicted[-1]) is not None:
            return False
    elif (
        is_label(gold[0])
        and is_label(predicted[0])
        and (same_text(gold[0], predicted[0]) or equal(gold[0], predicted[0]))
    ):
        return _same_values(gold, predicted, equal)
    return _same_relation(gold, predicted, comparison)


def _same_values(gold: list[str], predicted: list[str], equal: Equal) -> bool:
    """Return whether two chains state the same behind one left-hand side."""
    if quantity(gold[-1]) is None:
        return _same_members(gold[1:], predicted[1:], equal)
    return _chain_holds(gold[1:], predicted[-1], equal) and _chain_holds(predicted[1:], gold[-1], equal)


def _of_unknowns(chain: list[str]) -> bool:
    """Return whether a chain begins with a sum of unknowns, and goes on with numbers alone: `m + n = 3 + 4 = 7`."""
    return is_sum_of_unknowns(chain[0]) and all(quantity(side) is not None for side in chain[1:])


def _as_function(sides: list[str], other: list[str]) -> list[str]:
    """Return `y = 2x + 1` as `f(x) = 2x + 1` next to a function of one variable, the only one of both formulas."""
    applied = _FUNCTION.fullmatch(other[0].strip())
    if len(sides) != 2 or len(other) != 2 or sides[0].strip() != "y" or applied is None:
        return sides
    try:
        used = [symbols(readings(chain[1])[0][0]) for chain in (sides, other)]
    except UnreadableFormula:
        return sides
    return [other[0], sides[1]] if used == [{applied[1]}, {applied[1]}] else sides


def _in_order(sides: list[str], other: list[str]) -> list[str]:
    """Return `b = a = 5` as `a = b = 5` next to a chain of the same names in that order."""
    names = [[name_of(side) for side in chain[:-1]] for chain in (sides, other)]
    if len(sides) < 3 or None in names[0] or len(set(names[0])) < len(names[0]) or set(names[0]) != set(names[1]):
        return sides
    return [*other[:-1], sides[-1]] if len(names[0]) == len(names[1]) else sides


def _gathered(side: str) -> str:
    """`4 J + 3 J` as `(4+3) J`, a single quantity."""
    terms = _TERM.findall(side)
    if len(terms) < 2 or len({unit.strip() for *_, unit in terms}) > 1:
        return side
    whole = re.sub(r"\s", "", "".join(map("".join, terms))) == re.sub(r"\s", "", side)
    return f"({''.join(sign + digits for sign, digits, _ in terms)}) {terms[0][2]}" if whole else side


def _name_first(sides: list[str]) -> list[str]:
    """`5 = x` as `x = 5`."""
    if len(sides) < 2 or quantity(sides[0]) is None:
        return sides
    return sides[::-1] if name_of(sides[-1]) or is_sum_of_unknowns(sides[-1]) else sides


def _contradict(gold: list[str], predicted: list[str], equal: Equal) -> bool:
    """Return whether two chains have members in the same symbols that differ."""
    if len(gold) + len(predicted) < 3:
        return False
    try:
        names = [[symbols(readings(side)[0][0]) for side in chain] for chain in (gold, predicted)]
    except UnreadableFormula:
        return False
    return any(
        names[0][i] == names[1][j] != set() and not equal(a, b)
        for i, a in enumerate(gold)
        for j, b in enumerate(predicted)
    )


def _other_names(gold: list[str], predicted: list[str]) -> bool:
    """Return whether two chains equate different quantities, as `x = y = 5` and `x = z = 5` do."""
    named = [
        [name for name in map(name_of, chain) if name and name not in arguments_of(chain[0])]
        for chain in (gold, predicted)
    ]
    short, long = sorted(named, key=len)
    return len(short) > 1 and not all(any(alike(name, other, False) for other in long) for name in short)


def alike(first: str, second: str, in_list: bool) -> bool:
    """Return whether two names may mean the same quantity.

    The letter, the derivative and every index are the same; an index that only one side writes is the writer's choice
    (`W`, `W_{max}`), and so is its abbreviation (`T_f`, `T_{final}`). In a list they tell the members apart.
    """
    names = _plain(first), _plain(second)
    if names[0] == names[1]:
        return True
    pieces = [_NAME.match(name) for name in names]
    if in_list or not (pieces[0] and pieces[1]):
        return False
    (letter, index, order, marks), (other, other_index, other_order, other_marks) = (
        [part or "" for part in piece.groups()] for piece in pieces if piece
    )
    if letter != other or not _same_marks(marks, other_marks) or (order and other_order and order != other_order):
        return False
    if not index or not other_index:
        return True
    short, long = sorted((index, other_index), key=len)
    return (len(short) > 1 and short.casefold() == long.casefold()) or (
        short.isalpha() and long.isalpha() and long.startswith(short)
    )


def _same_marks(first: str, second: str) -> bool:
    """Return whether two derivatives are of one order, in the same variables where both name them."""
    if "?" in first + second:
        return first.count("?") + len(re.findall(r"\w+", first)) == second.count("?") + len(re.findall(r"\w+", second))
    return first == second


def _same_arguments(gold: list[str], predicted: list[str], in_list: bool) -> bool:
    """Return whether `P(A)` and `P(B)` name one thing: the arguments are the same, or are variables of both formulas."""
    said = arguments_of(gold[0]), arguments_of(predicted[0])
    if not said[0] or not said[1] or [_plain(one) for one in said[0]] == [_plain(one) for one in said[1]]:
        return True
    if in_list or len(said[0]) != len(said[1]):
        return False
    try:
        used = [set().union(*(symbols(readings(side)[0][0]) for side in chain[1:])) for chain in (gold, predicted)]
        names = [{name_of(one) or one for one in side} for side in said]
    except UnreadableFormula:
        return False
    return names[0] <= used[0] and names[1] <= used[1]


def _plain(name: str) -> str:
    return re.sub(r"[\s{}\\]|vec |hat |mathrm|text", "", name)


def _chain_holds(members: list[str], value: str, equal: Equal) -> bool:
    """Return whether every comparable member of a chain equals a value, one at least.

    The kinds are numbers and formulas: `x = 7 = 8` is not 7.
    """
    numeric = quantity(value) is not None
    comparable = [part for part in members if (quantity(part) is not None) == numeric] or members[-1:]
    comparable = comparable if numeric else comparable[-1:]
    return all(equal(value, part) for part in comparable)


def _same_members(gold: list[str], predicted: list[str], equal: Equal) -> bool:
    """Return whether two chains behind one expression state the same equalities, member by member."""
    return all(any(equal(a, b) for b in predicted) for a in gold) and all(
        any(equal(a, b) for a in gold) for b in predicted
    )


def _same_member(gold: str, predicted: str, equal: Equal) -> bool:
    """Return whether two members of chains of one length agree, names by their rules."""
    names = name_of(gold), name_of(predicted)
    return alike(names[0], names[1], True) if names[0] and names[1] else equal(gold, predicted)


def _same_named(gold: list[str], predicted: list[str], equal: Equal, comparison: Comparison) -> bool:
    dummies = arguments_of(gold[0]), arguments_of(predicted[0])
    if dummies[0] != dummies[1] and len(dummies[0]) == len(dummies[1]) and not (set(dummies[0]) & set(dummies[1])):
        try:
            a, b = readings(gold[-1], predicted[-1])[0]
        except UnreadableFormula:
            return False
        table = {said_name: Node("symbol", (), f"argument {k}") for k, said_name in enumerate(dummies[1])}
        other = {gold_name: Node("symbol", (), f"argument {k}") for k, gold_name in enumerate(dummies[0])}
        return same_trees(rename(a, other), rename(b, table), comparison)
    if quantity(gold[-1]) is None and len(gold) == len(predicted) > 2:
        return all(map(_same_member, gold[1:], predicted[1:], [equal] * len(gold)))
    if _chain_holds(gold[1:], predicted[-1], equal) and _chain_holds(predicted[1:], gold[-1], equal):
        return True
    return any(equal(a, b) for a in gold[1:-1] for b in predicted[-1:]) and _chain_holds(predicted[1:], gold[-1], equal)


def _same_relation(gold: list[str], predicted: list[str], comparison: Comparison) -> bool:
    """Return whether two equations hold at the same places.

    Their residuals have a constant ratio, or each one's solution solves the other.
    """
    for a, b, c, d in readings(gold[0], gold[-1], predicted[0], predicted[-1]):
        first, second = reconcile(Node("add", (a, Node("neg", (b,)))), Node("add", (c, Node("neg", (d,)))))
        if symbols(first) != symbols(second) or not symbols(first):
            continue
        pairs = points(first, second, comparison)
        if any((x == 0) != (y == 0) for x, y in pairs) or all(x == 0 for x, _ in pairs):
            continue
        # `a = b` and `2a - 2b = 0` have residuals of one ratio at every point; equations solved for different symbols do not,
        # so those are compared by their solutions.
        digits = digits_for(first, second)
        with mpmath.workdps(digits):
            ratios = [x / y for x, y in pairs if y]
            limit = mpmath.mpf("1e-8") if comparison.budget.approximate else mpmath.mpf(10) ** (25 - digits)
            if all(abs(ratio - ratios[0]) <= limit * abs(ratios[0]) for ratio in ratios):
                return True
        if same_solutions(first, second, comparison):
            return True
    return False


def _solves(equation: list[str], value: str, comparison: Comparison) -> bool:
    """Return whether a bare formula is what the equation's first symbol equals.

    `y + 1 = 2x` and `2x - 1`.
    """
    if quantity(value) is not None:
        return False
    for left, right, formula in readings(equation[0], equation[1], value):
        if quantity(equation[0]) is not None:
            return False
        unknown = _first_symbol(left)
        if not unknown or unknown in symbols(formula) or symbols(formula) | {unknown} != symbols(left) | symbols(right):
            continue
        table = {unknown: formula}
        if same_trees(rename(left, table), rename(right, table), comparison):
            return True
    return False


def _first_symbol(tree: Node) -> str | None:
    while tree.parts and tree.kind != "symbol":
        tree = tree.parts[0]
    return tree.text if tree.kind == "symbol" else None
