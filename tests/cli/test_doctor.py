"""`innovator doctor`: exit codes, the table, and JSON that a script may rely on."""

import json

import pytest

from innovator_rl.cli.main import main


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--quick", *words])
    return int(caught.value.code or 0), capsys.readouterr().out


def test_json_names_setting_reason_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = call(
        capsys, "--json", "model.path=tiny-qwen2", "rollout.samples_per_prompt=1", "resources.platform=cpu"
    )
    answer = json.loads(out)
    assert code == 2
    assert answer["ok"] is False
    finding = next(item for item in answer["findings"] if item["setting"] == "rollout.samples_per_prompt")
    assert finding["severity"] == "error"
    assert finding["value"] == 1
    assert finding["why"]
    assert finding["fix"]
    assert answer["config"]["rollout"]["samples_per_prompt"] == 1
    assert answer["machine"]["cores"] >= 1


def test_the_machine_alone(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = call(capsys, "--json")
    answer = json.loads(out)
    assert answer["config"] is None
    assert code == (0 if answer["ok"] else 2)
    assert all(not item["setting"].startswith("data.") for item in answer["findings"])


def test_the_table_shows_every_finding(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out = call(capsys, "rollout.temperature=0", "resources.platform=cpu")
    assert code == 2
    assert "would stop the run" in out
    assert "rollout.temperature" in out
