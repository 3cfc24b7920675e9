"""`innovator init` writes a project that passes its own checks."""

import json
from pathlib import Path

import pytest

from innovator_rl.cli.main import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INNOVATOR_RUNS_DIR", raising=False)
    assert call("init", "project") == 0
    assert "next: cd project" in capsys.readouterr().out
    monkeypatch.chdir("project")
    return tmp_path / "project"


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def test_the_rewarder_is_ready(project: Path) -> None:
    assert call("reward", "check", "weight_reward.py:same_number", "--golden", "golden.jsonl") == 0


def test_the_run_passes_a_dry_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", "train.yaml", "--dry-run", "model.path=tiny-qwen2", "resources.platform=cpu") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["run"] == str(project / "runs" / "first")
    assert all(Path(file).is_file() for file in summary["files"])


def test_the_questions_are_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("data", "show", "weights") == 0
    assert "What do they weigh together" in capsys.readouterr().out


def test_a_folder_with_files_is_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(project.rglob("*"))
    assert call("init", ".") == 2
    assert "new or empty" in capsys.readouterr().err
    assert sorted(project.rglob("*")) == before
