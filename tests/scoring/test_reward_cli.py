"""`innovator reward`: what scripts rely on: order, fields and exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from innovator_rl.cli.reward import app
from innovator_rl.errors import UserError


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_list() -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    assert "physics" in result.stdout


def test_score_keeps_order_and_fields(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": i, "response": str(i), "answer": str(i - i % 2)} for i in range(300)]
    out = tmp_path / "out.jsonl"
    result = CliRunner().invoke(
        app, ["score", write(tmp_path / "in.jsonl", rows), "--reward", "math", "--out", str(out), "--workers", "2"]
    )
    assert result.exit_code == 0, result.output
    scores = [json.loads(line) for line in out.read_text().splitlines()]
    assert [score["id"] for score in scores] == list(range(300))
    assert [score["correct"] for score in scores] == [i % 2 == 0 for i in range(300)]
    assert set(scores[0]) == {"id", "value", "correct", "outcome", "reason", "extracted", "terms", "seconds"}
    assert "300/300" in result.stderr


def test_exit_codes(tmp_path: Path, plugin: Path) -> None:
    rows: list[dict[str, object]] = [{"response": "raise", "answer": "x"}, {"response": "x", "answer": "x"}]
    result = CliRunner().invoke(app, ["score", write(tmp_path / "in.jsonl", rows), "--reward", "faulty"])
    assert result.exit_code == 3
    assert [json.loads(line)["reason"] for line in result.stdout.splitlines()] == ["raised", "correct"]
    result = CliRunner().invoke(
        app, ["score", write(tmp_path / "in.jsonl", [{"response": "none"}]), "--reward", "faulty"]
    )
    assert result.exit_code == 0
    for arguments, message in (
        (["score", str(tmp_path / "absent"), "--reward", "math"], "cannot read"),
        (["score", write(tmp_path / "bad.jsonl", [{"answer": "x"}]), "--reward", "math"], "response"),
        (["score", str(tmp_path / "in.jsonl"), "--reward", "maht"], "did you mean math"),
    ):
        error = CliRunner().invoke(app, arguments).exception
        assert isinstance(error, UserError)
        assert message in str(error)
    assert CliRunner().invoke(app, ["score"]).exit_code == 2


def test_code_runs_in_its_sandbox(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"response": "print(1)", "info": {"type": "stdio", "inputs": [""], "outputs": ["1"]}}
    ]
    arguments = ["score", write(tmp_path / "in.jsonl", rows), "--reward", "code"]
    assert json.loads(CliRunner().invoke(app, arguments).stdout)["correct"]
    assert json.loads(CliRunner().invoke(app, [*arguments, "--code-isolation", "strict"]).stdout)["correct"]


@pytest.mark.parametrize("name", ["physics", "math", "choice", "chemistry", "mol2caption", "caption2mol", "code"])
def test_every_rewarder_survives_odd_text(name: str, tmp_path: Path) -> None:
    texts = [
        "",
        " ",
        "\\",
        "{" * 3000,
        "\\boxed{" * 500,
        "$" * 2000,
        "\u0000\ud800",
        "x" * 100_000,
        "9^{9^{9^9}}",
        "<think>",
    ]
    rows: list[dict[str, object]] = [{"response": text, "answer": "True"} for text in texts]
    result = CliRunner().invoke(app, ["score", write(tmp_path / "in.jsonl", rows), "--reward", name])
    assert result.exit_code == 0, result.output
    assert not any(json.loads(line)["correct"] for line in result.stdout.splitlines())


def test_the_scores_do_not_replace_the_responses(tmp_path: Path) -> None:
    rows = write(tmp_path / "in.jsonl", [{"response": "1", "answer": "1"}])
    (tmp_path / "link.jsonl").symlink_to(rows)
    before = Path(rows).read_text()
    for out in (rows, str(tmp_path / "link.jsonl")):
        result = CliRunner().invoke(app, ["score", rows, "--reward", "math", "--out", out])
        assert isinstance(result.exception, UserError)
        assert "must be another file than FILE" in str(result.exception)
        assert Path(rows).read_text() == before


def test_an_output_file_that_cannot_be_written_is_a_users_mistake(tmp_path: Path) -> None:
    rows = write(tmp_path / "in.jsonl", [{"response": "1", "answer": "1"}])
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["score", rows, "--reward", "math", "--out", str(tmp_path / "file" / "out.jsonl")])
    assert isinstance(result.exception, UserError)
    assert "cannot be written" in str(result.exception)
