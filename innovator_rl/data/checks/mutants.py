"""Make a gold answer wrong in one place, in the form that a model would answer in.

A rewarder that accepts such an answer for a row would pay for anything near it; a build drops the row and says so. What
"one place" is depends on the answer: the leading digit of a number, True for False, the next letter, one atom more, the
return values of a program, the caption of another molecule.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from innovator_rl.data.problem import Problem

DIGIT = re.compile(r"[1-9]")
INDEX = re.compile(r"_(?:\{[^{}]*|\w)?$")
LETTER = re.compile(r"[A-J]")
LETTERS = "ABCDEFGHIJ"
OPPOSITE = {"true": "False", "false": "True", "yes": "No", "no": "Yes"}


def response_of(rewarder: str, answer: str) -> str:
    """Return an answer as a response in the form that the prompts of its rewarder ask for."""
    base = rewarder.partition("(")[0]
    if base == "code":
        return f"```python\n{answer}\n```"
    if base == "chemistry":
        return f"Answer: {answer}"
    if base in ("mol2caption", "caption2mol"):
        return f"<answer>{answer}</answer>"
    if base in ("physics", "math", "choice"):
        return f"\\boxed{{{answer}}}"
    return answer


def mutate(problem: Problem, rewarder: str, others: Sequence[str]) -> str | None:
    """Return the gold answer made wrong in one place; None where no wrong answer can be made.

    Args:
        problem: The problem.
        rewarder: Its rewarder.
        others: Answers of other problems, for an answer without a number, letter or truth value.
    """
    base = rewarder.partition("(")[0]
    answer = problem.answer
    if base == "code":
        return _code(answer)
    if base == "caption2mol":
        return _molecule(answer)
    if base == "mol2caption":
        return _another(answer, others)
    opposite = OPPOSITE.get(answer.strip().strip(".").lower())
    if opposite:
        return opposite
    if LETTER.fullmatch(answer.strip()):
        return LETTERS[(LETTERS.index(answer.strip()) + 1) % 4]
    return _number(answer) or _another(answer, others)


def _number(answer: str) -> str | None:
    """Change the first digit that is not 0, after the last equals sign and outside of an index; a lone 0 becomes 1.

    The digit of a name (`x_1 = ...`) may be changed without making the answer wrong.
    """
    places = [match.start() for match in DIGIT.finditer(answer)]
    values = [place for place in places if not INDEX.search(answer[:place])]
    place = next((place for place in values if place > answer.rfind("=")), next(iter(values or places), None))
    if place is not None:
        digit = int(answer[place])
        return answer[:place] + str(digit + 1 if digit < 9 else 8) + answer[place + 1 :]
    return answer.replace("0", "1", 1) if "0" in answer else None


def _another(answer: str, others: Sequence[str]) -> str | None:
    same = answer.casefold().split()
    return next((other for other in others if other.casefold().split() != same), None)


def _molecule(answer: str) -> str | None:
    """Put one atom more in front of the molecule, in the spelling of the gold."""
    from innovator_rl.data.molecules import inchikey, smiles_of

    key = inchikey(smiles_of(answer))
    atoms = ("[C]", "[N]", "[O]", "[C][C]") if answer.lstrip().startswith("[") else ("C", "N", "O", "CC")
    for atom in atoms:
        changed = atom + answer.strip()
        found = inchikey(smiles_of(changed))
        if found and found != key:
            return changed
    return None


class _Emptied(ast.NodeTransformer):
    """Make a program return None and print nothing."""

    def __init__(self) -> None:
        self.changed = False

    def visit_Return(self, node: ast.Return) -> ast.Return:
        if node.value is not None:
            self.changed = True
        return ast.Return(value=ast.Constant(None))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "print" and node.args:
            self.changed = True
            return ast.Call(func=node.func, args=[], keywords=[])
        return self.generic_visit(node)


def _code(program: str) -> str | None:
    try:
        tree = ast.parse(program)
        emptied = _Emptied()
        changed = ast.unparse(ast.fix_missing_locations(emptied.visit(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return changed if emptied.changed else None
