"""`innovator data` on corpora and on page layouts, from the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from innovator_rl.cli.data import app
from innovator_rl.errors import UserError

run = CliRunner().invoke


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [{"text": f"Row {i} of a small corpus about [C][O] number {i}."} for i in range(6)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "small.yaml"
    path.write_text("name: small\nsources: [{name: a, path: rows.jsonl}]\nsteps: [{step: drop_short, min_words: 3}]\n")
    return path


def test_build_show_and_check(recipe: Path) -> None:
    built = run(app, ["build", str(recipe)])
    assert built.exit_code == 0, built.output
    assert "data/small: 6 documents" in built.output
    for what in (str(recipe), "small", "data/small", "data/small/manifest.json"):
        shown = run(app, ["show", what, "-n", "2"])
        assert "Row 1 of a small corpus about [C][O]" in shown.output
        checked = run(app, ["check", what])
        assert "nothing wrong found" in checked.output, checked.output
    Path("data/small/README.md").write_text("other")
    assert isinstance(run(app, ["check", "small"]).exception, UserError)


def test_options_of_datasets_do_not_apply_to_corpora(recipe: Path) -> None:
    result = run(app, ["build", str(recipe), "--rows", "5"])
    assert isinstance(result.exception, UserError)
    assert "do not apply" in str(result.exception)


def test_show_before_the_build(recipe: Path) -> None:
    result = run(app, ["show", str(recipe)])
    assert "innovator data build" in str(result.exception)


def test_layout(tmp_path: Path) -> None:
    pytest.importorskip("docling")
    blocks = [
        {"page": 1, "bbox": [50, 300, 550, 320], "type": "text", "text": "second", "extra": 1},
        {"page": 1, "bbox": [50, 100, 550, 120], "type": "text", "text": "first"},
    ]
    file = tmp_path / "in.json"
    file.write_text(json.dumps({"name": "n", "pages": {"1": {"width": 600, "height": 800}}, "blocks": blocks}))
    result = run(app, ["layout", str(file), "--out", str(tmp_path / "out.json")])
    assert result.exit_code == 0, result.output
    ordered = json.loads((tmp_path / "out.json").read_text())
    assert ordered["blocks"] == [blocks[1], blocks[0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ('{"pages": {}, "blocks": 3}', "`blocks` must be a list"),
    ],
)
def test_layout_mistakes(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "in.json"
    if content is not None:
        file.write_text(content)
    result = run(app, ["layout", str(file), "--out", str(tmp_path / "out.json")])
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
