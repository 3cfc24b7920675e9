"""Shell completion, asked the way a shell asks: commands, options, runs, configurations and configuration keys."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from innovator_rl.cli.main import main

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Complete:
    """What a shell offers for the last word of the line `words`, in the folder."""

    def ask(words: str, folder: Path, shell: str = "bash") -> list[str]:
        line = f"innovator {words}"
        monkeypatch.chdir(folder)
        monkeypatch.delenv("INNOVATOR_RUNS_DIR", raising=False)
        monkeypatch.setenv("_INNOVATOR_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        with pytest.raises(SystemExit) as ended:
            main([])
        shown = capsys.readouterr()
        assert (ended.value.code, shown.err) == (0, "")
        return [text for text in shown.out.splitlines() if text]

    return ask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion")
    for name in ("first", "second"):
        (path / "runs" / name).mkdir(parents=True)
        (path / "runs" / name / "run.json").write_text(json.dumps({"name": name, "status": "finished"}))
    (path / "mine.yaml").write_text("name: mine\n")
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("d", ["doctor", "data", "dashboard"]),
        ("--deb", ["--debug"]),
        ("runs s", ["show", "stop", "spans"]),
        ("runs show ", ["first", "second"]),
        ("runs stop f", ["first"]),
        ("runs show first --ki", ["--kind"]),
        ("runs show first --kind v", ["validation"]),
        ("train de", ["demo"]),
        ("train mi", ["mine.yaml"]),
        ("train demo schedule.st", ["schedule.steps="]),
        ("doctor demo algorithm.learning", ["algorithm.learning_rate="]),
        ("data build unit-su", ["unit-sum"]),
    ],
)
def test_bash(complete: Complete, words: str, offered: list[str], folder: Path) -> None:
    assert complete(words, folder) == offered


def test_the_folder_of_runs_is_honored(complete: Complete, folder: Path) -> None:
    elsewhere = folder / "runs"
    assert complete(f"runs show --runs-dir {elsewhere} f", folder.parent) == ["first"]


def test_other_shells_get_the_meaning_too(complete: Complete, folder: Path) -> None:
    assert any("doctor" in line and "Diagnose" in line for line in complete("doc", folder, "fish"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(shell: str) -> None:
    environment = {**os.environ, "_INNOVATOR_COMPLETE": f"source_{shell}"}
    result = subprocess.run(
        [sys.executable, "-m", "innovator_rl"], capture_output=True, text=True, env=environment, timeout=60
    )
    assert result.returncode == 0
    assert f"complete_{shell}" in result.stdout


def test_bash_runs_the_script(folder: Path) -> None:
    """The whole way: the installed script in a real bash, asked for the completions of a line."""
    script = (
        'eval "$(_INNOVATOR_COMPLETE=source_bash innovator)"; COMP_WORDS=(innovator runs show s); COMP_CWORD=3; '
        '_innovator_completion innovator; echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, "PATH": path},
    )
    assert result.stdout.strip() == "second", result.stderr
