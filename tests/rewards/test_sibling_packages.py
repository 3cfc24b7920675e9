"""The built-in rewarders and `upcycle` are found from a folder that holds packages of the same names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    {"response": "\\boxed{9.8 m/s^2}", "answer": "9.8 m/s^2"},
    {"response": "\\boxed{2 m}", "answer": "3 m"},
]
OWN_REWARD = "def score(response, answer):\n    return 0.25\n"
LIMIT = 240
PACKAGES = ("innovator_rl", "rewards", "upcycle", "datasets", "configs", "LICENSES", "docs", "examples")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with `rewards/` and `upcycle/` of the user's own."""
    for package in ("rewards", "upcycle"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(
            f"raise RuntimeError('the {package} of the working directory')\n"
        )
    (tmp_path / "rewards" / "physics.py").write_text(OWN_REWARD)
    (tmp_path / "rewards" / "mine.py").write_text(OWN_REWARD)
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def run(folder: Path, *words: str, path: Path = ROOT, rc: int = 0) -> str:
    """What a Python process started in the folder prints; the folder stands first on its path, as with `python -m`."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{path}"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == rc, done.stderr
    return done.stdout if rc == 0 else done.stderr


INNOVATOR = ("-m", "innovator_rl.cli.main")


def score(folder: Path, reward: str, path: Path = ROOT) -> list[dict[str, object]]:
    out = run(folder, *INNOVATOR, "reward", "score", "answers.jsonl", "--reward", reward, path=path)
    return [json.loads(line) for line in out.splitlines()]


def test_the_commands_use_the_built_in_rewarders(folder: Path) -> None:
    assert "rewards.physics:Physics" in run(folder, *INNOVATOR, "reward", "list")
    assert [row["correct"] for row in score(folder, "physics")] == [True, False]


def test_a_file_of_the_users_own_folder_is_loaded_by_its_path(folder: Path) -> None:
    assert [row["value"] for row in score(folder, "rewards/physics.py:score")] == [0.25, 0.25]


@pytest.mark.parametrize("module", ["rewards.mine", "rewards.physics"])
def test_the_module_name_of_a_hidden_file_is_an_error_that_names_its_path(folder: Path, module: str) -> None:
    message = run(folder, *INNOVATOR, "reward", "score", "answers.jsonl", "--reward", f"{module}:score", rc=2)
    assert "Traceback" not in message
    assert f"{folder / module.replace('.', '/')}.py:score" in message


def test_a_package_imported_before_innovator_rl_is_named(folder: Path) -> None:
    (folder / "rewards" / "__init__.py").write_text("")
    code = (
        "import rewards\nfrom innovator_rl.errors import UserError\nfrom innovator_rl.scoring import registry\n"
        "try:\n    registry.load('physics')\nexcept UserError as error:\n    print(error)"
    )
    assert f"{folder / 'rewards'} was imported" in run(folder, "-c", code)


def test_upcycle_is_the_installed_one(folder: Path) -> None:
    code = "import innovator_rl, upcycle.config, rewards.code; print(upcycle.__file__, rewards.__file__)"
    assert run(folder, "-c", code).split() == [str(ROOT / name / "__init__.py") for name in ("upcycle", "rewards")]


def test_a_module_of_a_sibling_package_runs_as_a_program(folder: Path) -> None:
    usage = run(folder, "-m", "innovator_rl._sibling_packages", "rewards.code.service", "--help")
    assert "--isolation" in usage


def test_an_installed_wheel_has_every_built_in_rewarder(folder: Path) -> None:
    source, target = folder / "source", folder / "site"
    source.mkdir()
    for path in ROOT.iterdir():  # a copy, because setuptools builds in the source folder
        if path.name in PACKAGES or path.is_file():
            subprocess.run(["cp", "-r", str(path), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "wheel", *offline, "--no-build-isolation", "-q", "-w", folder, source], check=True, cwd=folder
    )
    (wheel,) = folder.glob("innovator_rl-*.whl")
    subprocess.run([*pip, "install", *offline, "-q", "--target", target, wheel], check=True, cwd=folder)
    code = "import innovator_rl, rewards; print(innovator_rl.__file__, rewards.__file__)"
    assert run(folder, "-c", code, path=target).split() == [
        str(target / name / "__init__.py") for name in ("innovator_rl", "rewards")
    ]
    listed = run(folder, *INNOVATOR, "reward", "list", path=target)
    for name in ("physics", "math", "choice", "style", "chemistry", "mol2caption", "caption2mol", "code"):
        assert f"{name} " in listed
    assert [row["correct"] for row in score(folder, "physics", path=target)] == [True, False]
