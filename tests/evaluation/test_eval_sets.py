"""The sets that the harness lacks, from their published files and from small ones of the same form."""

import gzip
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from real_data import DATA, needs, real

from innovator_rl.evaluation.questions import Question, Questions
from innovator_rl.evaluation.sets import SETS
from innovator_rl.evaluation.sets.entities import matched, official_entities, official_f1
from innovator_rl.evaluation.sets.mathematics import last_box
from innovator_rl.evaluation.sets.papers import exact_cells, official_yes_no, strict_yes_no
from innovator_rl.evaluation.sets.sciassess import (
    TASKS,
    entities,
    exact_f1,
    official_letter,
    questions,
    strict_choice,
    without_paper,
)
from innovator_rl.evaluation.sets.tables import accuracy_value, same_value
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


def test_letters_in_brackets_of_an_option_are_no_labels() -> None:
    options = ("a) CC(C)O", "b) CC(C)(C)Br", "c) CI ")
    question = Question(id="q", messages=(), answer="B", options=options)
    assert strict_choice(question, "b) CC(C)(C)Br") == 1.0
    assert strict_choice(question, "The answer is b) CC(C)(C)Br") == 1.0
    assert strict_choice(question, "a) CC(C)O") == 0.0


def test_entities_keep_commas_and_brackets_inside_a_name() -> None:
    assert entities("(1,2-dichloroethane , nausea),((R)-warfarin, bleeding)") == [
        "1,2-dichloroethane,nausea",
        "(r)-warfarin,bleeding",
    ]
    two = Question(id="q", messages=(), answer="(a),(b)")
    assert exact_f1(two, "(A), (c)") == pytest.approx(0.5)
    assert exact_f1(two, "") == 0.0
    assert exact_f1(two, "(a)") == pytest.approx(2 / 3)


AXES = {"nausea": 0, "sickness": 0, "aspirin": 1, "fever": 2}


def by_meaning(texts: Sequence[str]) -> np.ndarray:
    """Stand for the embedding model: words of one meaning are one axis."""
    return np.eye(4)[[AXES.get(text, 3) for text in texts]]


def test_the_official_metric_of_entities_compares_meanings() -> None:
    def f1(gold: str, answer: str, parts: int) -> float:
        question = Question(id="q", messages=(), answer=gold)
        return official_f1([(question, answer)], parts, by_meaning)[0].estimate.score

    assert f1("(nausea), (aspirin)", "(sickness)", 1) == pytest.approx(2 / 3)
    assert f1("(aspirin, nausea)", "(aspirin, sickness)", 2) == 1.0
    assert f1("(aspirin, nausea)", "(fever, sickness)", 2) == 0.0
    assert f1("(nausea)", "(1,2-dichloroethane)", 1) == 0.0  # a name with a comma is lost, as in the benchmark
    assert f1("(nausea)", "", 1) == 0.0
    twice = official_entities("(nausea), (nausea)", 1)
    assert matched(twice, twice, by_meaning) == 1  # counted once per spelling


def test_a_table_is_graded_by_its_cells() -> None:
    gold = "AlloyName,Composition,Composition\n,Al,Ca\nTX32,0.40 wt.%,2.0\nTXAZ,1.5,nan\n"
    fields = {"compare_fields": [["Composition", "Al"], ["Composition", "Ca"]], "index": "AlloyName"}
    question = Question(id="q", messages=(), answer=gold, info=fields)
    assert exact_cells(question, gold) == 1.0
    assert exact_cells(question, f"Here it is:\n```csv\n{gold}```\nDone.") == 1.0
    assert exact_cells(question, gold.replace("1.5", "1.51")) == 1.0  # within one percent
    assert exact_cells(question, gold.replace("TX32,", "TX33,")) == 0.5
    assert exact_cells(question, gold + "made up,1,2\n") == pytest.approx(4 / 6)
    assert exact_cells(question, "no table") == 0.0


def test_the_official_metric_of_tables_gives_partial_credit_and_charges_no_additional_row() -> None:
    gold = "AlloyName,Composition,Composition,Composition,Composition\n,Al,Ca,Mg,Zn\nTX32,0.4 wt.%,2.0,Bal.,1\nTXAZ,1.5,nan,90,2\n"
    fields = [["Composition", name] for name in ("Al", "Ca", "Mg", "Zn")]
    question = Question(id="q", messages=(), answer=gold, info={"compare_fields": fields, "index": "AlloyName"})
    assert accuracy_value(question, gold) == 1.0
    assert accuracy_value(question, f"<think>{gold}</think>Here it is:\n```csv\n{gold}\n```\nDone.") == 1.0
    assert accuracy_value(question, gold + "made up,1,2,3,4\n") == 1.0
    assert accuracy_value(question, gold.replace(",Ca,", ",Calcium,")) == 1.0  # a name and its symbol
    assert accuracy_value(question, gold.replace("Bal.", "95")) == 1.0
    assert accuracy_value(question, gold.replace("90,2", "60,2")) == pytest.approx(7 / 8)
    assert 0.5 < accuracy_value(question, gold.split("TXAZ")[0]) < 0.75  # "not found" is a cell like any other
    assert accuracy_value(question, "no table") == accuracy_value(question, "") == 0.0


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        ("2.0 nM", "0.002 uM", 1.0),
        ("2.0 nM", "2.0 uM", 1.0),  # a number is compared before its unit, as in the benchmark
        ("2.0 nM", "0.003 uM", 0.0),
        ("<0.01", "0.01", 1.0),
        ("1.00", "1.005", 1.0),
        ("1.00", "1.5", 0.0),
        ("NaN", "not tested", 1.0),
        ("40 degrees", "40", 1.0),
        ("abcd", "abce", 0.75),
        ("", "x", 0.0),
    ],
)
def test_cells_of_the_official_metric(one: str, other: str, score: float) -> None:
    assert same_value(one, other) == pytest.approx(score)
    assert same_value(other, one) == pytest.approx(score)


@needs("sciassess/MED_affinity_extraction.jsonl.gz")
@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if "extraction" in name])
def test_published_tables_are_right_against_themselves(name: str) -> None:
    with gzip.open(real(f"sciassess/{name}.jsonl.gz"), "rt") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, 3)]
    for row in rows:
        info = {"compare_fields": row["compare_fields"], "index": row.get("index")}
        assert accuracy_value(Question(id="q", messages=(), answer=row["ideal"], info=info), row["ideal"]) == 1.0


@pytest.mark.parametrize(
    ("response", "official", "strict"),
    [("Yes.", 1, 1), ("yes, it does", 1, 1), ("No", 0, 0), ("I say Yes", 1, 0), ("Yes or no", 1, 0), ("", 0, 0)],
)
def test_yes_and_no(response: str, official: float, strict: float) -> None:
    question = Question(id="q", messages=(), answer="Yes")
    assert official_yes_no([(question, response)])[0].estimate.score == official
    assert strict_yes_no(question, response) == strict


def pdf(text: str) -> bytes:
    """Return a PDF of one page with one line."""
    content = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >> stream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body = b"".join(b"%d 0 obj %s endobj\n" % pair for pair in enumerate(objects, 1))
    return b"%PDF-1.4\n" + body + b"trailer << /Root 1 0 R /Size 6 >>\n%%EOF"


def test_questions_about_papers_take_a_folder_of_pdfs(tmp_path: Path) -> None:
    name = "MED_mol_in_document"
    file = tmp_path / f"sciassess/{name}.jsonl"
    file.parent.mkdir()
    asked = [{"role": "system", "content": "Answer Yes or No."}, {"role": "user", "content": "Is it there?"}]
    dois = ("10.1021/jm01\u2010171", "10.1021_missing")
    rows = [{"input": asked, "ideal": ["Yes"], "doi": doi, "pages": [1, -1]} for doi in dois]
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(TaskUnavailable, match=r"asks about 2 papers.* into sciassess/pdf below the data folder"):
        questions(tmp_path, name)
    folder = tmp_path / "sciassess/pdf"
    folder.mkdir()
    (folder / "10.1021_jm01-171.pdf").write_bytes(pdf("Paclitaxel was isolated"))
    (question,) = questions(tmp_path, name)
    assert question.messages[-1]["content"].startswith("Is it there?\nThe whole content of this patent")
    assert "Paclitaxel was isolated" in question.messages[-1]["content"]
    assert question.core == "Is it there?"
    assert without_paper(tmp_path, name) == 1


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


def test_rows_without_a_question_or_an_answer_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "eval" / "math" / "gaokao2023en.jsonl"
    file.parent.mkdir(parents=True)
    rows = [
        {"question": "1 + 1?", "answer": "$2$"},
        {"question": "", "answer": ""},
        {"question": "2 + 2?", "answer": "4"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = SETS["gaokao2023en"][1](tmp_path)
    assert [(question.id, question.answer) for question in found] == [("gaokao2023en/0", "2"), ("gaokao2023en/2", "4")]
    assert isinstance(found, Questions)
    assert found.left_out == 1


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
