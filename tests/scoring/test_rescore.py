"""`innovator reward rescore`: a recorded run scored again from its directory alone."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from innovator_rl.cli.reward import app
from innovator_rl.dashboard.app import create_app
from innovator_rl.errors import UserError
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow

OLD = (  # response, what was recorded of it: correct, reason
    ("\\boxed{4}<|im_end|>", True, "correct"),
    ("\\boxed{5}<|im_end|>", True, "correct"),
    ("", False, "no_answer"),
    ("\\boxed{4}", False, "wrong"),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two steps, one prompt each; in the second step one response failed to generate."""
    recorder = Recorder(tmp_path / "demo", writer="w", attempt=1)
    for step in (1, 2):
        for sample, (response, correct, reason) in enumerate(OLD):
            failed = step == 2 and sample == 0
            recorder.rollout(
                RolloutRow(
                    step=step,
                    prompt_uid=f"p{step}",
                    prompt_id="p",
                    sample=sample,
                    rewarder="math",
                    prompt="2 + 2?",
                    response=response,
                    answer="4",
                    info="{}",
                    score_value=float(correct),
                    correct=correct,
                    outcome="scored",
                    reason=reason,
                    status="failed" if failed else "ok",
                )
            )
    recorder.close()
    return tmp_path / "demo"


def test_who_changed_and_why(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = CliRunner().invoke(app, ["rescore", str(run), "--json", "--out", str(out)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["responses"], found["skipped"], found["changed"], found["errors"]) == (7, 1, 4, 0)
    assert found["moves"] == {
        "right 1.00 (correct) -> not right 0.00 (wrong)": 2,
        "not right 0.00 (wrong) -> right 1.00 (correct)": 2,
    }
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 8
    by_key = {(row["step"], row["sample"]): row for row in rows}
    assert by_key[1, 0]["new"]["extracted"] == "4", "the end of the turn is no part of the response"
    assert by_key[2, 0]["new"] is None
    text = CliRunner().invoke(app, ["rescore", str(run), "--step", "2"]).stdout
    assert "step 2 p2/1: reference 4" in text


def test_another_rewarder_and_its_errors(run: Path, plugin: Path) -> None:
    result = CliRunner().invoke(app, ["rescore", str(run), "--reward", "distinct", "--step", "1", "--json"])
    assert json.loads(result.stdout)["new_correct"] == 2, "a group rewarder sees all four: two of them are equal"
    broken = CliRunner().invoke(app, ["rescore", str(run), "--reward", "broken_import", "--step", "1"])
    assert broken.exit_code == 3
    assert "-> error 0.00 (load_failed)" in broken.stdout


def test_the_page_shows_a_group_rewarder_the_whole_group(run: Path, plugin: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    CliRunner().invoke(app, ["rescore", str(run), "--reward", "distinct", "--step", "1", "--out", str(out)])
    command = {row["sample"]: row["new"]["value"] for row in map(json.loads, out.read_text().splitlines())}
    (run / "run.json").write_text('{"status": "finished"}')
    asked = [{"kind": "train", "step": 1, "uid": "p1", "sample": sample} for sample in (0, 1)]
    with TestClient(create_app([tmp_path]), base_url="http://127.0.0.1:8000") as client:
        answer = client.post("/api/runs/demo/rescore", json={"rows": asked, "rewarder": "distinct"}).json()
    assert [row["new"]["value"] for row in answer["rows"]] == [command[0], command[1]]
    assert command[0] != command[1], "the first one's equal was not asked for"


def test_mistakes(run: Path, tmp_path: Path) -> None:
    for arguments, complaint in (
        ([str(tmp_path / "absent")], "neither a run directory"),
        ([str(run), "--step", "9"], r"step \[9\]; recorded steps: 1 to 2"),
        ([str(run), "--reward", "maht"], "did you mean math"),
    ):
        with pytest.raises(UserError, match=complaint):
            app(["rescore", *arguments], standalone_mode=False)
    wrong_kind = CliRunner().invoke(app, ["rescore", str(run), "--kind", "test"])
    assert wrong_kind.exit_code == 2
    assert "'test' is not one of 'train', 'validation'" in wrong_kind.output
