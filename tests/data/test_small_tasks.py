"""Tasks with worked solutions: every gold and every solution is right under its own rewarder, and none repeats."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from rdkit import Chem
from selfies import decoder

from innovator_rl.data.small_tasks import FORMULAS, NUMBER_FUNCTIONS, SMALL_TASKS
from innovator_rl.data.tasks import generate
from innovator_rl.errors import UserError
from innovator_rl.scoring import registry
from innovator_rl.scoring.api import ScoreRequest
from innovator_rl.scoring.invoke import call_rewarder

REWARDS = {
    "one-step-law": "physics",
    "linear-equation": "math",
    "product": "math",
    "formula-count": "math",
    "unit-step": "physics",
    "chain-caption": "caption2mol",
}


@pytest.mark.parametrize("task", sorted(SMALL_TASKS))
def test_a_question_is_asked_once_and_no_constant_answers_many(task):
    problems = list(SMALL_TASKS[task](random.Random(0), {}))
    assert len({problem.question for problem in problems}) == len(problems)
    assert Counter(problem.answer for problem in problems).most_common(1)[0][1] < 0.1 * len(problems)
    assert len({problem.group for problem in problems}) >= 20


@pytest.mark.parametrize(("task", "reward"), sorted(REWARDS.items()))
def test_gold_and_solution_are_correct_and_the_next_gold_is_not(task, reward):
    rewarder = registry.load(reward)
    problems = generate(task, 30, 1, {})

    def correct(response, problem):
        return call_rewarder(rewarder, ScoreRequest(reward, response, problem.answer, problem.question)).correct

    for problem, other in pairwise(problems):
        assert correct(problem.answer, problem), problem
        assert correct(problem.solution, problem), problem
        if other.answer != problem.answer:
            assert not correct(other.solution, problem), (problem, other)


def test_functions_pass_their_own_tests_and_a_function_that_passes_them_is_the_same():
    problems = generate("one-line-function", 200, 0, {})
    functions = []
    for problem in problems:
        scope = {}
        exec(problem.answer, scope)
        functions.append(scope["f"])

    def passes(function, cases):
        return all(repr(function(*case["args"])) == repr(case["expected"]) for case in cases)

    for problem, own in zip(problems, functions, strict=True):
        cases = problem.info["cases"]
        assert passes(own, cases)
        for other in functions:
            alike = all(repr(own(x)) == repr(other(x)) for x in range(4, 40))
            assert alike or not passes(other, cases), problem
    assert len(NUMBER_FUNCTIONS) == 40


def test_formulas_hold_the_atoms_that_the_table_says():
    for formula, atoms in FORMULAS.items():
        text = "".join(f"{element}{count if count > 1 else ''}" for element, count in atoms.items())
        assert text == formula


def test_chains_are_molecules_with_the_length_of_the_caption():
    for problem in generate("chain-caption", 200, 0, {}):
        molecule = Chem.MolFromSmiles(decoder(problem.answer))
        extra = sum(name in problem.question for name in ("nitrile", "aldehyde"))
        carbons = sum(atom.GetSymbol() == "C" for atom in molecule.GetAtoms())
        assert carbons == int(problem.question.split("chain of ")[1].split()[0]) + extra, problem


def test_a_wrong_parameter_is_named():
    with pytest.raises(UserError, match=r"task 'product': largest must be a whole number of at least 3, got 2"):
        generate("product", 2, 0, {"largest": 2})
    with pytest.raises(UserError, match="task 'product' has no parameter 'kinds'; it takes largest"):
        generate("product", 2, 0, {"kinds": []})
