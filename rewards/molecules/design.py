"""Score a molecule that is to meet targets, by itself or by changing a given one.

| rewarder | `info` | correct |
|---|---|---|
| `design` | targets (see `targets`) | every target is met, and the molecule is plausible |
| `edit` | `source`, `groups`: how many more or fewer of each, `similarity` | the groups changed as asked, the rest stayed similar |
| `optimize` | `source`, `property`, `direction`, `amount`, `similarity` | the property moved by the amount, the rest is similar |

The row's `answer` is one molecule that does it; a row whose `answer` fails its own targets, or has none, abstains. A copy of the
given molecule earns 0. In `design`, what the best of a panel of common molecules reaches is taken off, so that a constant
molecule earns about nothing; one that meets every target is correct whatever it is.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from rdkit import Chem

from innovator_rl.scoring import Score, abstain, right, wrong
from rewards.molecules.comparison import PANEL
from rewards.molecules.extraction import candidates
from rewards.molecules.generation import only_molecule
from rewards.molecules.parsing import UnreadableMolecule, read_molecule
from rewards.molecules.plausibility import implausible
from rewards.molecules.targets import BadTarget, count_group, measure, murcko, neutral, read_targets, similarity_to

NEAR = 0.6
SIMILARITY = 0.35
MIN_PROGRESS = 0.02


@dataclass(frozen=True)
class Task:
    """What a row asks.

    Attributes:
        degrees: The degree to which a molecule meets each target.
        source: The given molecule.
        baseline: The least mean degree that earns something.
        example: A molecule that does what is asked.
        uncharged: The degrees of the groups where charges and metals do not count. None where the example fails them,
            as in a task to protonate.
    """

    degrees: Callable[[Any], dict[str, float]]
    source: Any = None
    baseline: float = 0.0
    example: Any = None
    uncharged: Callable[[Any], dict[str, float]] | None = None

    def met(self, mol: Any) -> dict[str, float]:
        """Return the degree of each target, by the molecule and by its form without charges, whichever is less."""
        found = self.degrees(mol)
        apart = self.uncharged(mol) if self.uncharged is not None else {}
        return {name: min(degree, apart.get(name, degree)) for name, degree in found.items()}

    def value(self, degrees: dict[str, float]) -> float:
        """Return 1 where every target is met, else a part of `NEAR`."""
        if all(degree >= 1 for degree in degrees.values()):
            return 1.0
        if self.source is not None:  # progress counts as far as the molecule is still the given one
            kept = min(degrees[name] for name in degrees if name in _KEPT)
            made = [degree for name, degree in degrees.items() if name not in _KEPT]
            return NEAR * sum(made) / len(made) if kept >= 1 else 0.0
        mean = sum(degrees.values()) / len(degrees)
        return NEAR * max(0.0, (mean - self.baseline) / (1 - self.baseline)) if self.baseline < 1 else 0.0


_KEPT = ("similarity", "scaffold kept")


def score_task(task: Task | None, response: str) -> Score:
    """Score a response to a task; abstain where the row has none."""
    if task is None:
        return abstain("bad_reference")
    texts = candidates(response)
    if not texts:
        return wrong("no_answer")
    try:
        mol = only_molecule(texts)
    except UnreadableMolecule as problem:
        return wrong(str(problem), texts[-1][:300])
    said = Chem.MolToSmiles(mol)
    if task.source is not None and said == Chem.MolToSmiles(task.source):
        return wrong("copied", said)
    if problem_found := implausible(mol, task.source, task.example):
        return wrong(problem_found, said)
    degrees = task.met(mol)
    value = task.value(degrees)
    terms = {"met": sum(degree >= 1 for degree in degrees.values()) / len(degrees), "baseline": task.baseline}
    if value >= 1:
        return right(said, **terms)
    return Score(value, False, "partial" if value > 0 else "wrong", said, terms)


class _OfInfo(ABC):
    """A rewarder whose task is in `info`; subclasses say how it is read."""

    version = "1"

    @abstractmethod
    def task(self, info: dict[str, Any]) -> Task:
        """Return the task of a row."""

    def __call__(self, response: str, answer: str, info: dict[str, Any] | None = None) -> Score:
        """Score one response."""
        return score_task(
            _cached(type(self).__name__, json.dumps(info or {}, sort_keys=True), answer.strip()), response
        )


@lru_cache(maxsize=2_048)
def _cached(kind: str, info: str, answer: str) -> Task | None:
    try:
        task = KINDS[kind]().task(json.loads(info))
        example = read_molecule(answer)
        if any(degree < 1 for degree in task.degrees(example).values()):
            return None
    except (BadTarget, UnreadableMolecule, KeyError, TypeError, ValueError):
        return None
    by_charge = task.uncharged is not None and any(degree < 1 for degree in task.uncharged(example).values())
    return replace(task, example=example, uncharged=None if by_charge else task.uncharged)


class Design(_OfInfo):
    """Reward a plausible molecule that meets every target of `info`.

    Terms: `met`, the share of targets met; `baseline`, the mean degree that a common molecule reaches. Reasons:
    `correct`, `partial`, `wrong`, `fragments`, `isotope`, `open_valence`, `bad_substructure`, `rare_structure` (not
    plausible), and those of `caption2mol` for what is no molecule; `bad_reference` abstains.
    """

    def task(self, info: dict[str, Any]) -> Task:
        """Return the task of a row."""
        targets = read_targets(info)

        def degrees(mol: Any) -> dict[str, float]:
            return {name: degree(mol) for name, degree in targets.items()}

        best = max(sum(degrees(mol).values()) / len(targets) for mol in _panel())
        return Task(degrees, baseline=min(0.95, best))


class Edit(_OfInfo):
    """Reward the given molecule with groups added or removed as asked.

    A group that is only charged, or bound to a metal, is not removed, unless that is what the example does. Terms and
    reasons as in `Design`, and `copied` for the given molecule itself.
    """

    def task(self, info: dict[str, Any]) -> Task:
        """Return the task of a row."""
        source = read_molecule(str(info["source"]))
        wanted = {str(name): int(more) for name, more in dict(info["groups"]).items()}
        if not any(wanted.values()):
            raise BadTarget("groups must name a change")

        def groups(mol: Any, given: Any) -> dict[str, float]:
            changes = {name: count_group(name, mol) - count_group(name, given) for name in wanted}
            made = {f"group {name}": float(changes[name] == more) for name, more in wanted.items() if more}
            # What is to stay counts only where something changed: else a copy with any other change would earn.
            stayed = {
                f"kept {name}": float(changes[name] == 0) * max(made.values())
                for name, more in wanted.items()
                if not more
            }
            return {**made, **stayed}

        plain = neutral(source)
        return Task(
            lambda mol: {**groups(mol, source), **_kept(mol, source, info)},
            source,
            uncharged=lambda mol: groups(neutral(mol), plain),
        )


class Optimize(_OfInfo):
    """Reward the given molecule with a property moved in the asked direction.

    The property is that of the largest fragment without charge: a salt is no new molecule. Terms and reasons
    as in `Design`, and `copied` for the given molecule itself.
    """

    def task(self, info: dict[str, Any]) -> Task:
        """Return the task of a row."""
        source = read_molecule(str(info["source"]))
        name, sign = str(info["property"]), {"up": 1, "down": -1}[str(info.get("direction", "up"))]
        amount, before = float(info["amount"]), measure(name, neutral(source))
        if amount <= 0:
            raise BadTarget("amount must be more than 0")

        def degrees(mol: Any) -> dict[str, float]:
            part = sign * (measure(name, neutral(mol)) - before) / amount
            return {name: min(1.0, part) if part >= MIN_PROGRESS else 0.0, **_kept(mol, source, info)}

        return Task(degrees, source)


KINDS: dict[str, type[_OfInfo]] = {kind.__name__: kind for kind in (Design, Edit, Optimize)}


def _kept(mol: Any, source: Any, info: dict[str, Any]) -> dict[str, float]:
    kept = {"similarity": min(1.0, similarity_to(mol, source) / float(info.get("similarity", SIMILARITY)))}
    if info.get("keep_scaffold"):
        kept["scaffold kept"] = float(murcko(mol) == murcko(source))
    return kept


@lru_cache(maxsize=1)
def _panel() -> list[Any]:
    return [read_molecule(smiles) for smiles in PANEL.values()]
