"""Generated tasks: same seed same problems, balanced truth that RDKit confirms, arithmetic that adds up."""

from collections import Counter

import pytest
import selfies
from rdkit import Chem

from innovator_rl.data.tasks import CONVERSIONS, LAWS, PROPERTIES, TASKS, generate
from innovator_rl.errors import UserError


def test_a_seed_fixes_the_problems_and_another_changes_them() -> None:
    for task in TASKS:
        assert generate(task, 40, 3, {}) == generate(task, 40, 3, {})
        assert generate(task, 40, 3, {}) != generate(task, 40, 4, {})


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_truth_is_balanced_and_matches_the_molecule(name: str) -> None:
    problems = generate("molecule-property", 80, 0, {"properties": [name]})
    assert Counter(problem.answer for problem in problems).most_common()[0][1] <= 44
    pattern = Chem.MolFromSmarts(PROPERTIES[name].smarts)
    for problem in problems:
        molecule = Chem.MolFromSmiles(selfies.decoder(problem.question.split("Molecule: ")[1]))
        assert Chem.MolToSmiles(molecule) == problem.group
        assert str(molecule.HasSubstructMatch(pattern)) == problem.answer


def test_nitrogen_can_be_read_from_the_string() -> None:
    for problem in generate("molecule-property", 200, 1, {}):
        tokens = problem.question.split("Molecule: ")[1]
        assert (("N]" in tokens) or ("N+1" in tokens)) == (problem.answer == "True")


def test_arithmetic_is_right() -> None:
    factors = {(source, target): factor for source, target, factor in CONVERSIONS}
    for problem in generate("unit-arithmetic", 300, 0, {"largest": 12}):
        kind = problem.id.split("/")[0]
        value, unit = problem.answer.split()
        if kind == "convert":
            _, number, source, _, target = problem.question.rstrip(".").split()
            assert int(value) == int(number) * factors[source, target]
            assert unit == target
        else:
            numbers = [int(word) for word in problem.question.split() if word.isdigit()]
            assert int(value) == (numbers[0] * numbers[1] if LAWS[kind][2] == "x" else numbers[0] // numbers[1])
            assert LAWS[kind][2] == "x" or numbers[0] % numbers[1] == 0


def test_unit_statements_are_half_true_and_rightly_labelled() -> None:
    factors = {(source, target): factor for source, target, factor in CONVERSIONS}
    problems = generate("unit-statement", 200, 0, {"largest": 20})
    assert sum(problem.answer == "True" for problem in problems) == 100
    for problem in problems:
        first, source, _, second, target = problem.question.split(".")[0].split()
        assert str(int(second) == int(first) * factors[source, target]) == problem.answer


def test_sums_add_up_and_a_pair_of_numbers_is_one_group() -> None:
    problems = generate("unit-sum", 300, 0, {"largest": 9})
    for problem in problems:
        words = problem.question.split("?")[0].split()
        assert int(problem.answer) == int(words[2]) + int(words[5])
        assert words[3] == words[6]
        assert problem.group == "+".join(map(str, sorted((int(words[2]), int(words[5])))))


def test_faults_name_the_parameter() -> None:
    with pytest.raises(UserError, match="did you mean 'unit-arithmetic'"):
        generate("unit-arithmetics", 1, 0, {})
    with pytest.raises(UserError, match="no parameter 'kind'"):
        generate("unit-arithmetic", 1, 0, {"kind": "work"})
    with pytest.raises(UserError, match="'phosphorus' must be one of nitrogen"):
        generate("molecule-property", 1, 0, {"properties": "phosphorus"})
    with pytest.raises(UserError, match=r"holds about \d+ different problems, rows asks 500"):
        generate("unit-arithmetic", 500, 0, {"kinds": ["force"], "largest": 4})
    with pytest.raises(UserError, match=r"largest must be .* got 1"):
        generate("unit-statement", 1, 0, {"largest": 1})
