r"""Compare formulas of operators, kets and matrices by matrices of random numbers.

Products of these do not commute: `\hat x \hat p` is not `\hat p \hat x`. Every operator stands for a random square
matrix, a ket for a random column, a bra for the conjugate row, a literal matrix for itself, so that sums, factors,
products, adjoints and transposes agree where they are equal as algebra.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import mpmath

from rewards.equivalence.evaluation import Budget, evaluate, fraction_of
from rewards.equivalence.latex_parser import Node
from rewards.equivalence.tokens import UnreadableFormula

SIZE, MAX_ENTRIES = 3, 400
DAGGER = "\\dagger"
_BASIS = re.compile(r"(?:uparrow|downarrow|[01+-]){2,6}")
_LABEL = re.compile(r"uparrow|downarrow|[01+-]")
_PAULI = {"sigma_x", "sigma_y", "sigma_z", "sigma_1", "sigma_2", "sigma_3", "sigma_+", "sigma_-"}


def leaves(tree: Node) -> set[str]:
    """Return the symbols of a tree, bound ones too."""
    found = {tree.text} if tree.kind == "symbol" else set()
    return found.union(*map(leaves, tree.parts)) if tree.parts else found


def operators_of(*trees: Node) -> set[str]:
    """Return the symbols whose order in a product matters.

    They are kets, bras, daggered letters with their partners, hatted letters other than a lone unit vector, and Pauli
    matrices where two of them meet.
    """
    names = set[str]().union(*map(leaves, trees))
    found = {name for name in names if name.startswith(("ket ", "bra ")) or name.endswith(DAGGER)}
    found |= {name.removesuffix(DAGGER) for name in found if name.endswith(DAGGER)} & names
    hats = {name for name in names if name.startswith("hat ")}
    if found or hats - {"hat i", "hat j", "hat k"}:
        found |= hats
    if len(pauli := names & _PAULI) > 1:
        found |= pauli
    return found


def has_matrix(tree: Node) -> bool:
    """Return whether a tree needs matrices to be evaluated."""
    return tree.kind in ("matrix", "dagger", "tensor") or any(map(has_matrix, tree.parts))


def same_operators(
    first: Node, second: Node, operators: set[str], values: Mapping[str, Any], budget: Budget, trial: int, relative: Any
) -> bool:
    """Return whether two trees are the same matrix at one set of values.

    Args:
        first: Tree of the reference.
        second: Tree of the answer.
        operators: Names that stand for matrices, columns or rows.
        values: Values of the other symbols.
        budget: The work that is left.
        trial: Number of the point, which decides the random matrices.
        relative: The difference allowed, relative to the largest entry.

    Raises:
        UnreadableFormula: A tree has no value.
    """
    with mpmath.workdps(30):
        reader = _Matrices(operators, values, budget, trial)
        a, b = reader.value(first), reader.value(second)
        if isinstance(a, mpmath.matrix) != isinstance(b, mpmath.matrix):
            return False
        if not isinstance(a, mpmath.matrix):
            return bool(abs(a - b) <= relative * max(abs(a), abs(b)))
        if (a.rows, a.cols) != (b.rows, b.cols):
            return False
        size = max((abs(entry) for entry in [*a, *b]), default=0)
        return all(abs(x - y) <= relative * size for x, y in zip(a, b, strict=True))


class _Matrices:
    def __init__(self, operators: set[str], values: Mapping[str, Any], budget: Budget, trial: int) -> None:
        self.operators, self.values, self.budget, self.trial = operators, values, budget, trial

    def is_scalar(self, tree: Node) -> bool:
        return not (leaves(tree) & self.operators) and not has_matrix(tree)

    def value(self, tree: Node) -> Any:
        if self.is_scalar(tree):
            return evaluate(tree, self.values, self.budget)
        self.budget.spend(40)
        kind = tree.kind
        if kind == "symbol":
            return self.symbol(tree.text)
        if kind == "matrix":
            rows, columns = map(int, tree.text.split("x"))
            entries = [self.value(part) for part in tree.parts]
            if any(isinstance(entry, mpmath.matrix) for entry in entries):
                raise UnreadableFormula("a matrix of matrices")
            return mpmath.matrix([entries[row * columns : (row + 1) * columns] for row in range(rows)])
        if kind == "pow":
            return self.power(tree)
        if kind not in ("neg", "add", "mul", "div", "dot", "tensor", "dagger"):
            raise UnreadableFormula(f"{kind} of an operator")
        parts = [self.value(part) for part in tree.parts]
        if kind == "neg":
            return -1 * parts[0]
        if kind == "dagger":
            return parts[0].transpose_conj() if isinstance(parts[0], mpmath.matrix) else mpmath.conj(parts[0])
        if kind == "add":
            return _sum(*parts)
        if kind == "dot":
            return (_product(*parts) + _product(*parts[::-1])) / 2
        if kind == "div":
            if isinstance(parts[1], mpmath.matrix) or not parts[1]:
                raise UnreadableFormula("division by an operator")
            return parts[0] * (1 / mpmath.mpmathify(parts[1]))
        return _product(*parts) if kind == "mul" else _tensor(*parts)

    def power(self, tree: Node) -> Any:
        base = self.value(tree.parts[0])
        exponent = tree.parts[1]
        if not isinstance(base, mpmath.matrix):
            return evaluate(
                Node("pow", (Node("symbol", (), "base"), exponent)), {**self.values, "base": base}, self.budget
            )
        if exponent == Node("symbol", (), "T"):
            return base.T
        inverse = exponent.kind == "neg"
        power = exponent.parts[0] if inverse else exponent
        if power.kind != "number" or not power.text.isdigit() or int(power.text) > 6 or base.rows != base.cols:
            raise UnreadableFormula("no power of an operator")
        if inverse and not mpmath.det(base):
            raise UnreadableFormula("no inverse")
        return base ** (-int(power.text) if inverse else int(power.text))

    def symbol(self, name: str) -> Any:
        if name.endswith(DAGGER):
            return self.symbol(name.removesuffix(DAGGER)).transpose_conj()
        if name.startswith("bra "):
            return self.symbol("ket " + name.removeprefix("bra ")).transpose_conj()
        if name.startswith("ket "):
            label = name.removeprefix("ket ")
            if _BASIS.fullmatch(label):
                total = self.symbol("ket " + (parts := _LABEL.findall(label))[0])
                for part in parts[1:]:
                    total = _tensor(total, self.symbol("ket " + part))
                return total
            return mpmath.matrix([[self.entry(name, row, 0)] for row in range(SIZE)])
        return mpmath.matrix([[self.entry(name, row, column) for column in range(SIZE)] for row in range(SIZE)])

    def entry(self, name: str, row: int, column: int) -> Any:
        key = f"{self.trial}|{name}|{row}|{column}"
        return mpmath.mpc(fraction_of(key) + mpmath.mpf("0.2"), fraction_of(key + "|i"))


def _sum(a: Any, b: Any) -> Any:
    """Add; a number next to an operator stands for as many times the identity."""
    whole = isinstance(a, mpmath.matrix), isinstance(b, mpmath.matrix)
    if whole == (True, False) and a.rows == a.cols:
        b = mpmath.eye(a.rows) * b
    elif whole == (False, True) and b.rows == b.cols:
        a = mpmath.eye(b.rows) * a
    elif whole[0] != whole[1] or (whole[0] and (a.rows, a.cols) != (b.rows, b.cols)):
        raise UnreadableFormula("a sum of unlike things")
    return a + b


def _product(a: Any, b: Any) -> Any:
    if not (isinstance(a, mpmath.matrix) and isinstance(b, mpmath.matrix)):
        return a * b
    if a.cols == b.rows:
        product = a * b
        return product[0, 0] if (product.rows, product.cols) == (1, 1) else product
    if (a.cols == b.cols == 1) or (a.rows == b.rows == 1):
        return _tensor(a, b)
    raise UnreadableFormula("a product of unlike things")


def _tensor(a: Any, b: Any) -> Any:
    if not (isinstance(a, mpmath.matrix) and isinstance(b, mpmath.matrix)):
        return a * b
    if a.rows * b.rows * a.cols * b.cols > MAX_ENTRIES:
        raise UnreadableFormula("too large")
    return mpmath.matrix(
        [
            [a[i // b.rows, j // b.cols] * b[i % b.rows, j % b.cols] for j in range(a.cols * b.cols)]
            for i in range(a.rows * b.rows)
        ]
    )
