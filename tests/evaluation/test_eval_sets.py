"""The sets that the harness lacks, from their published files and from small ones of the same form."""

import json
from pathlib import Path

import pytest
from real_data import DATA, needs, real

from innovator_rl.evaluation.questions import Question
from innovator_rl.evaluation.sets import SETS
from innovator_rl.evaluation.sets.mathematics import last_box
from innovator_rl.evaluation.sets.sciassess import TASKS, entities, exact_f1, official_letter, questions, strict_choice
from innovator_rl.evaluation.task import Drawing, TaskUnavailable

OPTIONS = ("a) Alpha and omega", "b) Beta", "c) Gamma rays")


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("b) Beta", "b"),
        ("(B) whatever", "b"),
        ("b", "b"),
        ("", "b"),
        ("A or B", "b"),
        ("Definitely not a), it is b)", "a"),
    ],
)
def test_the_official_metric_of_choices_has_the_faults_of_the_benchmark(response: str, letter: str) -> None:
    assert official_letter(response, OPTIONS) == letter


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("b) Beta", True),
        ("(B)", True),
        ("b", True),
        ("Beta", True),
        ("<think>a) or c)</think>b) Beta", True),
        ("I compared a) and c). The answer is b) Beta", True),
        ("", False),
        ("A or B", False),
        ("a) or b)", False),
        ("a) Alpha and omega", False),
        ("not b)", False),
    ],
)
def test_the_strict_metric_of_choices_wants_one_option(response: str, right: bool) -> None:
    question = Question(id="q", messages=({"role": "user", "content": "Which?"},), answer="B", options=OPTIONS)
    assert strict_choice(question, response) == float(right)


def test_entities_keep_commas_and_brackets_inside_a_name() -> None:
    assert entities("(1,2-dichloroethane , nausea),((R)-warfarin, bleeding)") == [
        "1,2-dichloroethane,nausea",
        "(r)-warfarin,bleeding",
    ]
    two = Question(id="q", messages=(), answer="(a),(b)")
    assert exact_f1(two, "(A), (c)") == pytest.approx(0.5)
    assert exact_f1(two, "") == 0.0
    assert exact_f1(two, "(a)") == pytest.approx(2 / 3)


def test_the_last_box_is_read_with_its_inner_braces() -> None:
    assert last_box(r"\boxed{1} and \boxed{\frac{a}{b}}") == r"\frac{a}{b}"
    with pytest.raises(ValueError, match="boxed"):
        last_box("no box")


def test_a_limit_draws_from_the_whole_set() -> None:
    drawn = Drawing(limit=20, seed=1).indices(1000)
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 20
    assert drawn[-1] > 500
    assert drawn == Drawing(limit=20, seed=1).indices(1000)
    assert drawn != Drawing(limit=20, seed=2).indices(1000)
    assert Drawing(limit=20).indices(5) == [0, 1, 2, 3, 4]


def test_a_missing_set_says_what_to_supply(tmp_path: Path) -> None:
    with pytest.raises(TaskUnavailable, match=r"Maxwell-Jia/AIME_2024 is not here: put it at eval/math/aime24.jsonl"):
        SETS["aime24"][1](tmp_path)


def test_olympicarena_keeps_what_can_be_graded(tmp_path: Path) -> None:
    rows = [
        {
            "id": "P1",
            "problem": "g?",
            "answer_type": "NV",
            "answer": ["9.81"],
            "unit": "m/s^2",
            "modality": "text-only",
        },
        {"id": "P2", "problem": "Which two?", "answer_type": "MC", "answer": ["A", "C"], "modality": "text-only"},
        {"id": "P3", "problem": "See figure", "answer_type": "NV", "answer": ["1"], "figure_urls": ["u"]},
        {"id": "P4", "problem": "Write a program", "answer_type": "CODE", "answer": [""]},
    ]
    file = tmp_path / "olympicarena/Physics/val.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(map(json.dumps, rows)))
    found = SETS["olympicarena-physics"][1](tmp_path)
    assert [(q.answer, q.rewarder) for q in found] == [("9.81 m/s^2", "physics"), ("AC", "choice")]


@needs("eval/math")
def test_the_published_sets_have_their_known_sizes() -> None:
    sizes = {
        "aime24": 30,
        "amc23": 40,
        "math500": 500,
        "olympiadbench": 675,
        "minerva": 272,
        "cmath": 600,
        "sat-math": 32,
    }
    found: dict[str, list[Question]] = {name: SETS[name][1](DATA) for name in sizes}
    assert {name: len(rows) for name, rows in found.items()} == sizes
    assert all(len({q.id for q in rows}) == len(rows) and all(q.answer for q in rows) for rows in found.values())
    assert found["amc23"][0].answer == "27"


@needs("sciassess")
def test_the_text_tasks_of_sciassess_are_read_whole() -> None:
    sizes = {name: len(questions(real("sciassess").parent, name)) for name, task in TASKS.items() if not task.needs_pdf}
    assert sum(sizes.values()) == 4766
    assert len(sizes) == 9
