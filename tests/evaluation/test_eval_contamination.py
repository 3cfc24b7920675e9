"""Questions of a suite are found in training rows whatever frame or spelling they have there."""

import gzip
import json
from pathlib import Path

import pytest
import yaml
from real_data import needs, real

from innovator_rl.cli.application import run
from innovator_rl.cli.main import app
from innovator_rl.evaluation.contamination import find_contamination, training_text
from innovator_rl.evaluation.sets.mathematics import MATH_SETS


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


LONG = "A train leaves the station at noon and travels north at ninety kilometers per hour until it reaches the river bridge"


@pytest.mark.parametrize(
    ("prompt", "hit"),
    [
        (f"Task: solve.\n\nProblem: {LONG}.\n\nPlease reason.", True),
        (LONG.upper().replace(" ", "  "), True),
        (LONG.replace("noon", "nine").replace("ninety", "eighty").replace("river", "old"), False),
        ("Where is the station?", False),
    ],
)
def test_a_question_is_found_in_another_frame(prompt: str, hit: bool) -> None:
    found = find_contamination(
        "t", [("q", LONG, "3"), ("other", "What is the capital of a far away land?", "x")], [("r", prompt, "")]
    )
    assert found.text == (("q",) if hit else ())


LOGP = "What is the logP of this molecule?\nMolecule: "
CHAIN = "A straight chain of 10 carbon atoms with a thiol group at one end"


@pytest.mark.parametrize(
    ("prompt", "hit"),
    [
        (f"{CHAIN}.", True),
        (f"{CHAIN}.\nWrite this molecule in SELFIES.", True),
        (f"7. {CHAIN.upper()}", True),
        (f"- **{CHAIN}**", True),
        (f"Draw the following. {CHAIN}? Then name it.", True),
        (f'He asked: "{CHAIN}" and left.', True),
        (f"Some other text stands here.\n\n{CHAIN}\n\nMore text.", True),
        (f"{CHAIN} and a fluorine atom at the other.", False),
        (f"{CHAIN}, and a fluorine atom at the other.", False),
        (f"How heavy is {CHAIN.lower()}?", False),
        (CHAIN.replace("10", "10.5"), False),
    ],
)
def test_a_short_question_that_begins_a_longer_one_is_another_question(prompt: str, hit: bool) -> None:
    found = find_contamination("t", [("q", f"{CHAIN}.", ""), ("other", LONG, "")], [("r", prompt, "")])
    assert found.text == (("q",) if hit else ())


@pytest.mark.parametrize(
    ("asked", "prompt", "hit"),
    [
        (r"Evaluate $\frac{1}{2} \cdot \left(x + 3\right)$ at 4", r"Evaluate \(\dfrac12 \times (x+3)\) at 4", True),
        (r"Find the area of 12,000 circles of $90^\circ$", "Find the area of 12000 circles of 90°", True),
        (r"Solve $x^2 \leq 4$ for real x", "Solve x² ≤ 4 for real x", True),
        ("Is 3 &lt; x &amp; x &lt; 5 true for four?", "Is 3 < x & x < 5 true for four?", True),
        (r"Evaluate $\frac{1}{2} \cdot (x + 3)$ at 4", r"Evaluate $\frac{1}{2} \cdot (x - 3)$ at 4", False),
        (
            LOGP + "CC(C)c1ccccc1",
            LOGP + "CCCc1ccccc1",
            False,
        ),
        (
            LOGP + "C[C@H](N)C1CC1",
            LOGP + "C[C@@H](N)C1CC1",
            False,
        ),
        (
            LOGP + "C1CCCCC1C(=O)O",
            LOGP + "c1ccccc1C(=O)O",
            False,
        ),
        (
            LOGP + "CC(C)c1ccccc1",
            "Task. " + LOGP.replace("\n", " ") + "CC(C)c1ccccc1.",
            True,
        ),
    ],
)
def test_spellings_of_formulas_and_molecules(asked: str, prompt: str, hit: bool) -> None:
    assert bool(find_contamination("t", [("q", asked, "")], [("r", prompt, "")]).text) is hit


TEMPLATE = "A force of {} N acts along {} m. How much work is done, in J? Answer with a number and its unit."


def test_other_numbers_in_the_same_template_are_another_question() -> None:
    asked = [(f"{i}/{j}", TEMPLATE.format(i, j), "") for i in range(2, 8) for j in range(2, 8)]
    training = [("r", TEMPLATE.format(i, j), "") for i in range(2, 8) for j in range(8, 12)]
    assert find_contamination("t", asked, training).text == ()
    assert find_contamination("t", asked, [("r", "Solve. " + TEMPLATE.format(3, 4), "")]).text == ("3/4",)


def test_an_operator_and_the_atoms_of_a_molecule_tell_questions_apart() -> None:
    asked = [("plus", "Solve for x: 7x + 1 = 71.", ""), ("chain", "Is the molecule " + "[C]" * 20 + " an alkane?", "")]
    assert find_contamination("t", asked, [("r", "Solve for x: 7x - 1 = 71.", "")]).text == ()
    assert find_contamination("t", asked, [("r", "Is the molecule " + "[C]" * 30 + " an alkane?", "")]).text == ()
    assert find_contamination("t", asked, [("r", question, "") for _, question, _ in asked]).text == ("chain", "plus")


@pytest.mark.parametrize("column", ["prompt", "messages"])
def test_a_file_of_conversations_is_searched(tmp_path: Path, column: str) -> None:
    file = tmp_path / "sft.jsonl"
    turns = [{"role": "user", "content": LONG}, {"role": "assistant", "content": "Three hours."}]
    file.write_text(json.dumps({column: turns}))
    assert find_contamination("t", [("q", LONG, "3")], training_text(file)).text == ("q",)


def test_the_frame_of_a_task_is_no_hit() -> None:
    frame = "Please read the following problem with care and then give the answer in a box at the end"
    asked = [(str(i), f"{frame} number{i} alpha{i}", "") for i in range(60)]
    assert find_contamination("t", asked, [("r", frame, "")]).text == ()


def test_a_molecule_is_found_in_another_spelling() -> None:
    asked = [("q", "Molecule: [C][C][O][C]", "True")]
    assert find_contamination("t", asked, [("r", "Describe it", "COCC")]).molecules == ("q",)
    assert find_contamination("t", asked, [("r", "Molecule: [C][O][C][C]", "False")]).molecules == ("q",)
    assert find_contamination("t", asked, [("r", "Molecule: [C][C][N][C]", "False")]).molecules == ()


@needs("eval/agieval/math.jsonl.gz")
def test_math500_and_agieval_share_their_known_questions() -> None:
    with gzip.open(real("eval/agieval/math.jsonl.gz"), "rt") as lines:
        rows = [json.loads(line) for line in lines]
    asked = [(q.id, q.core, q.answer) for q in MATH_SETS["math500"][1](real("eval").parent)]
    found = find_contamination("math500", asked, [(str(i), row["question"], "") for i, row in enumerate(rows)])
    assert len(found.text) >= 100


def test_the_command_names_the_questions_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tmp_path / "own.yaml"
    suite.write_text(yaml.safe_dump({"name": "own", "rows": [{"name": "text", "set": "svamp"}]}))
    file = tmp_path / "eval/math/svamp.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"Body": LONG, "Question": "How far is it?", "Answer": 4.0, "Type": "x"}))
    training = tmp_path / "train.jsonl"
    for text, code in ((f"Solve: {LONG}. How far is it?", 1), ("Something else altogether", 0)):
        training.write_text(json.dumps({"question": text, "answer": "4"}))
        assert run(app, ["eval", str(suite), "--contamination", str(training), "--data", str(tmp_path)]) == code
        assert ("svamp/0" in capsys.readouterr().out) is bool(code)
