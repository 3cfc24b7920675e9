"""Generated tasks about molecules: golds are right, copies and constants earn nothing, samples are the task itself."""

import json
import re
import statistics
from pathlib import Path

import pytest

from innovator_rl.data.molecule_tasks import MOLECULE_TASKS
from innovator_rl.data.problem import Problem
from innovator_rl.data.tasks import generate
from innovator_rl.errors import UserError
from innovator_rl.scoring import Score, ScoreRequest
from innovator_rl.scoring.invoke import call_rewarder
from innovator_rl.scoring.registry import load

ROOT = Path(__file__).resolve().parents[2] / "datasets"
REWARDS = {
    "structure-count": "math",
    "structure-drawing": "caption2mol",
    "same-molecule": "chemistry",
    "molecule-design": "design",
    "molecule-edit": "edit",
    "molecule-optimize": "optimize",
    "reaction-product": "reaction",
    "retrosynthesis": "reaction",
    "property-regression": "property-regression",
}
OPEN = sorted(set(REWARDS) - {"same-molecule"})


def score(task: str, response: str, problem: Problem) -> Score:
    request = ScoreRequest(REWARDS[task], response, problem.answer, problem.question, dict(problem.info))
    return call_rewarder(load(REWARDS[task]), request)


def test_every_task_has_a_rewarder() -> None:
    assert set(REWARDS) == set(MOLECULE_TASKS)


@pytest.mark.parametrize("task", sorted(REWARDS))
def test_golds_are_correct_and_copies_of_the_question_earn_nothing(task: str) -> None:
    for problem in generate(task, 24, 3, {}):
        assert score(task, f"So <answer>{problem.answer}</answer>", problem).value == 1.0, problem
        if shown := re.search(r"(?:Molecule|Reactants|Product|A): (\S+)", problem.question):
            assert score(task, f"<answer>{shown.group(1)}</answer>", problem).value <= 0.02, problem


@pytest.mark.parametrize("task", OPEN)
def test_constant_answers_earn_next_to_nothing(task: str) -> None:
    problems = generate(task, 60, 4, {})
    for constant in ("CCO", "c1ccccc1", "1", *(problem.answer for problem in problems[:4])):
        others = [problem for problem in problems[4:] if problem.answer != constant]
        scores = [score(task, f"<answer>{constant}</answer>", problem) for problem in others]
        assert statistics.mean(one.value for one in scores) <= 0.1, constant
        assert statistics.mean(one.correct for one in scores) <= 0.1, constant


def test_same_molecule_is_true_as_often_as_false() -> None:
    answers = [problem.answer for problem in generate("same-molecule", 60, 0, {})]
    assert abs(answers.count("True") - 30) <= 1


@pytest.mark.parametrize("task", sorted(REWARDS))
def test_the_sample_is_the_task_with_seed_0(task: str) -> None:
    rows = [json.loads(line) for line in (ROOT / task / "sample.jsonl").read_text().splitlines()]
    assert [(row["question"], row["answer"]) for row in rows] == [
        (p.question, p.answer) for p in generate(task, 32, 0, {})
    ]


def test_parameters_are_refused() -> None:
    with pytest.raises(UserError, match="has no parameter 'largest'"):
        generate("molecule-edit", 3, 0, {"largest": 3})
