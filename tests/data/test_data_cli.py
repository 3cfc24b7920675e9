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
        (["show", "chemestry"], "did you mean 'chemistry'"),
        (["check", "none.parquet"], "does not exist"),
        (["check", "none.parquet", "--max-prompt-tokens", "5"], "needs --model"),
    ],
)
def test_mistakes_name_the_remedy(arguments: list[str], message: str) -> None:
    result = run(app, arguments)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_an_unknown_style_lists_the_styles() -> None:
    result = run(app, ["build", "math", "--style", "long"])
    assert result.exit_code == 2
    assert "'long' is not one of 'full', 'short', 'bare'" in result.output
