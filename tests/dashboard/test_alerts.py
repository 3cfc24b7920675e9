"""Each alert fires on a run with its problem, stays quiet on a run without, and links to the rows."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dashboard_runs import SCIENCE, record
from fastapi.testclient import TestClient

from innovator_rl.dashboard.health.response_rules import RESPONSE_RULES
from innovator_rl.dashboard.health.rule import Rule, RuleContext, RuleResult, evaluate
from innovator_rl.dashboard.health.thresholds import Thresholds, read_thresholds
from innovator_rl.errors import UserError
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow


def alerts(client: TestClient, run: str) -> dict[str, Any]:
    answer = client.get(f"/api/runs/{run}/health")
    assert answer.status_code == 200, answer.text
    return {alert["id"]: alert for alert in answer.json()["alerts"]}


def test_the_synthetic_run_shows_its_troubles_and_their_rows(client: TestClient) -> None:
    found = alerts(client, "demo-science")
    expected = {"reward_errors", "damaged_files", "truncation", "repetition", "length_hack", "term_hack"}
    assert expected <= set(found)
    assert found["term_hack"]["title"].endswith("reasoning_words")
    for name in ("reward_errors", "truncation", "repetition"):
        alert = found[name]
        rows = client.get(f"{SCIENCE}/{alert['link']['view']}?{alert['link']['query']}").json()
        assert rows["total"] > 0
        if name == "truncation":
            assert rows["total"] == alert["rows"]


def test_a_run_without_trouble_has_no_alert(new_client: TestClient, tmp_path: Path) -> None:
    for step in range(1, 4):
        record(tmp_path / "runs" / "r", step)
    run = tmp_path / "runs" / "r" / "run.json"
    run.write_text(json.dumps({"name": "r", "status": "finished", "heartbeat": datetime.now(UTC).isoformat()}))
    thresholds = new_client.get("/api/runs/r/health").json()["thresholds"]
    assert thresholds == Thresholds().model_dump()
    assert set(alerts(new_client, "r")) <= {"mismatch"}  # the recorded gap is 0.17


@pytest.mark.parametrize("page", ["", "/rollouts", "/labels", "/curves", "/health"])
def test_the_list_shows_the_same_alerts_whichever_page_was_visited(
    new_client: TestClient, tmp_path: Path, page: str
) -> None:
    record(tmp_path / "runs" / "r", 1, truncated=True)
    session = new_client.app.state.services.runs.open("r")  # type: ignore[attr-defined]
    assert session.wait_read()
    assert new_client.get(f"/api/runs/r{page}").status_code == 200
    counts = new_client.get("/api/runs").json()["rows"][0]["alerts"]
    assert counts == new_client.get("/api/runs/r/health").json()["counts"] != {}


def test_what_the_rules_read_from_the_record_is_cached_until_it_changes(
    new_client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[int] = []

    def counted(rules: Sequence[Rule], context: RuleContext) -> list[RuleResult]:
        evaluated.append(len(rules))
        return evaluate(rules, context)

    monkeypatch.setattr("innovator_rl.dashboard.health.alerts.evaluate", counted)
    record(tmp_path / "runs" / "r", 1)
    session = new_client.app.state.services.runs.open("r")  # type: ignore[attr-defined]
    assert session.wait_read()
    for _ in range(3):
        new_client.get("/api/runs")
    assert evaluated.count(len(RESPONSE_RULES)) == 1
    session.changed("rollouts")
    new_client.get("/api/runs")
    assert evaluated.count(len(RESPONSE_RULES)) == 2


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("truncation", {"truncated": True}),
        ("reward_errors", {"outcome": "error", "reason": "timeout"}),
        ("one_reason", {"reason": "no_answer"}),
        ("repetition", {"text": "the same words again and again " * 30}),
        ("zero_spread", {"reward": 0.5}),
        ("mismatch", {}),
    ],
)
def test_an_alert_fires_on_its_trouble(
    new_client: TestClient, tmp_path: Path, name: str, columns: dict[str, Any]
) -> None:
    record(tmp_path / "runs" / "r", 1, **columns)
    assert new_client.get("/api/runs/r").status_code == 200
    assert new_client.app.state.services.runs.open("r").wait_read()  # type: ignore[attr-defined]
    assert name in alerts(new_client, "r")


def test_a_missing_heartbeat_comes_first_and_silences_advice(new_client: TestClient, tmp_path: Path) -> None:
    record(tmp_path / "runs" / "r", 1, truncated=True)
    stale = (datetime.now(UTC) - timedelta(seconds=300)).isoformat()
    state = {"name": "r", "status": "running", "heartbeat": stale, "machine": "elsewhere", "pid": 7, "attempts": [{}]}
    (tmp_path / "runs" / "r" / "run.json").write_text(json.dumps(state))
    answer = new_client.get("/api/runs/r/health").json()
    assert answer["stalled"] is True
    assert answer["alerts"][0]["id"] == "writer_silent"
    silenced = {alert["id"]: alert["silenced"] for alert in answer["alerts"]}
    assert (silenced["writer_silent"], silenced["truncation"]) == (False, True)


def test_a_stuck_phase_is_a_stall(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r"
    record(run, 1)
    now = datetime.now(UTC)
    state = {"name": "r", "status": "running", "phase": "generating", "machine": "elsewhere", "attempts": [{}]}
    state |= {"heartbeat": now.isoformat(), "phase_since": (now - timedelta(hours=2)).isoformat()}
    (run / "run.json").write_text(json.dumps(state))
    (run / "metrics.jsonl").write_text('{"step": 1, "timing_s/step": 60}\n')
    assert next(iter(alerts(new_client, "r"))) == "stuck"


def test_lost_rows_are_shown(new_client: TestClient, tmp_path: Path) -> None:
    record(tmp_path / "runs" / "r", 1)
    assert "rows_lost" not in alerts(new_client, "r")
    recorder = Recorder(tmp_path / "runs" / "r", writer="full", attempt=1, queue_rows=5, flush_seconds=60)
    for sample in range(12):
        recorder.rollout(RolloutRow(step=1, prompt_uid="late", sample=sample))
    recorder.close()
    alert = alerts(new_client, "r")["rows_lost"]
    assert alert["value"] == recorder.stats().dropped > 0
    assert "waiting for the disk" in alert["advice"]


def test_thresholds_come_from_a_file_and_mistakes_are_named(tmp_path: Path) -> None:
    file = tmp_path / "health.yaml"
    file.write_text("truncation: 0.5\n")
    assert read_thresholds(file).truncation == 0.5
    assert read_thresholds(None) == Thresholds()
    for text, word in (("truncaton: 0.5\n", "truncaton"), ("truncation: 3\n", "truncation = 3"), ("- 1\n", "health")):
        file.write_text(text)
        with pytest.raises(UserError, match=word):
            read_thresholds(file)


@pytest.mark.parametrize("adds_up", [True, False])
def test_only_terms_that_add_up_to_the_score_can_drive_the_reward(
    new_client: TestClient, tmp_path: Path, adds_up: bool
) -> None:
    for step in range(1, 7):
        reward = 0.1 if step == 1 else 0.9
        terms = {"style": reward} if adds_up else {"passed": 3.0 * step, "tests": 20.0}
        record(tmp_path / "runs" / "r", step, groups=1, samples=2, reward=reward, terms=terms)
    fired = alerts(new_client, "r").get("term_hack", {}).get("title")
    assert fired == ("One term drives the reward: style" if adds_up else None)


def test_a_reason_with_any_characters_links_to_its_rows(new_client: TestClient, tmp_path: Path) -> None:
    record(tmp_path / "runs" / "r", 1, correct=False, reason="a&kind=?#100%+x")
    alert = alerts(new_client, "r")["one_reason"]
    rows = new_client.get(f"/api/runs/r/rollouts?{alert['link']['query']}").json()
    assert rows["total"] == alert["rows"] == 16
