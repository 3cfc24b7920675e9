"""The parts of a change of the reward sum to it, and one prompt is found at every step of every run."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
from dashboard_runs import SCIENCE, record
from fastapi.testclient import TestClient

from innovator_rl.dashboard.api.models.reward_change import PromptHistory, RewardChange
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow


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


def test_numbers_that_are_no_parts_of_the_score_explain_nothing(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "parts"
    for step, reward in ((1, 0.25), (2, 0.75)):
        record(run, step, groups=2, samples=4, reward=reward, terms={"answer": reward, "passed": (4.0 * step, 0.0)})
        record(run, step + 2, groups=2, samples=4, reward=reward, terms={"answer": reward, "passed": 4.0 * step})
    assert [
        (one["name"], one["change"]) for one in why(new_client, "/api/runs/parts", step="1", step2="2")["terms"]
    ] == [("answer", pytest.approx(0.5))]
    assert why(new_client, "/api/runs/parts", step="3", step2="4")["terms"] == []
    mixed = why(new_client, "/api/runs/parts", step="1", step2="4")["terms"]
    assert {one["name"]: one["change"] for one in mixed} == pytest.approx(
        {"score_without_terms": 0.75, "answer": -0.25}
    )


def test_a_change_is_told_from_chance_by_prompts_and_not_by_responses(new_client: TestClient, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "runs" / "chance", writer="w", attempt=1)
    for step, right in ((1, 3), (2, 4)):  # every prompt is new, and its eight responses are alike: one draw, not eight
        for number, sample in itertools.product(range(6), range(8)):
            lot = f"{step}-{number}"
            row = RolloutRow(step=step, prompt_uid=lot, prompt_id=lot, sample=sample, reward=float(number < right))
            recorder.rollout(dataclasses.replace(row, outcome="scored", response="", response_tokens=1))
    recorder.close()
    found = why(new_client, "/api/runs/chance", step="1", step2="2")
    assert found["change"] == pytest.approx(1 / 6)
    assert found["interval"]["prompts"] == 12
    half = 1.96 * ((1 / 24 + 1 / 27) * 12 / 11) ** 0.5
    assert (found["interval"]["low"], found["interval"]["high"]) == pytest.approx(
        (1 / 6 - half, 1 / 6 + half), abs=1e-5
    )
    few = why(new_client, "/api/runs/chance", step="1", step2="1")
    assert few["interval"] == pytest.approx({"low": 0, "high": 0, "prompts": 6}, abs=1e-6)  # every prompt with itself


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
