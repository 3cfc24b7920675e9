"""Generate synthetic prompts of six domains with right and wrong answers.

Wrong ones are wrong in typical ways, looping or hostile.

Everything is drawn from the generator that is passed in, so a seed determines every letter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from random import Random

import selfies

MOLECULES = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "nicotine": "CN1CCCC1c1cccnc1",
    "benzoic acid": "O=C(O)c1ccccc1",
    "salicylic acid": "O=C(O)c1ccccc1O",
    "dopamine": "NCCc1ccc(O)c(O)c1",
    "lidocaine": "CCN(CC)CC(=O)Nc1c(C)cccc1C",
    "vanillin": "COc1cc(C=O)ccc1O",
    "menthol": "CC(C)C1CCC(C)CC1O",
    "citric acid": "OC(=O)CC(O)(CC(=O)O)C(=O)O",
}
CAPTIONS = {
    "aspirin": "a benzoic acid with an acetoxy group at the ortho position; it relieves pain and fever",
    "paracetamol": "a phenol with an acetamido group at the para position; it relieves pain",
    "caffeine": "a purine dione with methyl groups on three of its nitrogen atoms; it occurs in coffee",
    "ibuprofen": "a propionic acid that carries a para-isobutylphenyl group; it reduces inflammation",
    "nicotine": "a pyridine joined to an N-methylpyrrolidine ring; it occurs in tobacco",
    "benzoic acid": "the simplest aromatic carboxylic acid; it preserves food",
    "salicylic acid": "a benzoic acid with a hydroxy group at the ortho position; it occurs in willow bark",
    "dopamine": "a catechol with an aminoethyl side chain; it carries signals between nerve cells",
    "lidocaine": "an anilide of diethylglycine with two methyl groups on the ring; it numbs locally",
    "vanillin": "a benzaldehyde with a hydroxy and a methoxy group; it smells of vanilla",
    "menthol": "a cyclohexanol with a methyl and an isopropyl group; it occurs in mint",
    "citric acid": "a tricarboxylic acid with one hydroxy group; it occurs in lemons",
}
LOOP = "Wait, let me check this again. The value must be the same as before. "
STYLE = "First, I restate the problem carefully. Second, I list what is known. Therefore, step by step, I reason rigorously. "
HOSTILE = (
    '<script>document.title="owned"</script><img src=x onerror="alert(1)"> [click](javascript:alert(1)) '
    "$\\href{javascript:alert(1)}{x}$ <svg onload=alert(1)></svg> \u202etxet desrever\u202c \x07\x1b[31mred\x1b[0m"
)


@dataclass(frozen=True)
class SyntheticPrompt:
    """A question, its reference answer, and examples of responses to it."""

    domain: str
    rewarder: str
    prompt_id: str
    prompt: str
    answer: str
    right: str
    wrong: tuple[tuple[str, str, str], ...]  # response, extracted answer, reason
    extracted: str
    info: str = "{}"
    difficulty: float = field(default=0.5, compare=False)


@cache
def as_selfies(smiles: str) -> str:
    """Return SMILES as SELFIES."""
    return str(selfies.encoder(smiles))


def physics(random: Random, number: int) -> SyntheticPrompt:
    """Ask for a kinetic energy."""
    mass, speed = random.randint(2, 40), random.randint(3, 30)
    energy = mass * speed * speed / 2
    prompt = (
        f"A body of mass ${mass}\\,\\mathrm{{kg}}$ moves at $v = {speed}\\,\\mathrm{{m/s}}$. "
        "What is its kinetic energy? Put the answer in \\boxed{}."
    )
    right = (
        f"The kinetic energy is\n\\[ E = \\frac{{1}}{{2}} m v^2 = \\frac{{1}}{{2}} \\cdot {mass} \\cdot {speed}^2 \\]\n"
        f"With $v^2 = {speed**2}\\,\\mathrm{{m^2/s^2}}$ this gives $\\boxed{{{energy:g}\\ \\mathrm{{J}}}}$."
    )
    wrong = (
        (
            f"$E = m v^2 = {mass * speed**2}$, so $\\boxed{{{mass * speed**2}\\ \\mathrm{{J}}}}$.",
            f"{mass * speed**2} J",
            "wrong",
        ),
        (
            f"$E = \\tfrac12 m v^2$, so $\\boxed{{{energy:g}\\ \\mathrm{{kg\\,m/s}}}}$.",
            f"{energy:g} kg m/s",
            "wrong_unit",
        ),
        (f"The energy depends on $m$ and $v$: $E \\propto m v^2$, thus about {energy * 1.1:.0f}", "", "no_answer"),
    )
    return SyntheticPrompt(
        "physics", "physics", f"physics-{number}", prompt, f"{energy:g} \\ \\mathrm{{J}}", right, wrong, f"{energy:g} J"
    )


def mathematics(random: Random, number: int) -> SyntheticPrompt:
    """Ask for the sum of the roots of a quadratic."""
    a, b = random.randint(1, 9), random.randint(1, 9)
    prompt = f"Find the sum of the roots of $x^2 - {a + b}x + {a * b} = 0$."
    right = f"By Vieta, for $x^2 + px + q$ the roots satisfy $x_1 + x_2 = -p$.\n\n$$x_1 + x_2 = \\boxed{{{a + b}}}$$"
    wrong = (
        (f"The product of the roots is ${a * b}$, so \\boxed{{{a * b}}}.", str(a * b), "wrong"),
        (f"The roots are ${a}$ and ${b}$: \\boxed{{{a}}}, \\boxed{{{b}}}", f"{a} | {b}", "ambiguous_answer"),
        ("Using the quadratic formula $x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a", "", "no_answer"),
    )
    return SyntheticPrompt("math", "math", f"math-{number}", prompt, str(a + b), right, wrong, str(a + b))


def caption2mol(random: Random, number: int) -> SyntheticPrompt:
    """Ask for the molecule that a caption describes."""
    name = sorted(MOLECULES)[number % len(MOLECULES)]
    gold = as_selfies(MOLECULES[name])
    near = [other for other in sorted(MOLECULES) if other != name]
    other, another = random.sample(near, 2)
    prompt = f"Give the molecule as SELFIES: it is {CAPTIONS[name]}."
    right = f"The description fits {name}.\n\n{gold}"
    broken = "[C][=O][Ring9][Xx][C]"
    wrong = (
        (f"It looks like {other}.\n\n{as_selfies(MOLECULES[other])}", MOLECULES[other], "partial"),
        (f"The molecule is {another}:\n{as_selfies(MOLECULES[another])}", MOLECULES[another], "wrong"),
        (f"I write it as {broken}", broken, "malformed_answer"),
    )
    return SyntheticPrompt(
        "caption2mol", "caption2mol", f"caption2mol-{number}", prompt, gold, right, wrong, MOLECULES[name]
    )


def mol2caption(random: Random, number: int) -> SyntheticPrompt:
    """Ask for the caption of a molecule."""
    name = sorted(MOLECULES)[(5 * number + 1) % len(MOLECULES)]
    other = random.choice([one for one in sorted(MOLECULES) if one != name])
    answer = f"The molecule is {name}, {CAPTIONS[name]}."
    prompt = f"Describe the molecule {as_selfies(MOLECULES[name])} in one or two sentences."
    wrong = (
        (f"The molecule is {other}, {CAPTIONS[other]}.", f"The molecule is {other}, {CAPTIONS[other]}.", "partial"),
        ("The molecule is an organic compound.", "The molecule is an organic compound.", "wrong"),
        ("", "", "no_answer"),
    )
    return SyntheticPrompt("mol2caption", "mol2caption", f"mol2caption-{number}", prompt, answer, answer, wrong, answer)


def chemistry(random: Random, number: int) -> SyntheticPrompt:
    """Ask whether a molecule contains nitrogen."""
    name = sorted(MOLECULES)[(7 * number + 2) % len(MOLECULES)]
    holds = "N" in MOLECULES[name].upper()
    prompt = f"Does this molecule contain nitrogen? Answer True or False.\nMolecule: {as_selfies(MOLECULES[name])}"
    said = random.choice(["It has amine or amide groups.", "I look for N in the string."])
    wrong = (
        (f"{said} Answer: {not holds}", str(not holds), "wrong"),
        (f"{said} It may be True or False.", "True | False", "ambiguous_answer"),
        (said, "", "no_answer"),
    )
    return SyntheticPrompt(
        "chemistry",
        "chemistry",
        f"chemistry-{number}",
        prompt,
        str(holds),
        f"{said} Answer: {holds}",
        wrong,
        str(holds),
    )


def code(random: Random, number: int) -> SyntheticPrompt:
    """Ask for a small Python function."""
    factor = random.randint(2, 9)
    cases = [{"args": [n], "expected": n * factor} for n in (0, 1, -3, random.randint(10, 99))]
    prompt = f"Write a Python function `scale(n)` that returns n times {factor}."
    name = "def scale(n): ..."
    right = f"```python\ndef scale(n):\n    return n * {factor}\n```\nIt multiplies, so zero and negative numbers work as well."
    wrong = (
        (
            f"```python\ndef scale(n):\n    return sum(n for _ in range({factor - 1}))\n```",
            name,
            "wrong_output",
        ),
        (
            f"```python\ndef scale(n):\n    while n != {factor}:\n        n = n\n    return n\n```",
            name,
            "timeout",
        ),
        (f"Multiply by {factor}.", "", "no_answer"),
    )
    info = json.dumps({"tests": {"type": "call", "entry_point": "scale", "cases": cases}})
    answer = f"def scale(n):\n    return n * {factor}\n"
    return SyntheticPrompt("code", "code", f"code-{number}", prompt, answer, right, wrong, name, info)


MAKERS: tuple[Callable[[Random, int], SyntheticPrompt], ...] = (
    physics,
    mathematics,
    caption2mol,
    mol2caption,
    chemistry,
    code,
)


def pool(random: Random, each: int) -> list[SyntheticPrompt]:
    """Return `each` prompts per domain, the domains in turn.

    Every prompt has its own difficulty.
    """
    prompts = [make(random, number) for number in range(each) for make in MAKERS]
    return [SyntheticPrompt(**{**vars(prompt), "difficulty": random.betavariate(1.2, 1.2)}) for prompt in prompts]
