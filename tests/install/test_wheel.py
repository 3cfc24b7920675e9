"""The wheel alone, in a fresh environment and an empty folder: a project is written and a model trains one step."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("innovator_rl", "rewards", "upcycle", "datasets", "configs")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources so that no earlier build leaves files in it."""
    work = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, work / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (path for path in ROOT.iterdir() if path.is_file()):
        shutil.copy(file, work / "source")
    command = ["wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(work), str(work / "source")]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, timeout=280)
    return next(work.glob("*.whl"))


@pytest.fixture(scope="module")
def innovator(wheel: Path) -> Path:
    """The command of a fresh environment that has the wheel, and this environment's libraries without its checkout."""
    folder = wheel.parent / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=280)
    site = next(folder.glob("lib/python*/site-packages"))
    install = ["install", "--no-deps", "--no-index", "--quiet", "--prefix", str(folder), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install, "--ignore-installed"], check=True, timeout=280)
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")  # its own .pth files are not read
    script = folder / "bin" / "innovator"
    lines = script.read_text().splitlines(keepends=True)
    script.write_text("".join([f"#!{folder}/bin/python\n", *lines[1:]]))
    return script


def call(command: Path, folder: Path, *words: str, seconds: int = 280) -> str:
    """Run the command outside the checkout; its standard output."""
    left_out = ("PYTHONPATH", "INNOVATOR_RUNS_DIR", "PYTEST_CURRENT_TEST")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    result = subprocess.run(
        [str(command), *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_wheel_has_the_files_and_no_package_named_datasets(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"innovator_rl/py.typed", "innovator_rl/_share/configs/train/demo.yaml"} <= names
    for folder in (ROOT / "datasets").glob("*/dataset.yaml"):
        assert f"innovator_rl/_share/datasets/{folder.parent.name}/sample.jsonl" in names
    assert not any(name.startswith(("datasets/", "configs/", "tests/", "tools/")) for name in names)


def test_the_code_comes_from_the_wheel(innovator: Path, tmp_path: Path) -> None:
    python = innovator.with_name("python")
    where = call(
        python, tmp_path, "-c", "import datasets, innovator_rl; print(innovator_rl.__file__, datasets.Dataset)"
    )
    assert where.startswith(str(innovator.parents[1]))


def test_shipped_names_work_in_an_empty_folder(innovator: Path, tmp_path: Path) -> None:
    assert "has-nitrogen" in call(innovator, tmp_path, "data", "show")
    assert "physics" in call(innovator, tmp_path, "reward", "list")
    settings = ["model.path=tiny-qwen2", "data.max_prompt_tokens=600"]  # its tokens are letters
    summary = json.loads(call(innovator, tmp_path, "train", "demo", "--dry-run", *settings))
    assert summary["run"] == str(tmp_path / "runs" / "demo")
    responses = tmp_path / "answers.jsonl"
    responses.write_text(json.dumps({"response": "4", "answer": "4"}) + "\n")
    assert json.loads(call(innovator, tmp_path, "reward", "score", str(responses), "--reward", "math"))["correct"]


@pytest.mark.timeout(900)
def test_a_new_project_trains_one_step(innovator: Path, tmp_path: Path) -> None:
    call(innovator, tmp_path, "init", "project")
    settings = [
        "model.path=tiny-qwen2",
        "resources.platform=cpu",
        "schedule.steps=1",
        "schedule.validate_every=0",
        "schedule.validate_before=false",
        "schedule.save_every=0",
        "algorithm.prompts_per_step=2",
        "algorithm.dynamic_sampling.enabled=false",
        "rollout.samples_per_prompt=2",
        "rollout.max_response_tokens=8",
    ]
    project = tmp_path / "project"
    call(innovator, project, "train", "train.yaml", *settings, seconds=840)
    shown = json.loads(call(innovator, project, "runs", "show", "first", "--json"))
    assert (shown["status"], shown["step"]) == ("finished", 1)
    rows = json.loads(call(innovator, project, "runs", "show", "first", "--step", "1", "--json"))
    assert [row["samples"] for row in rows] == [2, 2]
