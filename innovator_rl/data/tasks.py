"""Generate tasks: any number of problems with known answers, fixed by a seed.

They show that a training setup learns before it is used on data that takes days. `molecule-property` asks about
molecules assembled from common cores and substituents; RDKit decides the truth, and only molecules are kept whose
SELFIES shows it. `unit-statement` says that two quantities are equal, rightly or not. Both are True or False, in equal
numbers so that a constant answer is right half the time. `unit-sum` adds two quantities of one unit: a model of 135 M
parameters finds the number often enough to learn from it, and no constant answer does. `unit-arithmetic` wants
conversions and laws; a model that small is right in one answer of a hundred, too seldom to learn from, so it is meant
for larger ones.
"""

import difflib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from innovator_rl.data.problem import Problem
from innovator_rl.data.small_tasks import SMALL_TASKS
from innovator_rl.data.tool_tasks import TOOL_TASKS
from innovator_rl.errors import UserError

Generator = Callable[[random.Random, Mapping[str, Any]], Iterator[Problem]]
#: Draws without a new problem after which the task is taken to hold no more.
PATIENCE = 4000

SUBSTITUENTS = """
    C CC CCC C(C)C O OC OCC CO CCO C(=O)O C(=O)C C(=O)OC F Cl Br C(F)(F)F S SC C=C
    N NC N(C)C CN CCN C(=O)N C#N NC(=O)C [N+](=O)[O-]
""".split()  # noqa: SIM905
CORES = """
    c1cc({})ccc1{} c1ccc({})cc1{} c1cc({})cc({})c1 c1nc({})ccc1{} c1cnc({})nc1{} c1cc({})oc1{} c1cc({})sc1{}
    C1CC({})CCC1{} C1CCC({})C1{} C1CN({})CCN1{} C1CC({})OC1{} C({})C{} C({})CC{} C({})CCC{} C({})CCCC{} C({})CCCCC{}
    CC({})C{} CC({})CC{} C({})OC{} C({})NC{} C({})C=C{} C({})C(C)({})C
""".split()  # noqa: SIM905


@dataclass(frozen=True)
class Property:
    """A yes/no property: its question, its SMARTS and the SELFIES tokens of it."""

    ask: str
    smarts: str
    tokens: tuple[str, ...]


PROPERTIES: dict[str, Property] = {
    "nitrogen": Property("Does this molecule contain nitrogen (N)?", "[#7]", ("N",)),
    "oxygen": Property("Does this molecule contain oxygen (O)?", "[#8]", ("O",)),
    "halogen": Property("Does this molecule contain a halogen (F, Cl or Br)?", "[F,Cl,Br]", ("F", "Cl", "Br")),
    "ring": Property("Does this molecule contain a ring?", "[R]", ("Ring1", "Ring2")),
}

#: (from, to, how many `to` are one `from`)
CONVERSIONS = (
    ("km", "m", 1000), ("m", "cm", 100), ("cm", "mm", 10), ("m", "mm", 1000),
    ("kg", "g", 1000), ("g", "mg", 1000), ("t", "kg", 1000),
    ("h", "min", 60), ("min", "s", 60), ("h", "s", 3600),
    ("L", "mL", 1000), ("kJ", "J", 1000), ("kN", "N", 1000), ("kW", "W", 1000), ("kPa", "Pa", 1000),
)  # fmt: skip
SUM_UNITS = ("m", "kg", "s", "A", "N", "J", "W", "V")
#: (the question with two quantities, unit of the answer, "x" for their product or "/" for the quotient)
LAWS = {
    "distance": ("A car drives at {} m/s for {} s. How far does it go, in m?", "m", "x"),
    "speed": ("A runner covers {} m in {} s. What is the speed, in m/s?", "m/s", "/"),
    "force": ("A mass of {} kg is accelerated at {} m/s^2. What force acts on it, in N?", "N", "x"),
    "voltage": ("A current of {} A flows through {} ohm. What is the voltage, in V?", "V", "x"),
    "current": ("A voltage of {} V lies across {} ohm. What is the current, in A?", "A", "/"),
    "work": ("A force of {} N acts along {} m. How much work is done, in J?", "J", "x"),
    "power": ("{} J of work are done in {} s. What is the power, in W?", "W", "/"),
    "momentum": ("A mass of {} kg moves at {} m/s. What is its momentum, in kg*m/s?", "kg*m/s", "x"),
    "charge": ("A current of {} A flows for {} s. What charge passes, in C?", "C", "x"),
    "pressure": ("A force of {} N presses on {} m^2. What is the pressure, in Pa?", "Pa", "/"),
}


def generate(task: str, count: int, seed: int, parameters: Mapping[str, Any]) -> list[Problem]:
    """Return `count` different problems of a task.

    Args:
        task: A name in `TASKS`.
        count: The number of problems.
        seed: The seed that fixes them.
        parameters: The task's parameters.

    Raises:
        UserError: The task or a parameter is unknown, or the task has fewer problems.
    """
    if task not in TASKS:
        close = difflib.get_close_matches(task, TASKS, n=1)
        guess = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(f"unknown task {task!r}; {guess}Tasks: {', '.join(TASKS)}")
    made: dict[str, Problem] = {}
    idle = 0
    for problem in TASKS[task](random.Random(f"{task}:{seed}"), parameters):
        idle = idle + 1 if problem.question in made else 0
        made.setdefault(problem.question, problem)
        if len(made) == count:
            return list(made.values())
        if idle > PATIENCE:
            break
    raise UserError(
        f"task {task!r} with these parameters holds about {len(made)} different problems, rows asks {count}"
    )


def molecule_property(draw: random.Random, parameters: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield True/False questions about molecules without end.

    Parameters: `properties`, names in `PROPERTIES` (default: nitrogen).
    """
    from rdkit import Chem

    from innovator_rl.data.molecules import canonical_smiles, to_selfies

    names = _chosen("molecule-property", parameters, "properties", list(PROPERTIES), ["nitrogen"])
    patterns = {name: Chem.MolFromSmarts(PROPERTIES[name].smarts) for name in names}
    waiting: dict[tuple[str, bool], list[Problem]] = {(name, truth): [] for name in names for truth in (True, False)}
    while True:
        smiles = canonical_smiles(draw.choice(CORES).format(draw.choice(SUBSTITUENTS), draw.choice(SUBSTITUENTS)))
        name, molecule = draw.choice(names), to_selfies(smiles)
        truth = Chem.MolFromSmiles(smiles).HasSubstructMatch(patterns[name])
        # [N] or [O] may also stand for a branch length; such a string would show what the molecule lacks.
        if truth != _shows(molecule, PROPERTIES[name].tokens):
            continue
        question = f"{PROPERTIES[name].ask}\nMolecule: {molecule}"
        waiting[name, truth].append(Problem(f"{name}/{smiles}", question, str(truth), group=smiles))
        if waiting[name, True] and waiting[name, False]:
            yield waiting[name, True].pop(0)
            yield waiting[name, False].pop(0)


def unit_statement(draw: random.Random, parameters: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield questions whether "5 km is 5000 m" is true, right and wrong once each.

    Parameter: `largest`, the greatest first number (default 50).

    A wrong statement is off by a factor that another conversion has, so the number alone does not give it away. Both
    statements about a quantity are one group: the right one in training would answer the wrong one in validation.
    """
    _known("unit-statement", parameters)
    largest = _largest("unit-statement", parameters)
    factors = sorted({factor for _, _, factor in CONVERSIONS})
    cases = [(first, conversion) for first in range(2, largest + 1) for conversion in CONVERSIONS]
    draw.shuffle(cases)
    for first, (source, target, factor) in cases:
        false = draw.choice([other for other in factors if other != factor])
        statements = [(True, first * factor), (False, first * false)]
        draw.shuffle(statements)
        for truth, value in statements:
            question = f"{first} {source} is {value} {target}. True or False?"
            yield Problem(
                f"{first}-{source}-{value}-{target}", question, str(truth), group=f"{first} {source} {target}"
            )


def unit_sum(draw: random.Random, parameters: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield sums such as "What is 4 J + 3 J? Answer with a number.".

    Parameter: `largest`, the greatest number (default 12).

    All questions about one pair of numbers are one group, in either order and whatever the unit: validation asks for
    sums that were never trained.
    """
    _known("unit-sum", parameters)
    largest = _largest("unit-sum", parameters, default=12)
    cases = [(a, b, unit) for a in range(2, largest + 1) for b in range(2, largest + 1) for unit in SUM_UNITS]
    draw.shuffle(cases)
    for a, b, unit in cases:
        question = f"What is {a} {unit} + {b} {unit}? Answer with a number."
        yield Problem(f"{a}-{b}-{unit}", question, str(a + b), group=f"{min(a, b)}+{max(a, b)}")


def unit_arithmetic(draw: random.Random, parameters: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield conversions and applications of physical laws without end.

    Parameters: `kinds` ("convert" and names in `LAWS`), `largest` (of the numbers, default 50).
    """
    kinds = _chosen("unit-arithmetic", parameters, "kinds", ["convert", *LAWS], ["convert", *LAWS])
    largest = _largest("unit-arithmetic", parameters)
    while True:
        kind, first, second = draw.choice(kinds), draw.randint(2, largest), draw.randint(2, largest)
        if kind == "convert":
            source, target, factor = draw.choice(CONVERSIONS)
            question, answer = f"Convert {first} {source} to {target}.", f"{first * factor} {target}"
            identity = f"convert/{first}-{source}-{target}"
        else:
            text, unit, operation = LAWS[kind]
            # A quotient is made from its result, so that every answer is whole.
            left, value = (first, first * second) if operation == "x" else (first * second, first)
            question, answer = text.format(left, second), f"{value} {unit}"
            identity = f"{kind}/{left}-{second}"
        yield Problem(identity, question, answer)


MOLECULE_TASK_NAMES = (
    *("structure-count", "structure-drawing", "same-molecule", "molecule-design", "molecule-edit", "molecule-optimize"),
    *("reaction-product", "retrosynthesis", "property-regression"),
)


def _on_use(name: str) -> Generator:
    """Return a task of `molecule_tasks`, which imports RDKit only when it is used."""

    def task(draw: random.Random, parameters: Mapping[str, Any]) -> Iterator[Problem]:
        from innovator_rl.data.molecule_tasks import MOLECULE_TASKS

        return MOLECULE_TASKS[name](draw, parameters)

    return task


TASKS: dict[str, Generator] = {
    "molecule-property": molecule_property,
    "unit-statement": unit_statement,
    "unit-sum": unit_sum,
    "unit-arithmetic": unit_arithmetic,
    **SMALL_TASKS,
    **TOOL_TASKS,
    **{name: _on_use(name) for name in MOLECULE_TASK_NAMES},
}
PARAMETERS = {
    "molecule-property": ("properties",),
    "unit-statement": ("largest",),
    "unit-sum": ("largest",),
    "unit-arithmetic": ("kinds", "largest"),
}


def _shows(molecule: str, tokens: tuple[str, ...]) -> bool:
    """Return whether any SELFIES token names one of `tokens`.

    Bond and charge marks are ignored.
    """
    names = {
        part.strip("=#/\\").split("+")[0].split("-")[0].rstrip("H0123456789") for part in molecule[1:-1].split("][")
    }
    return not names.isdisjoint({token.rstrip("0123456789") for token in tokens})


def _chosen(task: str, parameters: Mapping[str, Any], key: str, known: list[str], default: list[str]) -> list[str]:
    _known(task, parameters)
    values = parameters.get(key, default)
    values = [values] if isinstance(values, str) else list(values)
    for value in values:
        if value not in known:
            raise UserError(f"task {task!r}: {key} {value!r} must be one of {', '.join(known)}")
    if not values:
        raise UserError(f"task {task!r}: {key} is empty; choose from {', '.join(known)}")
    return values


def _known(task: str, parameters: Mapping[str, Any]) -> None:
    for name in parameters:
        if name not in PARAMETERS[task]:
            raise UserError(f"task {task!r} has no parameter {name!r}; it takes {', '.join(PARAMETERS[task])}")


def _largest(task: str, parameters: Mapping[str, Any], default: int = 50) -> int:
    value = parameters.get("largest", default)
    if not isinstance(value, int) or value < 2:
        raise UserError(f"task {task!r}: largest must be a whole number of at least 2, got {value!r}")
    return value
