"""The samples that ship: enough of them, answers that are right, and answers that the named rewarder accepts."""

import json
from pathlib import Path
from typing import Any

import pytest
import selfies
import sympy
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors, rdMolDescriptors

from innovator_rl.data.build import open_recipe
from innovator_rl.data.tasks import generate
from innovator_rl.scoring import Score
from innovator_rl.scoring.registry import load

ROOT = Path(__file__).resolve().parents[2] / "datasets"
NAMES = sorted(path.parent.name for path in ROOT.glob("*/sample.jsonl"))
TRUTHS = {
    "ring": lambda m: m.GetRingInfo().NumRings() > 0,
    "aromatic": lambda m: rdMolDescriptors.CalcNumAromaticRings(m) > 0,
    "acid": lambda m: m.HasSubstructMatch(Chem.MolFromSmarts("C(=O)[OX2H1]")),
    "logp": lambda m: Crippen.MolLogP(m) > 1.5,
    "bbb": lambda m: (
        Descriptors.MolWt(m) < 450 and rdMolDescriptors.CalcTPSA(m) < 90 and rdMolDescriptors.CalcNumHBD(m) <= 3
    ),
    "donor": lambda m: rdMolDescriptors.CalcNumHBD(m) >= 2,
    "stereo": lambda m: bool(Chem.FindMolChiralCenters(m)),
}


def sample(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / name / "sample.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_many_and_distinct(name: str) -> None:
    rows = sample(name)
    assert len(rows) >= 24
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == len(rows)
    assert all(row["question"].strip() and row["answer"].strip() for row in rows)
    assert f"# {name}" in (ROOT / name / "README.md").read_text()


@pytest.mark.parametrize("name", ["physics", "math", "stem"])
def test_computed_answers_agree(name: str) -> None:
    names = {key: getattr(sympy, key) for key in sympy.__all__}
    checked = [row for row in sample(name) if "computed" in row]
    assert len(checked) >= 8
    for row in checked:
        computed = eval(row["computed"], {**names, "x": sympy.Symbol("x"), "max": max, "min": min, "sum": sum})
        if isinstance(computed, bool) or computed in (sympy.true, sympy.false):
            assert str(bool(computed)) == row["answer"], row["id"]
            continue
        number = plain_number(row["answer"])
        tolerance = 5e-3 if name == "physics" else 1e-9
        assert abs(float(computed) - number) <= tolerance * abs(number), row["id"]


def plain_number(answer: str) -> float:
    """The value of a gold answer such as `4.99 \\times 10^{4} \\ \\mathrm{Pa}`, `\\frac{1}{6}` or `8\\sqrt{2}`."""
    text = answer.split(" \\ ")[0].replace("\\times 10^", "*10**").replace("\\sqrt{2}", "*2**(1/2)")
    text = text.replace("\\frac{", "(").replace("}{", ")/(").replace("{", "(").replace("}", ")")
    return float(sympy.sympify(text))


def test_chemistry_answers_are_what_rdkit_computes() -> None:
    rows = sample("chemistry")
    for row in rows:
        molecule = Chem.MolFromSmiles(selfies.decoder(row["question"].split("Molecule: ")[1]))
        assert Chem.MolToSmiles(molecule) == row["smiles"]
        assert str(bool(TRUTHS[row["property"]](molecule))) == row["answer"], row["id"]
    share = sum(row["answer"] == "True" for row in rows) / len(rows)
    assert 0.3 < share < 0.7


def test_molecules_decode_to_themselves_in_both_directions() -> None:
    for name, column in (("mol2caption", "question"), ("caption2mol", "answer")):
        for row in sample(name):
            decoded = Chem.MolFromSmiles(selfies.decoder(row[column]))
            assert Chem.MolToSmiles(decoded) == row["group"]


@pytest.mark.parametrize("name", ["has-nitrogen", "unit-check", "unit-arithmetic"])
def test_a_generated_sample_is_the_task_with_seed_0(name: str) -> None:
    recipe, _ = open_recipe(name)
    assert recipe.task
    expected = generate(recipe.task, len(sample(name)), 0, recipe.parameters)
    assert [(row["question"], row["answer"]) for row in sample(name)] == [(p.question, p.answer) for p in expected]


@pytest.mark.parametrize("name", NAMES)
def test_the_rewarder_accepts_each_gold_answer_and_nothing_empty(name: str) -> None:
    recipe, _ = open_recipe(name)
    for row in sample(name):
        right = judge(recipe.rewarder, row, formatted(recipe.domain, row["answer"]))
        assert right.correct, (row["id"], row["answer"], right)
        assert not judge(recipe.rewarder, row, "I do not know.").correct, row["id"]


def formatted(domain: str, answer: str) -> str:
    if domain == "chemistry":
        return f"The molecule was looked at.\nAnswer: {answer}"
    if domain == "code":
        return f"Here it is:\n```python\n{answer}```\n"
    return (
        f"So <answer>{answer}</answer>"
        if domain in ("caption2mol", "mol2caption")
        else f"So it is $\\boxed{{{answer}}}$."
    )


def judge(rewarder: str, row: dict[str, Any], response: str) -> Score:
    import inspect

    found = load(rewarder)
    given = {
        "prompt": row["question"],
        "response": response,
        "answer": row["answer"],
        "info": row.get("info", {}),
        "data_source": "x",
    }
    target = found if inspect.isfunction(found) else found.__call__
    wanted = inspect.signature(target).parameters
    score = found(**{key: value for key, value in given.items() if key in wanted})
    assert isinstance(score, Score)
    return score
