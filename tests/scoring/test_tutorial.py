"""The commands of docs/rewards.md, run one after the other as a reader would."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from innovator_rl.cli.reward import app
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.scoring import composite
from innovator_rl.scoring.authoring import golden

TEXT = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text(encoding="utf-8")


def test_every_command_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    rows = [{"response": "Answer: 36", "answer": "35.9"}, {"response": "36", "answer": "35.9"}]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorder = Recorder(tmp_path / "runs" / "demo", writer="w", attempt=1)
    recorder.rollout(RolloutRow(step=1, prompt_uid="p", sample=0, status="ok", **rows[0]))
    recorder.close()
    commands = re.findall(r"^\$ innovator reward (.*)$", TEXT, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["new", "check", "score", "rescore"]
    for command in commands:
        result = CliRunner().invoke(app, shlex.split(command))
        assert result.exit_code == 0, f"{command}\n{result.output}"
    assert [json.loads(line)["correct"] for line in Path("scores.jsonl").read_text().splitlines()] == [True, False]
    assert json.loads(Path("changes.jsonl").read_text())["changed"]


def test_the_routes_and_the_golden_cases_can_be_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    for name in yaml.safe_load(block)["reward"]["routes"].values():
        if composite.is_composite(name):
            assert composite.parse(name).high == 1.0
    line, group, info, design = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert json.loads(design)["info"]["formula"] == "C9H8O4"
    Path(tmp_path, "golden.jsonl").write_text(line + group)
    assert [case.kind for case in golden.read(Path(tmp_path, "golden.jsonl"))] == ["zero", "full", "zero"]
    assert json.loads(info)["rubric"][1]["weight"] < 0


def test_the_python_examples_run(tmp_path: Path) -> None:
    short_forms, _ = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(short_forms, {})
