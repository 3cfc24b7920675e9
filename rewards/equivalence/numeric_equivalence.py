r"""Decide whether two formulas agree by their values at random points.

The values have more digits than any number written in the formulas. Algebra would need a normal form for every
function; points need none, and two different formulas agree at random points with a probability that can be neglected.

Symbols are positive under a physics config, so that sqrt(a^2 b^2) is a b as a physicist means it; of either sign under
a mathematics config, where that gives real values. Symbols that only differ in dress (`\vec{F}` and `F`, `k_B` and
`k`) or by a physical law (c^2 = 1 / epsilon_0 mu_0) are reconciled where one side has the one and the other side the
other.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import mpmath

from rewards.equivalence.evaluation import Budget, digits_for, evaluate, fraction_of, has_decimals, sample, symbols
from rewards.equivalence.formulas import read
from rewards.equivalence.latex_parser import TIGHT, Node
from rewards.equivalence.notation import LETTERED, OPAQUE, VARIANTS
from rewards.equivalence.operators import has_matrix, operators_of, same_operators
from rewards.equivalence.quantities import RELATIVE, ROUNDED, Rounding, figures, is_irrational
from rewards.equivalence.tokens import UnreadableFormula, tokens_of

TRIALS = 4
APPROXIMATE = mpmath.mpf(10) ** -8
_SLASHED = re.compile(r"/\s*\\?[A-Za-z]+(?:_\{?\w+\}?)?\s*\\?[A-Za-z]")
_INTEGERS = re.compile(r"(?:n|m|k|l|j|N|p)(?:_\w+)?")


@dataclass(frozen=True)
class EquivalenceConfig:
    """What counts as equal.

    Attributes:
        measured: Allow half a percent between decimals.
        positive: Take symbols as positive.
        unit_required: Refuse a number without the reference's unit.
        negative: Symbols that the problem makes negative.
        integers: Symbols that the problem makes whole.
        rounding: When a decimal stands for an irrational number.
    """

    measured: bool = True
    positive: bool = True
    unit_required: bool = False
    negative: frozenset[str] = frozenset()
    integers: frozenset[str] = frozenset()
    rounding: Rounding = ROUNDED


@dataclass
class Comparison:
    """One comparison under way: its config, what work is left, and whether symbols take values below one."""

    config: EquivalenceConfig = field(default_factory=EquivalenceConfig)
    budget: Budget = field(default_factory=Budget)
    small: bool = False


def function_letters(*texts: str) -> tuple[frozenset[str], bool]:
    """Return letters that name functions, and whether a special function's does.

    A letter names a function where a parenthesis follows wherever it stands.
    """
    applied: set[str] = set()
    bare: set[str] = set()
    indexed: set[str] = set()
    for text in texts:
        tokens = tokens_of(text)
        for index, token in enumerate(tokens):
            name = token.lstrip("\\")
            if name in OPAQUE or name in LETTERED:
                after = index + 1
                while after < len(tokens) and tokens[after] in ("'", "\\prime"):
                    after += 1
                if name in OPAQUE and tokens[after : after + 1] == ["_"]:
                    script, after = _script(tokens, after + 1)
                    if tokens[after : after + 1] == ["("]:
                        indexed.add(f"{VARIANTS.get(name, name)}_{script}")
                    continue
                opened = (
                    after < len(tokens) and tokens[after] == "(" and tokens[index - 1 : index] not in (["_"], ["{"])
                )
                (applied if opened else bare).add(name)
    return frozenset((applied & OPAQUE) - bare) | frozenset(indexed), bool(applied & set(LETTERED))


def _script(tokens: list[str], start: int) -> tuple[str, int]:
    """Return the text of a subscript, and the place behind it."""
    if tokens[start : start + 1] != ["{"]:
        return "".join(tokens[start : start + 1]).lstrip("\\"), start + 1
    end = tokens.index("}", start) if "}" in tokens[start:] else len(tokens)
    return "".join(token.lstrip("\\") for token in tokens[start + 1 : end] if token != ","), end + 1


def readings(*texts: str) -> list[tuple[Node, ...]]:
    """Return the trees of several strings, read alike.

    There is a second reading where letters may name special functions.

    Raises:
        UnreadableFormula: Where a text has no reading.
    """
    letters, special = function_letters(*texts)
    modes = [letters]
    if special:
        modes.append((letters - set(LETTERED)) | frozenset("*" + name for name in LETTERED))
    if any(_SLASHED.search(text) for text in texts):
        modes.append(letters | {TIGHT})
    found, failure = [], UnreadableFormula("no reading")
    for mode in modes:
        try:
            found.append(tuple(read(text, mode) for text in texts))
        except UnreadableFormula as error:
            failure = error
    if not found:
        raise failure
    return found


def same_formula(gold: str, predicted: str, comparison: Comparison) -> bool:
    """Return whether two formulas in TeX agree.

    Args:
        gold: The reference.
        predicted: The extracted answer.
        comparison: The settings and the budget that is left; the call spends from it.

    Raises:
        UnreadableFormula: Where one cannot be read or has no value.
    """
    return any(same_trees(a, b, comparison) for a, b in readings(gold, predicted))


def same_trees(first: Node, second: Node, comparison: Comparison) -> bool:
    """Return whether two trees have the same values."""
    first, second = reconcile(first, second)
    if first == second and not operators_of(first):
        points(first, second, comparison)  # 0/0 equals nothing, not even itself
        return True
    operators = operators_of(first, second)
    if operators or has_matrix(first) or has_matrix(second):
        names = (symbols(first) | symbols(second)) - operators
        return all(
            same_operators(
                first,
                second,
                operators,
                values_at(names, trial, comparison.config),
                comparison.budget,
                trial,
                max(tolerance(first, second, comparison), mpmath.mpf(10) ** -20),
            )
            for trial in range(2)
        )

    def differs(a: Any, b: Any) -> bool:
        return not _agree([(a, b)], tolerance(first, second, comparison))

    with contextlib.suppress(UnreadableFormula):
        if _agree(points(first, second, comparison, until=differs), tolerance(first, second, comparison)):
            return True
    if _series(first) or _series(second):
        with contextlib.suppress(UnreadableFormula):
            if _agree(points(first, second, replace(comparison, small=True), until=differs), APPROXIMATE):
                return True
    whole = {name for name in symbols(first) | symbols(second) if _INTEGERS.fullmatch(name)}
    if not whole or not (_periodic(first) or _periodic(second)):
        return False
    return _agree(points(first, second, comparison, frozenset(whole), differs), tolerance(first, second, comparison))


def _series(tree: Node) -> bool:
    """Return whether a tree has an infinite sum, which may converge for small values only."""
    return (tree.kind == "sum" and tree.parts[2].kind == "infinity") or any(map(_series, tree.parts))


def _agree(pairs: list[tuple[Any, Any]], relative: Any) -> bool:
    return bool(pairs) and all(abs(a - b) <= relative * max(abs(a), abs(b)) for a, b in pairs)


def points(
    first: Node,
    second: Node,
    comparison: Comparison,
    integers: frozenset[str] = frozenset(),
    until: Callable[[Any, Any], bool] | None = None,
) -> list[tuple[Any, Any]]:
    """Return the values of two trees at the same random points.

    Values that vanish next to the precision are zero.

    Args:
        first: Tree of the reference.
        second: Tree of the answer.
        comparison: The settings and the budget that is left; the call spends from it.
        integers: Symbols that stand for whole numbers in this comparison.
        until: Ends the search once it holds of a pair, which is then the last one.

    Returns:
        One pair of values (mpmath numbers) per point.

    Raises:
        UnreadableFormula: A tree has no value at the points.
    """
    names = symbols(first) | symbols(second)
    found: list[tuple[Any, Any]] = []
    digits = digits_for(first, second)
    with mpmath.workdps(digits):
        vanishing = mpmath.mpf(10) ** (20 - digits)
        for trial in range(TRIALS if names else 1):
            values = values_at(names, trial, comparison.config, integers)
            if comparison.small:
                values = {name: value / 4 for name, value in values.items()}
            pair = _at(first, second, values, comparison)
            if pair is not None:
                found.append((0 if abs(pair[0]) < vanishing else pair[0], 0 if abs(pair[1]) < vanishing else pair[1]))
                if until is not None and until(*found[-1]):
                    break
        # Where no point has real values for symbols of either sign, positive symbols are the domain that both sides mean.
        if not found:
            positive = EquivalenceConfig(comparison.config.measured)
            values = values_at(names, 0, positive, integers)
            found = [(evaluate(first, values, comparison.budget), evaluate(second, values, comparison.budget))]
    return found


def _at(first: Node, second: Node, values: Mapping[str, Any], comparison: Comparison) -> tuple[Any, Any] | None:
    """Both values at one point.

    None where the point lies outside a mathematical domain.
    """
    if comparison.config.positive:
        return evaluate(first, values, comparison.budget), evaluate(second, values, comparison.budget)
    try:
        pair = evaluate(first, values, comparison.budget), evaluate(second, values, comparison.budget)
    except UnreadableFormula:
        if comparison.budget.left < 0:
            raise
        return None
    outside = [mpmath.im(value) != 0 for value in pair]
    signed = any(value < 0 for value in values.values())
    return None if (signed and any(outside)) or (values and outside[0] != outside[1]) else pair


def values_at(
    names: set[str], trial: int, config: EquivalenceConfig, integers: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return a value for each symbol under the config, the same in every process.

    Args:
        names: The symbols.
        trial: Number of the point; trial 0 is positive wherever a sign is free.
        config: Which symbols are whole, positive or negative numbers.
        integers: Further symbols that stand for whole numbers.
    """
    found = {}
    for name in names:
        value = sample(name, trial)
        if name in integers or name in config.integers:
            value = mpmath.floor(value * 3) + 1
        elif name in config.negative or (not config.positive and trial and fraction_of(f"sign|{trial}|{name}") < 0.5):
            value = -value
        found[name] = value
    return found


def tolerance(first: Node, second: Node, comparison: Comparison) -> Any:
    """Return the relative difference that decimals or numerical integrals allow."""
    if comparison.budget.approximate:
        return APPROXIMATE
    decimals = has_decimals(first), has_decimals(second)
    if not any(decimals):
        return mpmath.mpf(10) ** (20 - digits_for(first, second)) * 10**5
    if all(decimals):
        return RELATIVE if comparison.config.measured else mpmath.mpf(10) ** -6
    decimal, exact = (first, second) if decimals[0] else (second, first)
    most = max(_figures(decimal))
    if not comparison.config.rounding.allowed and _has_irrational(exact, comparison):
        return mpmath.mpf(10) ** -6 / 2 if most >= 6 else mpmath.mpf(10) ** -25
    return min(RELATIVE, mpmath.mpf(10) ** (1 - most) / 2) if most >= 3 else mpmath.mpf(10) ** -25


def _has_irrational(tree: Node, comparison: Comparison) -> bool:
    r"""Return whether a number in a formula is irrational, as in `2\sqrt{3}x`."""
    if symbols(tree):
        return any(_has_irrational(part, comparison) for part in tree.parts)
    try:
        value = evaluate(tree, {}, comparison.budget)
    except UnreadableFormula:
        return False
    return is_irrational(mpmath.re(value)) or is_irrational(mpmath.im(value))


def _figures(tree: Node) -> list[int]:
    own = [figures(tree.text)] if tree.kind == "number" and "." in tree.text else []
    return own + [count for part in tree.parts for count in _figures(part)]


def _periodic(tree: Node) -> bool:
    """Return whether a tree may depend on its integers being whole.

    Signs to a power, circular functions, factorials.
    """
    if tree.kind == "pow" and tree.parts[0].kind == "neg":
        return True
    return tree.kind in ("sin", "cos", "tan", "factorial", "floor", "ceil", "binomial", "sum", "product") or any(
        map(_periodic, tree.parts)
    )


def rename(tree: Node, names: Mapping[str, Node]) -> Node:
    """Return the tree with some symbols replaced."""
    if tree.kind == "symbol" and tree.text in names:
        return names[tree.text]
    return Node(tree.kind, tuple(rename(part, names) for part in tree.parts), tree.text) if tree.parts else tree


def _symbol(name: str) -> Node:
    return Node("symbol", (), name)


def _laws() -> list[tuple[str, frozenset[str], Node]]:
    """Return symbols, the symbols by which it may be replaced, and the formula."""
    laws = []
    for name, text in (
        ("c", r"\frac{1}{\sqrt{\epsilon_0 \mu_0}}"),
        ("k", r"\frac{1}{4\pi\epsilon_0}"),
        ("k_e", r"\frac{1}{4\pi\epsilon_0}"),
        ("R", r"N_A k_B"),
        ("omega", r"2\pi f"),
        ("mu_B", r"\frac{q \hbar}{2 m_e}"),
    ):
        tree = read(text)
        laws.append((name, frozenset(symbols(tree)), tree))
    return laws


_LAWS = _laws()


def reconcile(first: Node, second: Node) -> tuple[Node, Node]:
    """Return the two trees with symbols that mean the same under one name."""
    first, second = _dated(first, second)
    # Only symbols that one side alone uses may be renamed: `\vec F` and `F` in one formula are two quantities.
    own = symbols(first) - symbols(second), symbols(second) - symbols(first)
    if not own[0] and not own[1]:
        return first, second
    changes: tuple[dict[str, Node], dict[str, Node]] = ({}, {})
    for name in own[0]:
        for other in own[1]:
            if _bare(name) == _bare(other):
                changes[0][name] = changes[1][other] = _symbol(_bare(name))
    for side in (0, 1):
        for name, needed, law in _LAWS:
            if (
                name in own[side]
                and name not in changes[side]
                and (needed & own[1 - side])
                and name not in own[1 - side]
            ):
                changes[side][name] = law
    return rename(first, changes[0]), rename(second, changes[1])


def _bare(name: str) -> str:
    """Return a symbol without arrows, hats, Boltzmann's index, d/dx as an index."""
    name = re.sub(r"^(?:vec|hat|mathcal|mathbb|mathscr|underline) ", "", name)
    name = re.sub(r"(?<=[A-Za-z])\^[-+0*]+$", "", name)
    if "#" in name:
        base, _, variables = name.partition("#")
        return f"{base}_{variables.replace(',', '')}"
    return {"k_B": "k", "k_b": "k", "ell": "l", "varphi": "phi"}.get(name, name)


def _dated(first: Node, second: Node) -> tuple[Node, Node]:
    """Primes take the variable of the other side's derivatives.

    Where there is only one.
    """
    names = [name for name in symbols(first) | symbols(second) if "#" in name]
    if not names:
        return first, second
    variables = {v for name in names for v in name.partition("#")[2].split(",") if set(v) != {"?"}}
    chosen = variables.pop() if len(variables) == 1 else "?"
    table = {}
    for name in names:
        base, _, marks = name.partition("#")
        if set(marks) == {"?"}:
            table[name] = _symbol(base + "#" + ",".join([chosen] * len(marks)))
    return rename(first, table), rename(second, table)
