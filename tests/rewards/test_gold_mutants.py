"""No reference accepts itself changed in one place, outside a short list of changes that leave it right.

The shipped references are of the kinds that public sets hold. The published ones are tried where their folder is there.
"""

import gzip
import json
import re
from collections.abc import Iterable

import pytest
from gold_mutants import OPERATORS, mutants
from real_data import real

from rewards.mathematics import Mathematics
from rewards.physics import Physics

GOLDS = [
    "42",
    "-7",
    "3.86",
    r"\frac{7}{12}",
    r"2\sqrt{3}",
    r"\frac{5\pi}{6}",
    "2.74 \\times 10^{-5}\\ \\mathrm{m}",
    r"18.4\ \mathrm{J}",
    r"v = \sqrt{2 g h}",
    r"T = 2\pi\sqrt{\frac{L}{g}}",
    r"E_n = -\frac{13.6}{n^2}\ \text{eV}",
    r"\frac{m v^2}{2} + m g h",
    r"\frac{q_1 q_2}{4\pi\epsilon_0 r^2}",
    r"A \cos(\omega t) + B \sin(\omega t)",
    r"x = \frac{-b + \sqrt{b^2 - 4 a c}}{2 a}",
    r"\psi_{n} = \sqrt{\frac{2}{L}} \sin\frac{n \pi x}{L}",
    r"\langle x^2 \rangle = \frac{a^2}{3}",
    r"x^2 - 5 x + 6 = 0",
    r"y = 3 x + 2",
    r"(3, 5)",
    r"\{2, 7, 11\}",
    r"x < 4",
    r"2 \le x < 9",
    r"[1, 5)",
    r"(-\infty, 3)",
    r"4 \text{ for even } n",
    r"\text{increases when } x > 2",
    r"P(X > 2) = \frac{1}{8}",
    r"\begin{pmatrix} 1 & 4 \\ 2 & 5 \end{pmatrix}",
    r"a|0\rangle + b|1\rangle",
    r"\hat{p}\hat{x} + i",
    r"H_2SO_4",
    r"Fe^{3+}",
    r"{}^{14}_{6}C",
    r"1s^2 2s^2 2p^3",
    r"2 H_2 + O_2 \to 2 H_2O",
    r"e^{-\frac{E}{k T}}",
    r"\int_0^1 x^2 \, dx",
    r"\sum_{n=1}^{5} n^2",
    r"x^3 + 2 x - 1",
    r"\ln\frac{V_2}{V_1}",
    r"3:5:7",
    r"\frac{d y}{d t} = - k y",
    r"F_1 = F_2 = \frac{m g}{2}",
]

HARMLESS = {
    # (operator, reference): why the changed text is still right.
    ("letter replaced", r"4 \text{ for even } n"): "the condition names a variable on which the value does not depend",
    ("case flipped", r"4 \text{ for even } n"): "the same",
}


def accepted(golds: Iterable[str], rewards: Iterable[object]) -> list[tuple[str, str, str]]:
    """Return operator, reference and changed text of every change that is paid."""
    found = []
    for gold in golds:
        for name, said in mutants(gold):
            for reward in rewards:
                score = (
                    reward(f"\\boxed{{{said}}}", gold, {})
                    if isinstance(reward, Physics)
                    else reward(f"\\boxed{{{said}}}", gold)
                )  # type: ignore[operator]
                if score.correct:
                    found.append((name, gold, said))
    return found


@pytest.mark.parametrize("part", range(4))
def test_no_reference_accepts_itself_changed(part: int) -> None:
    found = accepted(GOLDS[part::4], (Physics(), Mathematics()))
    assert not [row for row in found if row[:2] not in HARMLESS]


def test_every_operator_changes_some_reference() -> None:
    used = {name for gold in GOLDS for name, _ in mutants(gold)}
    assert len(OPERATORS) >= 20
    assert set(OPERATORS) - used <= {"denied"}


PROSE = re.compile(r"\\text\{[^{}]*[a-z]{3,} [a-z]{2,}|[a-z]{3,} [a-z]{3,}|\([a-h]\)|\\pm")
NUMBER_LAST = re.compile(r"=[^=]*=[^=]*\d")


def still_right(operator: str, gold: str, said: str) -> bool:
    """Return whether a change leaves a statement true: the sign of what is zero, Boltzmann's constant as `k_b`."""
    return (operator == "leading minus" and gold.endswith("= 0")) or gold == said.replace("k_b", "k_B")


def published() -> list[str]:
    """Return every fortieth published reference that is a formula or a number, with the PhD problems' own."""
    golds: list[str] = []
    for path in sorted(real("physics_phd").glob("*.jsonl.gz")):
        if "responses" not in path.name:
            with gzip.open(path, "rt") as lines:
                golds += [str(answer) for line in lines for answer in json.loads(line).get("final_answers") or []]
    return [gold for gold in golds[::40] if len(gold) <= 160 and not PROSE.search(gold)]


def test_no_published_reference_accepts_itself_changed() -> None:
    """Besides prose and uncertainties, a chain that ends in a number is left out: the number decides."""
    found = accepted((gold for gold in published() if not NUMBER_LAST.search(gold)), (Physics(),))
    assert not [row for row in found if not still_right(*row)]
