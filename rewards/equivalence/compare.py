"""Decide whether two answers agree.

What decides, in order: the same text; words; an interval or inequality; parts of a list, vector or matrix; sides of an
equation; quantities with units; formulas by their values. The cheap and certain tests come first, because a formula
that happens to be readable as a quantity must not be compared as one.

Neither side is the measure of the other: `is_equivalent(a, b)` is `is_equivalent(b, a)`. There are three exceptions: a
number as the reference is met by a sum of unknowns that equals it, an equation by the bare list of its solutions, and a
decimal point by a decimal comma.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import partial

from rewards.equivalence import text_answers
from rewards.equivalence.chemistry import same_chemistry
from rewards.equivalence.clock import same_time
from rewards.equivalence.constants import is_constant, same_constant
from rewards.equivalence.containers import MAX_ITEMS, Items, brackets_match, is_uncertain, items
from rewards.equivalence.equations import is_label, name_of, same_equations
from rewards.equivalence.evaluation import comparison_budget, symbols
from rewards.equivalence.free_constants import same_with_constants
from rewards.equivalence.intervals import has_relation, region, same_region, signed
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.left_sides import value_of_container, without_words
from rewards.equivalence.normalize import encloses, parted, split_top, stripped
from rewards.equivalence.numbers import based, cents_as_dollars, exact_decimals, other_currency, spelled_number
from rewards.equivalence.numeric_equivalence import (
    Comparison,
    EquivalenceConfig,
    readings,
    rename,
    same_formula,
    same_trees,
)
from rewards.equivalence.piecewise import branches, same_branches, same_by_cases, system
from rewards.equivalence.quantities import is_compound, quantity, same_quantity
from rewards.equivalence.remarks import compatible
from rewards.equivalence.sets import as_union, same_set, without_exceptions
from rewards.equivalence.tokens import UnreadableFormula
from rewards.equivalence.wrappers import without_option

MAX_DEPTH, MAX_ANSWER_CHARS, MAX_SOLUTIONS = 4, 8_000, 6
_UNDEFINED = re.compile(r"\\frac\s*\{[^{}]*\}\s*\{\s*0\s*\}|\d\s*/\s*0(?![\d.])|\bnan\b", re.IGNORECASE)
_DECLARED = re.compile(
    r"([A-Za-z])\s*(?:\\in|∈)\s*(?:\\mathbb\s*\{?\s*)?[ZNℤℕ]|integers?\s*\}?\s*\$?([A-Za-z])\b|"
    r"\b([a-z])\b[\s}$]*(?:\\text\s*\{)?\s*(?:is|are)\s+(?:any\s+|an?\s+|arbitrary\s+)*integers?"
)
_BLANK = re.compile(r"(?<!\d)\s+|\s+(?!\d)")  # a blank between digits is one between two numbers
_COMMA, _POINT = (
    re.compile(r"(-?\d+),((?!\d{3}(?!\d))\d+)(?![\d,.])|(-?0),(\d+)(?![\d,.])"),
    re.compile(r"-?\d{1,30}\.\d{1,60}"),
)
_SURE_COMMA = re.compile(r"-?\d+,0\d+")  # no member of a list begins with a zero
_CLOCK = re.compile(r"0\d+")
_WHOLE = re.compile(r"-?\d{1,30}")
_POINT_NAME = re.compile(r"[A-Z]'?\s*(?=\()")
_ODD_PART = r"\(\s*\d*\s*[knml]\s*[-+]\s*\d+\s*\)"
_ANGLES = re.compile(
    rf"{_ODD_PART}\s*\\pi|\\pi\s*{_ODD_PART}|\\pi\s*[knml](?![A-Za-z])|(?<![A-Za-z\\])[knml]\s*\\pi(?![A-Za-z])"
)
_HOLDS_EMPTY = re.compile(r"\\?\{\s*(?:\\emptyset|\\varnothing|∅)\s*\\?\}")
_BINOMIAL = "\\binom"
_CHOICES = re.compile(
    r"C_\s*\{?(\w+)\}?\s*\^\s*\{?(\w+)\}?|(?:\{\s*\})?[_^]\s*\{?(\w+)\}?\s*C_?\s*\{?(\w+)\}?|C\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)|"
    r"\{\s*(\w+)\s*\\choose\s*(\w+)\s*\}"
)
_NAMED_TUPLE = re.compile(r"\((.*)\)\s*=\s*(\(.*\))", re.DOTALL)


def is_equivalent(gold: str, predicted: str, config: EquivalenceConfig | None = None) -> bool:
    """Return whether two answers agree.

    Args:
        gold: The reference.
        predicted: The answer.
        config: What counts as equal; that of physics where none is given.

    Returns:
        The decision. It never raises; whatever cannot be read, or costs too much, agrees with nothing but its own text.
    """
    if max(len(gold), len(predicted)) > MAX_ANSWER_CHARS:
        return gold.strip() == predicted.strip() != ""
    gold, predicted = cents_as_dollars(gold, predicted), cents_as_dollars(predicted, gold)
    if other_currency(gold, predicted):
        return False
    comparison = Comparison(config or EquivalenceConfig(), comparison_budget())
    declared = frozenset(
        name for text in (gold, predicted) for groups in _DECLARED.findall(text[:4000]) for name in groups if name
    )
    try:
        (first, remark), (second, other_remark) = parted(gold), parted(predicted)
        periodic = not comparison.config.measured
        first, second = exact_decimals(first, periodic), exact_decimals(second, periodic)
        compared = _AnswerComparison(comparison, declared)
        return compared.marked(first, second) and compatible(remark, other_remark, compared.is_equivalent)
    except (UnreadableFormula, RecursionError, ArithmeticError, TypeError, ValueError):
        return False


class _AnswerComparison:
    def __init__(self, comparison: Comparison, declared: frozenset[str]) -> None:
        self.comparison, self.declared, self.depth = comparison, declared, 0

    def marked(self, gold: str, predicted: str) -> bool:
        """Return whether two tidied answers are equivalent, with or without the mark of an option before one of them."""
        if self.is_equivalent(gold, predicted):
            return True
        plain = without_option(gold), without_option(predicted)
        return (plain[0] == gold) != (plain[1] == predicted) and self.is_equivalent(*plain)

    def is_equivalent(self, gold: str, predicted: str, in_list: bool = False) -> bool:
        """Return whether two tidied answers are equivalent.

        Args:
            gold: The reference, normalized.
            predicted: The extracted answer, normalized.
            in_list: Whether both are members of a list, where the name on the left of an equation must agree.
        """
        if not gold or not predicted or self.depth > MAX_DEPTH:
            return False
        if gold == predicted:
            return not _UNDEFINED.search(gold)
        self.depth += 1
        try:
            return self.compared(gold, predicted, in_list)
        except UnreadableFormula:
            return False
        finally:
            self.depth -= 1

    def compared(self, gold: str, predicted: str, in_list: bool) -> bool:
        if _BLANK.sub("", gold) == _BLANK.sub("", predicted) and not _UNDEFINED.search(gold):
            return True
        if bool(_HOLDS_EMPTY.fullmatch(gold)) != bool(_HOLDS_EMPTY.fullmatch(predicted)):
            return False
        names = text_answers.canonical(gold), text_answers.canonical(predicted)
        if names[0] and names[0] == names[1]:
            return sorted(text_answers.unwrapped(text).strip(" .") for text in (gold, predicted)) != ["NO", "No"]
        if "cases}" in gold + predicted:
            systems = system(gold) or gold, system(predicted) or predicted
            if systems != (gold, predicted):
                return self.is_equivalent(*systems)
            rows = branches(gold), branches(predicted)
            if rows[0] and rows[1] and same_branches(rows[0], rows[1], self.is_equivalent):
                return True
            if rows[0] or rows[1]:
                cases, other = (rows[0], predicted) if rows[0] else (rows[1] or [], gold)
                return same_by_cases(cases, other, self.comparison)
        chemical = same_chemistry(gold, predicted)
        if chemical is not None:
            return chemical
        time = same_time(gold, predicted)
        if time is not None:
            return time
        spelled = [spelled_number(text_answers.unwrapped(text).strip(" .")) for text in (gold, predicted)]
        if spelled.count(None) < 2:
            a, b = (
                text if number is None else str(number) for text, number in zip((gold, predicted), spelled, strict=True)
            )
            return self.values(a, b)
        worded = text_answers.is_words(gold), text_answers.is_words(predicted)
        if all(worded):
            return text_answers.same_words(gold, predicted) or (
                _is_short(gold, predicted) and self.values(gold, predicted)
            )
        # Regions come before lists, since `(0, 1)` next to `0 < x < 1` is an interval, and before equations, since the sides
        # of an inequality are no equal members.
        ratio = self.ratios(gold, predicted)
        if ratio is not None:
            return ratio
        bases = based(gold), based(predicted)
        if bases[0] or bases[1]:
            return bases[0] == bases[1]
        gold, predicted = _without_container_label(gold, predicted), _without_container_label(predicted, gold)
        gold, predicted = without_exceptions(gold), without_exceptions(predicted)
        gold, predicted = as_union(gold, predicted), as_union(predicted, gold)
        if bool(_HOLDS_EMPTY.fullmatch(gold)) != bool(_HOLDS_EMPTY.fullmatch(predicted)):
            return False
        areas = self.regions(gold, predicted)
        if areas:
            return True
        sets = same_set(gold, predicted)
        if sets is not None or areas is not None:
            return bool(sets)
        if any(worded):
            return self.worded(gold, predicted) if not has_relation(gold + predicted) else False
        pointed = _with_points(gold, predicted)
        if pointed is not None and self.values(*pointed):
            return True
        if is_compound(gold) != is_compound(predicted) and self.quantities(gold, predicted):
            return True
        if _as_many_matrices(gold, predicted) and self.same_matrices(gold, predicted):
            return True
        parts = self.structures(*_without_label(gold, predicted))
        if parts is not None:
            return parts
        # Lists come before equations: `x = 1, y = 2` is two equations, not a chain of three members.
        sides = split_top(gold, "="), split_top(predicted, "=")
        if len(sides[0]) > 1 or len(sides[1]) > 1:
            if not all(map(all, sides)):
                return False
            return same_equations(*sides, partial(self.is_equivalent, in_list=False), in_list, self.comparison)
        return self.values(gold, predicted)

    def ratios(self, gold: str, predicted: str) -> bool | None:
        """Compare ratios of as many members by their proportions; None where either is none."""
        if ":" not in gold or ":" not in predicted:
            return None
        sides = split_top(gold, ":"), split_top(predicted, ":")
        if min(map(len, sides)) < 2 or not all(map(all, sides)) or any("=" in part for part in sides[0] + sides[1]):
            return None
        a, b = sides
        if len(a) != len(b) or any(_CLOCK.fullmatch(part) for part in a + b):
            return False
        whole = next((k for k, part in enumerate(a) if part != "0"), 0)
        return all(
            same_formula(f"({x}) ({b[whole]})", f"({y}) ({a[whole]})", self.comparison)
            for x, y in zip(a, b, strict=True)
        )

    def same_matrices(self, gold: str, predicted: str) -> bool:
        """Return whether two formulas with matrices agree, as scaled, added or multiplied out."""
        try:
            return same_formula(gold, predicted, self.comparison)
        except UnreadableFormula:
            return False

    def worded(self, gold: str, predicted: str) -> bool:
        r"""Compare words with no words.

        Only labels such as `R = 1 \text{...}` remain, which tidying has taken off.
        """
        word, other = (gold, predicted) if text_answers.is_words(gold) else (predicted, gold)
        if split_top(other, "=")[1:]:
            return False
        return _is_short(word, other) and self.values(gold, predicted)

    def values(self, gold: str, predicted: str) -> bool:
        """Compare two single values: quantities, or formulas."""
        a, b = numbers = quantity(gold), quantity(predicted)
        if a is not None and b is not None:
            config = self.comparison.config
            if a.exact and b.exact and not (a.integer and b.integer):
                return same_formula(gold, predicted, self.comparison)
            lenient = not ((a.ambiguous or b.ambiguous) and (a.unit is None or b.unit is None))
            if lenient and same_quantity(a, b, config.measured, config.unit_required, config.rounding):
                return True
            if not (a.ambiguous or b.ambiguous):
                return False
        if sum(number is not None for number in numbers) == 1:
            if self.of_constants(gold, predicted):
                return True
            if any(number and number.unit and not number.ambiguous for number in numbers):
                return False
        if _BINOMIAL in gold + predicted:
            gold, predicted = as_binomial(gold), as_binomial(predicted)
        return (
            same_formula(gold, predicted, self.comparison)
            or self.same_family(gold, predicted)
            or same_with_constants(gold, predicted, self.comparison)
        )

    def quantities(self, gold: str, predicted: str) -> bool:
        """Return whether both sides are numbers with units, and agree."""
        return quantity(gold) is not None and quantity(predicted) is not None and self.values(gold, predicted)

    def of_constants(self, gold: str, predicted: str) -> bool:
        """Return whether a formula of physical constants has the other side's value."""
        formula, number = (predicted, quantity(gold)) if quantity(gold) is not None else (gold, quantity(predicted))
        if number is None or not self.comparison.config.measured:
            return False
        try:
            trees = [trees[0] for trees in readings(formula)]
        except UnreadableFormula:
            return False
        return any(
            is_constant(tree) and same_constant(tree, number, self.comparison.budget, measured=True) for tree in trees
        )

    def same_family(self, gold: str, predicted: str) -> bool:
        r"""Return whether two formulas agree but for one letter: `\pi k`, `\pi n`."""
        if not self.declared and not (_ANGLES.search(gold) and _ANGLES.search(predicted)):
            return False
        for a, b in readings(gold, predicted):
            own = symbols(a) - symbols(b), symbols(b) - symbols(a)
            if len(own[0]) == len(own[1]) == 1 and (
                (own[0] | own[1]) & self.declared or symbols(a) | symbols(b) == own[0] | own[1]
            ):
                table = {name: Node("symbol", (), "n") for names in own for name in names}
                if "n" in (symbols(a) | symbols(b)) - own[0] - own[1]:
                    continue
                if same_trees(rename(a, table), rename(b, table), self.comparison):
                    return True
        return False

    def regions(self, gold: str, predicted: str) -> bool | None:
        """Compare as intervals and inequalities where either is one.

        None where neither is.
        """
        found = region(gold), region(predicted)
        if found[0] is None and found[1] is None:
            return self.relations(gold, predicted) if has_relation(gold) and has_relation(predicted) else None
        first = found[0] or region(gold, interval=True)
        second = found[1] or region(predicted, interval=True)
        if first is None or second is None:
            return self.relations(gold, predicted) if has_relation(gold) and has_relation(predicted) else False
        return same_region(first, second, self.end)

    def end(self, gold: str, predicted: str) -> bool:
        return self.is_equivalent(stripped(gold), stripped(predicted))

    def relations(self, gold: str, predicted: str) -> bool:
        """Compare chains of inequalities member by member, read in one direction."""
        chains = [re.split(r"([<>≤≥≠∈])", signed(text)) for text in (gold, predicted)]
        for index, chain in enumerate(chains):
            if all(sign in ">≥" for sign in chain[1::2]):
                flipped = [{">": "<", "≥": "≤"}.get(part, part) for part in chain[::-1]]
                chains[index] = flipped
        if chains[0][1::2] != chains[1][1::2]:
            return False
        pairs = list(zip(chains[0][::2], chains[1][::2], strict=True))
        if all(self.is_equivalent(stripped(a), stripped(b)) for a, b in pairs):
            return True
        return len(pairs) == 2 and self.same_half_plane(
            *[stripped(part) for part in (*chains[0][::2], *chains[1][::2])]
        )

    def same_half_plane(self, a: str, b: str, c: str, d: str) -> bool:
        """Return whether `a < b` and `c < d` are the same condition.

        They are where `b - a` and `d - c` have one positive ratio at all points.
        """
        from rewards.equivalence.numeric_equivalence import points

        for trees in readings(a, b, c, d):
            first, second = (Node("add", (x, Node("neg", (y,)))) for x, y in (trees[:2], trees[2:]))
            pairs = points(first, second, self.comparison)
            if symbols(first) == symbols(second) and symbols(first) and all(x and y for x, y in pairs):
                ratios = [x / y for x, y in pairs]
                if ratios[0] > 0 and all(abs(ratio - ratios[0]) < 1e-15 * abs(ratio) for ratio in ratios):
                    return True
        return False

    def structures(self, gold: str, predicted: str) -> bool | None:
        """Compare by parts where either answer has several; None where neither has."""
        named = [_named_tuple(text) for text in (gold, predicted)]
        first, second = (found or items(text) for found, text in zip(named, (gold, predicted), strict=True))
        first, second = _without_conditions(first, second), _without_conditions(second, first)
        if len(first.parts) == 1 and len(second.parts) == 1:
            if first.parts[0] != gold or second.parts[0] != predicted:
                return self.is_equivalent(first.parts[0], second.parts[0])
            return None
        if max(len(first.parts), len(second.parts)) > MAX_ITEMS:
            return False
        if len(first.parts) != len(second.parts):
            return (
                self.repeated(first, second)
                or self.solved(first, second)
                or self.components(gold, predicted, first, second)
            )
        if not brackets_match(first, second):
            return False
        ordered = first.ordered or second.ordered or "matrix" in first.kind or _positional(first, second)
        return self.matched(_by_name(first, second), _by_name(second, first), ordered)

    def solved(self, first: Items, second: Items) -> bool:
        """Return whether one side is an equation and the other the list of all its solutions."""
        equation, listed = (first, second) if len(first.parts) == 1 else (second, first)
        sides = split_top(equation.parts[0], "=")
        if len(equation.parts) > 1 or len(sides) != 2 or listed.kind not in ("", "{}"):
            return False
        solutions = [split_top(part, "=") for part in listed.parts]
        if listed.kind or any(len(one) != 2 for one in solutions) or len({one[0] for one in solutions}) > 1:
            solutions = _named_alike(solutions, sides) if equation is first else []
        if not solutions:
            return False
        name = solutions[0][0]
        if (
            any(one[0] != name for one in solutions)
            or "(" in name
            or sides[0] == name
            or len(solutions) > MAX_SOLUTIONS
            or not all(map(all, solutions))
        ):
            return False
        product = "".join(f"({name} - ({value}))" for name, value in solutions)
        return same_equations([product, "0"], sides, partial(self.is_equivalent, in_list=False), False, self.comparison)

    def repeated(self, first: Items, second: Items) -> bool:
        """Return whether two lists differ in length only because one repeats a member."""
        if (
            first.ordered
            or second.ordered
            or "matrix" in first.kind + second.kind
            or 1 in (len(first.parts), len(second.parts))
        ):
            return False
        longer, shorter = sorted((first.parts, second.parts), key=len, reverse=True)
        return all(any(self.is_equivalent(a, b, in_list=True) for b in shorter) for a in longer) and all(
            any(self.is_equivalent(a, b, in_list=True) for a in longer) for b in shorter
        )

    def components(self, gold: str, predicted: str, first: Items, second: Items) -> bool:
        r"""Compare components with unit vectors, `(2, 3)` and `2\hat{i} + 3\hat{j}`."""
        if len(first.parts) == 1 and len(second.parts) in (2, 3) and second.ordered:
            vector, listed = gold, second
        elif len(second.parts) == 1 and len(first.parts) in (2, 3) and first.ordered:
            vector, listed = predicted, first
        else:
            return False
        vector = split_top(vector, "=")[-1]
        if "hat" not in vector and "math" not in vector and "vec" not in vector:
            return False
        spelled = " + ".join(f"({part}) \\hat{{{axis}}}" for part, axis in zip(listed.parts, "ijk", strict=False))
        return same_formula(vector, spelled, self.comparison)

    def matched(self, gold: list[str], predicted: list[str], ordered: bool) -> bool:
        if ordered:
            if _same_places(gold, predicted):
                return True
            return all(self.is_equivalent(a, b, in_list=True) for a, b in zip(gold, predicted, strict=True))
        left = list(predicted)
        for part in gold:
            hit = next((candidate for candidate in left if self.is_equivalent(part, candidate, in_list=True)), None)
            if hit is None:
                return False
            left.remove(hit)
        return True


def _named_alike(solutions: list[list[str]], equation: list[str]) -> list[list[str]]:
    """Return solutions that are bare, or named by indices, under the only unknown of an equation; none for others."""
    trees = readings(*equation)[0]
    unknowns = set().union(*map(symbols, trees))
    if len(unknowns) != 1 or any(len(one) > 2 for one in solutions):
        return []
    unknown = unknowns.pop()
    names = [one[0] for one in solutions if len(one) == 2]
    indexed = [re.fullmatch(r"(.+)_\{?\d\}?", name) for name in names]
    plain = all(name == unknown for name in names)
    if not plain and not (len(set(names)) == len(solutions) and all(one and one[1] == unknown for one in indexed)):
        return []
    return [[unknown, one[-1]] for one in solutions]


def as_binomial(text: str) -> str:
    r"""Write `C_n^k`, `{}_nC_k` and `C(n, k)` as `\binom{n}{k}`; only for use next to one."""
    return _CHOICES.sub(lambda match: "\\binom" + "".join(f"{{{part}}}" for part in match.groups() if part), text)


def _as_many_matrices(gold: str, predicted: str) -> bool:
    """Return whether both sides hold as many matrices and inverses, so that none is left to be worked out."""
    return all(gold.count(mark) == predicted.count(mark) for mark in ("\\begin{", "}^{-1}")) and "\\begin{" in gold


def _without_label(gold: str, predicted: str) -> tuple[str, str]:
    r"""Drop a label, as of `\vec{v} = (1, 2)`, where the other side has none."""
    plain = []
    for text, other in ((gold, predicted), (predicted, gold)):
        if (point := _POINT_NAME.match(text)) and encloses(other) and encloses(text[point.end() :]) and "," in text:
            plain.append(text[point.end() :])
            continue
        sides = split_top(text, "=")
        labeled = len(sides) == 2 and "=" not in other and encloses(sides[1]) and is_label(sides[0])
        plain.append(sides[1] if labeled else text)
    return plain[0], plain[1]


def _without_container_label(text: str, other: str) -> str:
    """Return a matrix, a set or an interval without the name before it, where the other side has none."""
    if "=" in other or ":" in other:
        return text
    return value_of_container(text) or without_words(text)


def _same_places(gold: list[str], predicted: list[str]) -> bool:
    """Return whether the longer decimals of one side round to those of the other, at one number of places."""
    if not all(_POINT.fullmatch(part) or _WHOLE.fullmatch(part) for part in gold + predicted):
        return False
    places = [max(len(part.partition(".")[2]) for part in side) for side in (gold, predicted)]
    fewest = min(places)
    if fewest < 3 or places[0] == places[1]:
        return False
    half = Fraction(500_001, 1_000_000) / 10**fewest
    return all(abs(Fraction(a) - Fraction(b)) <= half for a, b in zip(gold, predicted, strict=True))


def _without_conditions(listed: Items, other: Items) -> Items:
    """Drop inequalities that state where a formula holds, next to one without."""
    if listed.kind or len(listed.parts) < 2 or len(other.parts) > 1 or has_relation(other.parts[0]):
        return listed
    kept = tuple(part for part in listed.parts if not has_relation(part))
    return Items("", kept) if len(kept) == 1 else listed


def _named_tuple(text: str) -> Items | None:
    """`(x, y) = (1, 2)` as the members `x = 1`, `y = 2`."""
    match = _NAMED_TUPLE.fullmatch(text.strip())
    if not match or not encloses(f"({match.group(1)})") or not encloses(match.group(2)):
        return None
    values = items(match.group(2))
    names = split_top(match.group(1), ",;")
    if len(names) != len(values.parts) or len(names) < 2:
        return None
    return Items("()", tuple(f"{name}={value}" for name, value in zip(names, values.parts, strict=True)))


def _positional(first: Items, second: Items) -> bool:
    """Return whether order matters between `a = 1, b = 2` and `1, 2`.

    One side names different variables, the other none.
    """
    named = [
        [name_of(split_top(part, "=")[0]) if "=" in part else None for part in side.parts] for side in (first, second)
    ]
    for mine, other in (named, named[::-1]):
        letters = [name for name in mine if name]
        if len(letters) == len(mine) and len(set(letters)) == len(letters) and not any(other):
            return True
    return False


def _by_name(side: Items, other: Items) -> list[str]:
    """Return the parts of a list; `y = 4, x = 3` in the order of its letters next to a tuple."""
    parts = list(side.parts)
    names = [split_top(part, "=")[0] for part in parts if "=" in part]
    if side.kind or other.kind != "()" or len(set(names)) < len(parts) or any("=" in part for part in other.parts):
        return parts
    return sorted(parts) if all(len(name) == 1 and name.isalpha() for name in names) else parts


def _is_short(*texts: str) -> bool:
    """Return whether a text may be a product of letters as well as words (`abc`)."""
    return all(len(text) <= 4 and " " not in text for text in texts)


def _with_points(gold: str, predicted: str) -> tuple[str, str] | None:
    """Return both answers with a decimal point where one has a comma for it; else None.

    A comma of the answer is one if the reference has the same digits with a point. The reverse does not hold: a reference
    `8,3` may be a list, and then 8.3 is wrong.
    """
    if _SURE_COMMA.fullmatch(gold):
        return gold.replace(",", "."), predicted
    comma = _COMMA.match(predicted)
    if comma is None or "," in gold:
        return None
    number = f"{comma[1] or comma[3]}.{comma[2] or comma[4]}"
    if not gold.startswith(number) or gold[len(number) :][:1].isdigit():
        return None
    return gold, number + predicted[comma.end() :]


__all__ = ["EquivalenceConfig", "is_equivalent", "is_uncertain"]
