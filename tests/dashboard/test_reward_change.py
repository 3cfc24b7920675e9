"""The parts of a change of the reward sum to it, and one prompt is found at every step of every run."""

from pathlib import Path
from typing import Any

import pytest
from dashboard_runs import SCIENCE, record
from fastapi.testclient import TestClient

from innovator_rl.dashboard.api.models.reward_change import PromptHistory, RewardChange


def why(client: TestClient, path: str, **query: Any) -> Any:
    answer = client.get(f"{path}/why", params=query)
    assert answer.status_code == 200, answer.text
    RewardChange.model_validate(answer.json())
    return answer.json()


def test_every_split_of_the_demo_sums_to_the_change(client: TestClient) -> None:
    found = why(client, SCIENCE, step="1-6", step2="19-24")
    assert found["change"] == pytest.approx(found["to"]["reward"] - found["from"]["reward"])
    for split in found["splits"]:
        assert split["within"] + split["mix"] == pytest.approx(found["change"]), split["by"]
        for side in ("from", "to"):
            assert sum(row["share"][side] for row in split["rows"]) == pytest.approx(1), split["by"]
    assert sum(term["change"] for term in found["terms"]) == pytest.approx(found["change"])


def test_the_filters_of_a_part_open_its_responses(client: TestClient) -> None:
    found = why(client, SCIENCE, step="1-6", step2="19-24")
    for split in found["splits"]:
        for row in split["rows"]:
            page = client.get(f"{SCIENCE}/rollouts", params={**row["query"], "outcome": "scored"}).json()
            assert page["total"] == round(row["share"]["to"] * found["to"]["responses"]), (split["by"], row["value"])


def test_a_change_of_the_mix_alone_is_called_one(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mix"
    record(run, 1, groups=1, samples=4, domain="easy", data_source="easy", reward=1.0)
    record(run, 2, groups=3, samples=4, domain="hard", data_source="hard", reward=0.0)
    record(run, 3, groups=1, samples=4, domain="hard", data_source="hard", reward=0.0)
    found = why(new_client, "/api/runs/mix", step="1-2", step2="3")
    assert found["change"] == pytest.approx(-0.25)
    assert (found["splits"][0]["within"], found["splits"][0]["mix"]) == pytest.approx((0, -0.25))


def test_what_cannot_be_compared_is_an_error_with_a_reason(client: TestClient) -> None:
    for query in (
        {},
        {"step": "1"},
        {"step": "1", "step2": "900"},
        {"step": "x", "step2": "1"},
        {"step": "1", "run": "a"},
    ):
        answer = client.get(f"{SCIENCE}/why", params=query)
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]


def test_one_prompt_is_followed_through_steps_and_runs(new_client: TestClient, tmp_path: Path) -> None:
    for name, steps in (("train", (1, 2, 3)), ("evaluation", (10,))):
        for step in steps:
            record(tmp_path / "runs" / name, step, groups=2, samples=3)
    answer = new_client.get("/api/prompt", params={"prompt_id": "p1", "run": ["train", "evaluation"]})
    assert answer.status_code == 200, answer.text
    found = PromptHistory.model_validate(answer.json())
    assert [(one.run, [group.step for group in one.groups]) for one in found.runs] == [
        ("train", [1, 2, 3]),
        ("evaluation", [10]),
    ]
    assert all(len(group.responses) == 3 for one in found.runs for group in one.groups)
    assert found.prompt == "question 1"
    assert new_client.get("/api/prompt", params={"prompt_id": "none", "run": "train"}).status_code == 404
    assert new_client.get("/api/prompt", params={"prompt_id": "p1"}).status_code == 400


def test_lists_show_the_prompt(client: TestClient) -> None:
    for path in ("rollouts", "groups"):
        assert all(row["prompt_preview"] for row in client.get(f"{SCIENCE}/{path}").json()["rows"])
