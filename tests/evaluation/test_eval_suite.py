"""Suites are strict, and every mistake in one is named before anything starts."""

import json
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
        ({"filter": "flexible-extract"}, "row 'one': filter has no effect next to set"),
        ({"set": "", "task": "gsm8k", "samples": 4, "temperature": 1.0}, "has no effect next to task"),
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


ROW = {"Body": "Two and two", "Question": "How many?", "Answer": 4.0, "Type": "sum"}
CHOICE = {"question": "How many?", "choices": ["1", "2", "3", "4"], "answer": 1}
SCI = {"input": [{"role": "user", "content": "q"}], "ideal": "a) x", "option": ["a) x", "b) y"]}


@pytest.mark.parametrize(
    ("row", "place", "content", "expected"),
    [
        ({}, "eval/math/svamp.jsonl", "", "has no rows"),
        ({}, "eval/math/svamp.jsonl", {**ROW, "Body": None}, "row 1 cannot be used (Body must be a text"),
        ({}, "eval/math/svamp.jsonl", {**ROW, "Answer": None}, "must be a text or a number, got None"),
        ({}, "eval/math/svamp.jsonl", {**ROW, "Answer": float("nan")}, "must be a text or a number, got nan"),
        ({"set": "olympiadbench"}, "eval/math/olympiadbench.jsonl", {"question": "q", "final_answer": []}, "row 1"),
        ({"set": "minerva"}, "eval/math/minerva_math.jsonl", {"problem": "q", "solution": "5"}, "has no \\boxed{}"),
        ({"metric": "accuracy"}, "eval/math/svamp.jsonl", ROW, "unknown metric 'accuracy'; expected acc, reward"),
        ({"set": "", "task": "local_mmlu_stem"}, "eval/math/mmlu_stem.jsonl", {**CHOICE, "answer": 7}, "from 0 to 3"),
        ({"set": "", "task": "local_mmlu_stem"}, "eval/math/mmlu_stem.jsonl", {**CHOICE, "choices": ["1"]}, "four"),
        (
            {"set": "", "sciassess": "MAT_material_qa"},
            "sciassess/MAT_material_qa.jsonl",
            {**SCI, "input": "q"},
            "row 1",
        ),
        (
            {"set": "", "sciassess": "MAT_material_qa"},
            "sciassess/MAT_material_qa.jsonl",
            {**SCI, "ideal": "z) x"},
            "'z) x'",
        ),
    ],
)
def test_a_set_that_cannot_be_asked_is_one_line_before_a_model_is_loaded(
    tmp_path: Path,
    row: dict[str, object],
    place: str,
    content: object,
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    where = ["--data", str(tmp_path), "--runs-dir", str(tmp_path / "runs")]
    assert run(app, ["eval", written(tmp_path, **row), "--model", "tiny-qwen2", *where]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--limit", "0"),
        ("--threads", "0"),
        ("--max-new-tokens", "-5"),
        ("--context", "0"),
        ("--tensor-parallel", "0"),
        ("--dtype", "float23"),
        ("--backend", "vlm"),
        ("--name", "../x"),
        ("--tasks", ","),
        ("--out", "own.yaml/report"),
    ],
)
def test_an_impossible_option_is_named_at_once(
    tmp_path: Path, option: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(app, ["eval", written(tmp_path), "--model", "tiny-qwen2", option, value]) == 2
    message = capsys.readouterr().err
    assert option in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def checkpoint(folder: Path, **contents: str) -> Path:
    """A copy of the small model with files replaced; an empty one is left out."""
    from innovator_rl.models import make

    folder.mkdir()
    for file in make("tiny-qwen2").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for name, text in contents.items():
        path = folder / name.replace("__", ".")
        path.write_text(text) if text else path.unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({"tokenizer__json": "", "vocab__json": "", "merges__txt": ""}, "tokenizer not found"),
        ({"config__json": '{"model_type": "qwen2", "max_position_embeddings": "many"}'}, "must be a number above 0"),
        ({"config__json": '{"model_type": "qwen2", "architectures": {"a": 1}}'}, "architectures must be a list"),
        ({"model__safetensors__index__json": "[]"}, "is damaged"),
        ({"model__safetensors": "[]"}, "is damaged"),
        (
            {"chat_template__jinja": "{{ raise_exception('no system turn') }}"},
            "cannot render a prompt (no system turn)",
        ),
    ],
)
def test_a_broken_checkpoint_is_one_line(
    tmp_path: Path, contents: dict[str, str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "eval/math").mkdir(parents=True)
    (tmp_path / "eval/math/svamp.jsonl").write_text(json.dumps(ROW))
    model = checkpoint(tmp_path / "model", **contents)
    where = ["--data", str(tmp_path), "--runs-dir", str(tmp_path / "runs")]
    assert run(app, ["eval", written(tmp_path), "--model", str(model), *where]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("there", ["evaluation:\n  name: other\n", "model: {path: qwen}\n", "[not"])
def test_the_run_directory_of_something_else_is_left_alone(
    tmp_path: Path, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "runs/mine/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(there)
    where = ["--name", "mine", "--runs-dir", str(tmp_path / "runs")]
    assert run(app, ["eval", written(tmp_path), "--model", "tiny-qwen2", *where]) == 2
    assert "choose another --name" in capsys.readouterr().err
    assert config.read_text() == there


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
