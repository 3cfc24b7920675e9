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
from functools import partial

from rewards.equivalence import text_answers
from rewards.equivalence.chemistry import same_chemistry
from rewards.equivalence.clock import same_time
from rewards.equivalence.containers import is_uncertain
from rewards.equivalence.equations import is_label, same_equations
from rewards.equivalence.evaluation import comparison_budget
from rewards.equivalence.intervals import has_relation
from rewards.equivalence.left_sides import value_of_container, without_words
from rewards.equivalence.members import Members
from rewards.equivalence.normalize import encloses, parted, split_top
from rewards.equivalence.numbers import based, cents_as_dollars, exact_decimals, other_currency, spelled_number
from rewards.equivalence.numeric_equivalence import (
    Comparison,
    EquivalenceConfig,
    same_formula,
)
from rewards.equivalence.piecewise import branches, same_branches, same_by_cases, system
from rewards.equivalence.quantities import is_compound
from rewards.equivalence.relations import Relations
from rewards.equivalence.remarks import compatible
from rewards.equivalence.sets import as_union, same_builders, same_set, without_exceptions
from rewards.equivalence.shapes import spelled_alike
from rewards.equivalence.tokens import UnreadableFormula
from rewards.equivalence.values import Values
from rewards.equivalence.wrappers import without_mark

MAX_DEPTH, MAX_ANSWER_CHARS = 4, 8_000
_UNDEFINED = re.compile(r"\\frac\s*\{[^{}]*\}\s*\{\s*0\s*\}|\d\s*/\s*0(?![\d.])|\bnan\b", re.IGNORECASE)
_DECLARED = re.compile(
    r"([A-Za-z])\s*(?:\\in|∈)\s*(?:\\mathbb\s*\{?\s*)?[ZNℤℕ]|integers?\s*\}?\s*\$?([A-Za-z])\b|"
    r"\b([a-z])\b[\s}$]*(?:\\text\s*\{)?\s*(?:is|are)\s+(?:any\s+|an?\s+|arbitrary\s+)*integers?"
)
_BLANK = re.compile(r"(?<!\d)\s+|\s+(?!\d)")  # a blank between digits is one between two numbers
_COMMA = re.compile(r"(-?\d+),((?!\d{3}(?!\d))\d+)(?![\d,.])|(-?0),(\d+)(?![\d,.])")
_SURE_COMMA = re.compile(r"-?\d+,0\d+")  # no member of a list begins with a zero
_CLOCK = re.compile(r"0\d+")
_POINT_NAME = re.compile(r"[A-Z]'?\s*(?=\()")
_HOLDS_EMPTY = re.compile(r"\\?\{\s*(?:\\emptyset|\\varnothing|∅)\s*\\?\}")


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
    except (UnreadableFormula, RecursionError, ArithmeticError, LookupError, TypeError, ValueError):
        return False


class _AnswerComparison:
    def __init__(self, comparison: Comparison, declared: frozenset[str]) -> None:
        self.comparison, self.depth = comparison, 0
        self.values = Values(comparison, declared)
        self.members = Members(self.is_equivalent, comparison)
        self.relations = Relations(self.is_equivalent, comparison)

    def marked(self, gold: str, predicted: str) -> bool:
        """Return whether two tidied answers are equivalent, with or without the mark of an option before one of them."""
        if self.is_equivalent(gold, predicted):
            return True
        plain = without_mark(gold), without_mark(predicted)
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
        gold, predicted = spelled_alike(gold, predicted), spelled_alike(predicted, gold)
        if (built := same_builders(gold, predicted, self.is_equivalent)) is not None:
            return built
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
            return self.values.same(a, b)
        worded = text_answers.is_words(gold), text_answers.is_words(predicted)
        if all(worded):
            return text_answers.same_words(gold, predicted) or (
                _is_short(gold, predicted) and self.values.same(gold, predicted)
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
        areas = self.relations.same(gold, predicted)
        if areas:
            return True
        sets = same_set(gold, predicted)
        if sets is not None or areas is not None:
            return bool(sets)
        if any(worded):
            return self.worded(gold, predicted) if not has_relation(gold + predicted) else False
        pointed = _with_points(gold, predicted)
        if pointed is not None and self.values.same(*pointed):
            return True
        if is_compound(gold) != is_compound(predicted) and self.values.quantities(gold, predicted):
            return True
        if _as_many_matrices(gold, predicted) and self.same_matrices(gold, predicted):
            return True
        parts = self.members.same(*_without_label(gold, predicted))
        if parts is not None:
            return parts
        # Lists come before equations: `x = 1, y = 2` is two equations, not a chain of three members.
        sides = split_top(gold, "="), split_top(predicted, "=")
        if len(sides[0]) > 1 or len(sides[1]) > 1:
            if not all(map(all, sides)):
                return False
            return same_equations(*sides, partial(self.is_equivalent, in_list=False), in_list, self.comparison)
        return self.values.same(gold, predicted)

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
        return _is_short(word, other) and self.values.same(gold, predicted)


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
