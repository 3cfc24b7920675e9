"""`innovator data` end to end on the shipped samples."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from innovator_rl.cli.data import app
from innovator_rl.errors import UserError
from innovator_rl.models import make

run = CliRunner().invoke


def test_build_show_and_check(tmp_path: Path) -> None:
    built = run(app, ["build", "mol2caption", "--out", str(tmp_path), "--style", "short"])
    assert built.exit_code == 0, built.output
    assert "train.parquet" in built.output
    train, validation = (tmp_path / "mol2caption" / f"{name}.parquet" for name in ("train", "validation"))
    shown = run(app, ["show", str(train), "-n", "2"])
    assert "Describe it between <answer> and </answer>" in shown.output
    assert "[C]" in shown.output  # SELFIES must not be taken for terminal markup
    checked = run(app, ["check", str(train), "--model", str(make("tiny-qwen2")), "--against", str(validation)])
    assert checked.exit_code == 0, checked.output
    assert "prompt tokens: median" in checked.output


def test_show_lists_datasets() -> None:
    listed = run(app, ["show"], terminal_width=200)
    assert listed.exit_code == 0
    assert "has-nitrogen" in listed.output


def test_check_reports_long_prompts_duplicates_and_leaks(tmp_path: Path) -> None:
    run(app, ["build", "math", "--out", str(tmp_path)])
    train = tmp_path / "math" / "train.parquet"
    model = str(make("tiny-qwen2"))
    result = run(app, ["check", str(train), "--model", model, "--max-prompt-tokens", "20", "--against", str(train)])
    assert isinstance(result.exception, UserError)
    assert "longer than 20 tokens" in str(result.exception)
    assert "are also in" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "has-nitrogen", "--source", "x"], "leave --source out"),
        (["build", "own.yaml"], "cannot be read"),
        (["build", "chemistry", "--domain", "math"], "dataset 'chemistry' has the domain 'chemistry'"),
        (["show", "chemestry"], "did you mean 'chemistry'"),
        (["check", "none.parquet"], "does not exist"),
        (["check", "none.parquet", "--max-prompt-tokens", "5"], "needs --model"),
    ],
)
def test_mistakes_name_the_remedy(arguments: list[str], message: str) -> None:
    result = run(app, arguments)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


@pytest.mark.parametrize(("taken", "out"), [("file", "file/below"), ("file", "file"), ("data/unit-sum", "data")])
def test_a_build_whose_output_folder_is_a_file_does_not_begin(taken: str, out: str, tmp_path: Path) -> None:
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).write_text("mine")
    result = run(app, ["build", "unit-sum", "--no-check", "--rows", "20", "--out", str(tmp_path / out)])
    assert isinstance(result.exception, UserError)
    assert f"{str(tmp_path / taken)!r} is a file, expected a folder" in str(result.exception)
    assert (tmp_path / taken).read_text() == "mine"


def test_check_takes_a_built_folder_and_names_the_endings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(app, ["build", "unit-sum", "--no-check", "--rows", "20", "--out", "."])
    assert "nothing wrong found" in run(app, ["check", "unit-sum"]).output
    (tmp_path / "rows.txt").write_text("{}")
    (tmp_path / "empty").mkdir()
    for path, kind in (("rows.txt", "file"), ("empty", "folder")):
        result = run(app, ["check", path])
        assert isinstance(result.exception, UserError)
        assert f"{path!r} is a {kind}; expected a file that ends in .parquet, .jsonl," in str(result.exception)


def test_check_takes_a_prompt_length_of_at_least_one() -> None:
    result = run(app, ["check", "none.parquet", "--model", "tiny-qwen2", "--max-prompt-tokens", "0"])
    assert (result.exit_code, "max-prompt-tokens" in result.output) == (2, True)


def test_an_unknown_style_lists_the_styles() -> None:
    result = run(app, ["build", "math", "--style", "long"])
    assert result.exit_code == 2
    assert "'long' is not one of 'full', 'short', 'bare'" in result.output
