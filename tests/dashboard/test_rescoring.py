"""Rescoring on the page and by the command agree: same requests, same groups, same definition of a change."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from innovator_rl.cli.reward import app
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.scoring.rescoring import installed

ROWS = (  # rewarder, response, status: all recorded as right
    ("math", "\\boxed{4}<|im_end|>", "ok"),
    ("math + 0.5 * style", "\\boxed{4}", "ok"),
    ("code(timeout_seconds=5)", "no program", "ok"),
    ("math", "", "failed"),
    ("no_such_rewarder", "\\boxed{4}", "ok"),
    ("math", "\\boxed{5}<|im_end|>", "ok"),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Six responses in a group."""
    recorder = Recorder(tmp_path / "runs" / "demo", writer="w", attempt=1)
    for sample, (rewarder, response, status) in enumerate(ROWS):
        recorder.rollout(
            RolloutRow(
                step=1,
                prompt_uid="p",
                prompt_id="p",
                sample=sample,
                rewarder=rewarder,
                response=response,
                answer="4",
                info='{"a":' * 5_000 if sample == 0 else "{}",
                score_value=1.0,
                correct=True,
                outcome="scored",
                reason="correct",
                status=status,
            )
        )
    recorder.close()
    (tmp_path / "runs" / "demo" / "run.json").write_text('{"status": "finished"}')
    return tmp_path / "runs" / "demo"


def test_page_and_command_agree(new_client: TestClient, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    CliRunner().invoke(app, ["rescore", str(run), "--out", str(out)])
    command = {row["sample"]: row for row in map(json.loads, out.read_text().splitlines())}
    names = [{"kind": "train", "step": 1, "uid": "p", "sample_index": sample} for sample in range(len(ROWS))]
    answer = new_client.post("/api/runs/demo/rescore", json={"rows": names}).json()
    page = {row["sample_index"]: row for row in answer["rows"]}
    for sample in (0, 1, 2, 5):
        assert page[sample]["changed"] == command[sample]["changed"]
        assert {name: page[sample]["new"][name] for name in ("value", "correct", "reason", "extracted")} == {
            name: command[sample]["new"][name] for name in ("value", "correct", "reason", "extracted")
        }
    assert [page[sample]["changed"] for sample in (0, 5)] == [False, True]
    assert "style" in page[1]["new"]["terms"]
    assert page[2]["new"]["reason"] not in ("unknown_rewarder", "load_failed"), "parameters are part of a name"
    assert command[3]["new"] is None
    assert (page[3]["new"]["outcome"], page[3]["new"]["reason"]) == ("skipped", "not_generated")
    assert page[4]["new"]["reason"] == command[4]["new"]["reason"] == "unknown_rewarder"
    assert (answer["summary"]["skipped"], answer["summary"]["errors"]) == (1, 1)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "evil.py:Reward",
        "math + evil.py:Reward",
        "evil.py:Gate >> math",
        "evil.py:Reward [0, 1]",
        "math(",
        "math([",
        "code(code_isolation='none')",
        "math + 0.1 * code(memory_mb=1000000)",
        "math(x=" + "(" * 5_000,
        "",
    ],
)
def test_a_name_that_leads_elsewhere_or_lifts_a_limit_is_refused(name: str) -> None:
    assert not installed(name)
