"""Group rewarders in files of rows and in the check: responses of a prompt are scored together, in the rows' order."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import innovator_rl
from innovator_rl.cli.reward import app
from innovator_rl.errors import UserError
from innovator_rl.scoring.authoring import check, validate
from innovator_rl.scoring.authoring.golden import read

LONGEST = """
from innovator_rl.scoring import Score

def score(responses, answer):
    # the longest of the responses that hold the answer is right
    fit = [text for text in responses if answer and text in (f"It is {answer}", f"It must be {answer}")]
    best = max(map(len, fit), default=0)
    return [Score(1.0, True, "correct") if text in fit and len(text) == best else Score(0.0, False, "wrong") for text in responses]
"""
FIRST = "def score(responses):\n    return [float(i == 0) for i in range(len(responses))]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(LONGEST)
    (tmp_path / "first.py").write_text(FIRST)
    return tmp_path


ROWS = [
    {"id": 0, "prompt": "a", "response": "It is 4", "answer": "4"},
    {"id": 1, "prompt": "b", "response": "It is 5", "answer": "5"},
    {"id": 2, "prompt": "a", "response": "It must be 4", "answer": "4"},
    {"id": 3, "prompt": "b", "response": "None", "answer": "5"},
]


def test_rows_of_a_prompt_are_scored_together_and_keep_their_order(folder: Path) -> None:
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    result = CliRunner().invoke(app, ["score", "in.jsonl", "--reward", "mine.py:score"])
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["value"] for line in result.stdout.splitlines()] == [0, 1, 1, 0]
    named = [{**row, "group": row["id"] // 2} for row in ROWS]
    assert [score.value for score in innovator_rl.score(named, "mine.py:score")] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "reward", ["mine.py:absent", 'code(isolation="foo")', "broken.py:score", "math(tolerance='x')"]
)
def test_a_rewarder_that_cannot_be_loaded_is_one_line(folder: Path, reward: str) -> None:
    (folder / "in.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    (folder / "broken.py").write_text("import no_such_library\n")
    error = CliRunner().invoke(app, ["score", "in.jsonl", "--reward", reward, "--out", "out.jsonl"]).exception
    assert isinstance(error, UserError)
    assert "\n" not in str(error)
    assert reward.partition("(")[0] in str(error)
    assert not (folder / "out.jsonl").exists()


def golden(folder: Path, case: list[str]) -> None:
    lines = [
        {"case": case, "responses": [f"It is {n}", f"It must be {n}", f"It is {n + 1}"], "answer": str(n)}
        for n in (4, 57, 681)
    ]
    lines += [{"case": ["malformed"], "responses": [text], "answer": "4"} for text in ("none", "?", "It is")]  # type: ignore[list-item]
    (folder / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_check_scores_groups(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "LATENCY_SCORES", 1)
    monkeypatch.setattr(validate, "KILLS", 1)
    golden(folder, ["zero", "full", "zero"])
    report = check("mine.py:score")
    assert report.golden == {"zero": 6, "full": 3, "malformed": 3}
    assert not [problem for problem in report.problems if problem.part.startswith(("golden", "determinism", "probe"))]
    ordered = check("first.py:score")
    assert any("reverse order" in problem.seen for problem in ordered.problems)


def test_golden_groups_say_what_each_response_earns(folder: Path) -> None:
    golden(folder, ["zero", "full"])
    with pytest.raises(UserError, match="same length"):
        read(folder / "golden.jsonl")
    (folder / "golden.jsonl").write_text('{"case": "full", "response": "It is 4", "answer": "4"}\n')
    report = check("mine.py:score")
    assert [problem.fix for problem in report.problems if "no case has several" in problem.seen]
