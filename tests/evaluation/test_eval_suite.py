"""Suites are strict, and every mistake in one is named before anything starts."""

from pathlib import Path

import pytest
import yaml

from innovator_rl.cli.application import run
from innovator_rl.cli.eval import _write
from innovator_rl.cli.main import app
from innovator_rl.errors import UserError
from innovator_rl.evaluation.build import build_task, check_suite
from innovator_rl.evaluation.suite import load_suite
from innovator_rl.packaged_files import config_names
from innovator_rl.scoring import ScoringPool


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def written(folder: Path, **changes: object) -> str:
    row = {key: value for key, value in {"name": "one", "set": "svamp", **changes}.items() if value != ""}
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"name": "own", "rows": [row]}))
    return str(path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shoots": 5}, "rows.one.shoots: unknown key; did you mean shots"),
        ({"set": "svmap"}, "unknown set 'svmap': did you mean svamp"),
        ({"set": "", "task": "gsm8kk"}, "unknown task 'gsm8kk': did you mean gsm8k"),
        ({"task": "gsm8k"}, "must have exactly one of"),
        ({"rewarder": "maths"}, "maths"),
        ({"samples": 4}, "temperature above 0"),
        ({"samples": 0}, "rows.one.samples = 0"),
    ],
)
def test_a_mistake_is_one_line_with_the_near_names(
    tmp_path: Path, changes: dict[str, object], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, **changes)
    assert run(app, ["eval", path, "--model", "tiny-qwen2", "--runs-dir", str(tmp_path / "runs")]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", config_names("eval"))
def test_shipped_suites_name_only_what_exists(name: str) -> None:
    suite, _ = load_suite(name)
    check_suite(suite)
    assert {column for row in suite.rows for column in row.paper} <= set(suite.columns)


def test_an_unknown_suite_and_an_unknown_row_list_the_near_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean smoke"):
        load_suite("smok")
    with pytest.raises(UserError, match="did you mean svamp"):
        load_suite("smoke")[0].only(["svmap"])


def test_a_damaged_shard_is_found_before_it_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from innovator_rl.models import make

    broken = tmp_path / "broken"
    broken.mkdir()
    for file in make("tiny-qwen2").iterdir():
        raw = file.read_bytes()
        (broken / file.name).write_bytes(raw[:-100] if file.suffix == ".safetensors" else raw)
    assert run(app, ["eval", "smoke", "--model", str(broken), "--runs-dir", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "damaged" in message
    assert len(message.splitlines()) == 1


def test_rows_without_a_key_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "eval/math/svamp.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(
        '{"Body": "Two and two.", "Question": "How many?", "Answer": 4.0, "Type": "sum"}\n{"Body": "No more"}\n'
    )
    arguments = [
        "eval",
        written(tmp_path),
        "--model",
        "tiny-qwen2",
        "--data",
        str(tmp_path),
        "--runs-dir",
        str(tmp_path),
    ]
    assert run(app, arguments) == 2
    assert "row 2: 'Question' not found" in capsys.readouterr().err


def test_a_prompt_that_does_not_fit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "eval/math/svamp.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text('{"Body": "Two and two", "Question": "How many?", "Answer": 4.0, "Type": "sum"}\n')
    arguments = [
        "eval",
        written(tmp_path),
        "--model",
        "tiny-qwen2",
        "--data",
        str(tmp_path),
        "--runs-dir",
        str(tmp_path),
    ]
    assert run(app, [*arguments, "--max-new-tokens", "4096"]) == 2
    message = capsys.readouterr().err
    assert "must fit the context of 4096 tokens" in message
    assert "--max-new-tokens 3" in message


def test_a_row_of_a_shipped_suite_reads_its_table(tmp_path: Path) -> None:
    """The recipe of BBBP is one of `configs/data/`: the data set of its domain has no question."""
    table = tmp_path / "moleculenet/bbbp.csv"
    table.parent.mkdir()
    table.write_text("smiles,label\nCCO,1\nCCN,0\n")
    with ScoringPool(1) as pool:
        for suite, name in (("smoke", "bbbp"), ("smollm2", "bbbp"), ("reasoning", "chemistry")):
            (row,) = load_suite(suite)[0].only([name]).rows
            asked = build_task(row, tmp_path, pool).questions()
            assert ["blood-brain" in question for _, question, _ in asked] == [True, True]


def test_a_report_goes_to_a_folder_or_to_one_file(tmp_path: Path) -> None:
    forms = {".json": "{}", ".md": "# R", ".html": "<p>"}
    _write(tmp_path / "folder", "report", forms)
    _write(tmp_path / "results/evaluation.md", "report", forms)
    assert {path.name for path in (tmp_path / "folder").iterdir()} == {"report.json", "report.md", "report.html"}
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["evaluation.md"]
    with pytest.raises(UserError, match="a comparison must be written to a folder"):
        _write(tmp_path / "x.html", "comparison", {".json": "{}", ".md": "# R"})
