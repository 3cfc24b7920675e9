"""Names from before the renames are still accepted in addresses, bodies and recorded labels."""

import json
from pathlib import Path

import pytest
from dashboard_runs import SCIENCE, record
from fastapi.testclient import TestClient

from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow, UpdateRow


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fate=kept&domain=physics", "status=kept&domain=physics"),
        ("fate=failed&fate=pending", "status=failed&status=pending"),
        ("status=ok&step=3", "generation_status=ok&step=3"),
        ("drop_reason=unjudged", "drop_reason=unscored"),
        ("sort=-sample&step=2", "sort=-sample_index&step=2"),
    ],
)
def test_an_old_address_shows_the_same_rows(client: TestClient, old: str, new: str) -> None:
    pages = [client.get(f"{SCIENCE}/rollouts?{query}") for query in (old, new)]
    assert [page.status_code for page in pages] == [200, 200]
    first, second = (page.json() for page in pages)
    assert (first["rows"], first["total"]) == (second["rows"], second["total"])


def test_a_status_of_failed_has_its_present_meaning(client: TestClient) -> None:
    rows = client.get(f"{SCIENCE}/rollouts?status=failed").json()["rows"]
    assert {row["drop_reason"] for row in rows} == {"failed"}
    assert "ok" in {row["generation_status"] for row in rows}


def test_an_old_link_and_an_old_body_name_the_same_response(client: TestClient) -> None:
    row = client.get(f"{SCIENCE}/rollouts?status=kept&size=1").json()["rows"][0]
    name = {"step": row["step"], "uid": row["uid"]}
    old = client.get(f"{SCIENCE}/response", params={**name, "sample": row["sample_index"]}).json()
    new = client.get(f"{SCIENCE}/response", params={**name, "sample_index": row["sample_index"]}).json()
    assert old == new
    body = {**name, "sample": row["sample_index"], "label": "seen"}
    assert client.post(f"{SCIENCE}/labels", json=body).json()["rows"][0]["sample_index"] == row["sample_index"]
    client.post(f"{SCIENCE}/labels", json={**body, "remove": True})
    assert (
        client.post(f"{SCIENCE}/rescore", json={"rows": [{**name, "sample": row["sample_index"]}]}).status_code == 200
    )


def test_recorded_labels_and_drop_reasons_stay_readable(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r"
    record(run, 1)
    recorder = Recorder(run, writer="w", attempt=1)
    recorder.rollout(RolloutRow(step=1, prompt_uid="old", sample=0, outcome="error"))
    recorder.update(UpdateRow(step=1, prompt_uid="old", sample=0, kept=False, drop_reason="unjudged"))
    recorder.close()
    line = {"kind": "train", "step": 1, "uid": "g0", "sample": 2, "label": "old"}
    (run / "labels.jsonl").write_text(json.dumps(line) + "\n")
    assert new_client.get("/api/runs/r/rollouts?label=old").json()["rows"][0]["sample_index"] == 2
    assert new_client.get("/api/runs/r/labels").json()["rows"][0]["sample_index"] == 2
    for query in ("drop_reason=unscored", "drop_reason=unjudged"):
        rows = new_client.get(f"/api/runs/r/rollouts?{query}").json()["rows"]
        assert [(row["uid"], row["drop_reason"]) for row in rows] == [("old", "unscored")]
