"""After a resume the abandoned steps are marked and hidden; figures have one meaning each."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from dashboard_runs import ADDRESS, record
from fastapi.testclient import TestClient

from innovator_rl.dashboard.app import create_app
from innovator_rl.dashboard.runs.headline import summary
from innovator_rl.rollouts.store import Store
from innovator_rl.runs.metrics import MetricsWriter
from innovator_rl.runs.reading import last_steps


def resumed(root: Path) -> Path:
    """Attempt 1 recorded steps 1 to 6; attempt 2 resumed from step 3 and recorded step 4."""
    run = root / "resumed"
    attempts = [
        {"attempt": 1, "started": "a", "resumed_from_step": 0, "status": "dead", "step": 6},
        {"attempt": 2, "started": "b", "resumed_from_step": 3, "status": "running", "step": 4},
    ]
    for step in range(1, 7):
        record(run, step, groups=1, samples=2, reward=step / 10)
    record(run, 4, groups=1, samples=2, attempt=2, text="redone", reward=0.99)
    lines = [{"step": s, "attempt": 1, "critic/score/mean": s / 10} for s in range(1, 7)]
    lines.append({"step": 4, "attempt": 2, "critic/score/mean": 0.99})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "run.json").write_text(
        json.dumps({"status": "finished", "step": 4, "total_steps": 10, "attempts": attempts})
    )
    return run


def get(client: TestClient, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_steps_that_a_resume_abandoned_are_hidden_everywhere(new_client: TestClient, tmp_path: Path) -> None:
    run = resumed(tmp_path / "runs")
    base = "/api/runs/resumed"
    assert new_client.app.state.services.runs.open("resumed").wait(60)  # type: ignore[attr-defined]
    head = get(new_client, base)
    assert head["run"]["reward_trained"] == head["run"]["reward"] == pytest.approx(0.99)
    assert head["record"]["train"]["steps"] == [1, 2, 3, 4]
    curves = get(new_client, f"{base}/curves")
    assert curves["steps"] == [1, 2, 3, 4]
    assert curves["metrics"]["critic/score/mean"] == [0.1, 0.2, 0.3, 0.99]
    assert curves["superseded"] == [{"attempt": 1, "steps": [5, 6], "responses": 4}]
    last = get(new_client, f"{base}/rollouts", step="last")["rows"]
    assert {row["step"] for row in last} == {4}
    answer = new_client.post(
        f"{base}/sql", json={"sql": "SELECT max(step), (SELECT max(step) FROM all_groups) FROM groups"}
    )
    assert answer.json()["rows"] == [[4, 6]]
    assert Store(run).steps() == [1, 2, 3, 4]


def test_abandoned_steps_can_be_shown_and_say_so(new_client: TestClient, tmp_path: Path) -> None:
    resumed(tmp_path / "runs")
    base = "/api/runs/resumed"
    for path in ("rollouts", "groups"):
        assert {r["step"] for r in get(new_client, f"{base}/{path}", superseded="only")["rows"]} == {5, 6}
        rows = get(new_client, f"{base}/{path}", superseded="show")["rows"]
        assert {r["step"]: r["superseded"] for r in rows} == {s: s > 4 for s in range(1, 7)}
    assert get(new_client, f"{base}/group", step=6, uid="g0")["group"]["superseded"] is True
    assert new_client.get(f"{base}/rollouts", params={"superseded": "maybe"}).status_code == 400


def test_a_later_resume_also_supersedes_the_attempts_in_between() -> None:
    starts = {1: 0, 2: 8, 3: 5}
    attempts = [{"attempt": a, "resumed_from_step": start} for a, start in starts.items()]
    assert last_steps(attempts) == {2: 5, 1: 5}


def test_rewards_of_trained_and_of_all_samples_are_two_figures(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "two"
    record(run, 1, groups=1, samples=2)
    line = {"step": 1, "critic/score/mean": 0.9, "domain/physics/score": 0.2, "domain/physics/responses": 6}
    (run / "metrics.jsonl").write_text(
        json.dumps({**line, "domain/maths/score": 0.6, "domain/maths/responses": 2}) + "\n"
    )
    head = get(new_client, "/api/runs")["rows"][0]
    assert head["reward_trained"] == 0.9
    assert head["reward"] == pytest.approx(0.3)
    points = get(new_client, "/api/runs/two/curves")["series"][0]["points"]
    assert points["reward"] == points["reward_trained"] == [0.5]
    assert points["trained"] == [2]


def test_domains_without_a_name_or_called_none_or_all_are_separate(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "names"
    for number, domain in enumerate(("", "none", "all")):
        record(run, number + 1, groups=1, samples=number + 2, domain=domain)
    series = get(new_client, "/api/runs/names/curves")["series"]
    assert {one["value"]: sum(filter(None, one["points"]["responses"])) for one in series} == {
        None: 9, "-": 2, "none": 3, "all": 4,
    }  # fmt: skip
    assert len({one["name"] for one in series}) == 4


def test_names_that_look_like_those_given_to_series_keep_their_own(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "names"
    domains = ("", "none", "no domain", "all", "all (domain)", "-", "__proto__", "chem ", "chem")
    for number, domain in enumerate(domains):
        record(run, number + 1, groups=1, samples=number + 2, domain=domain)
    series = get(new_client, "/api/runs/names/curves")["series"]
    assert len({one["name"] for one in series}) == len(series) == len(domains) + 1
    for one in series[1:]:
        total = get(new_client, "/api/runs/names/rollouts", domain=one["value"])["total"]
        assert total == sum(filter(None, one["points"]["responses"])), one["name"]


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_rewards_that_are_not_finite_raise_an_alert_with_their_rows(
    new_client: TestClient, tmp_path: Path, reward: float
) -> None:
    record(tmp_path / "runs" / "nan", 1, groups=1, samples=4)
    record(tmp_path / "runs" / "nan", 2, groups=1, samples=4, reward=reward)
    alerts = {a["id"]: a for a in get(new_client, "/api/runs/nan/health")["alerts"]}
    assert alerts["not_finite"]["rows"] == 4
    rows = get(new_client, "/api/runs/nan/rollouts", **dict(parse_qsl(alerts["not_finite"]["link"]["query"])))
    assert (rows["total"], {row["step"] for row in rows["rows"]}) == (4, {2})
    points = get(new_client, "/api/runs/nan/curves")["series"][0]["points"]
    assert (points["not_finite"], points["reward"]) == ([0, 4], [0.5, None])


def test_metrics_that_are_not_finite_raise_an_alert_that_names_them(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "nan"
    record(run, 1, groups=1)
    writer = MetricsWriter(run / "metrics.jsonl")
    writer.write(1, 1, {"actor/grad_norm": math.inf, "actor/lr": 1e-6})
    writer.close()
    with (run / "metrics.jsonl").open("a") as handle:  # as another program writes it
        handle.write('{"step": 2, "critic/score/mean": NaN}\n')
    alert = next(a for a in get(new_client, "/api/runs/nan/health")["alerts"] if a["id"] == "metrics_not_finite")
    assert alert["value"] == 2
    assert "actor/grad_norm at step 1" in alert["title"]


def test_each_alert_counts_the_rows_that_its_link_opens(client: TestClient) -> None:
    for alert in get(client, "/api/runs/demo-science/health")["alerts"]:
        if alert["rows"] is not None:
            query: dict[str, list[str]] = {}
            for name, value in parse_qsl(alert["link"]["query"]):
                query.setdefault(name, []).append(value)
            page = get(client, f"/api/runs/demo-science/{alert['link']['view']}", **query)
            assert page["total"] == alert["rows"], alert["id"]


def test_a_heartbeat_in_the_future_says_that_the_clock_is_ahead(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "early"
    run.mkdir(parents=True)
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    (run / "run.json").write_text(json.dumps({"status": "running", "host": "far", "machine": "m", "heartbeat": ahead}))
    row = get(new_client, "/api/runs")["rows"][0]
    assert row["status"] == "unknown"
    assert row["detail"].startswith("clock ahead by ")
    assert row["heartbeat_age"] < 0


def test_molar_mass_is_the_average_mass(client: TestClient) -> None:
    for smiles, mass in (("CCO", 46.07), ("C(Cl)(Cl)(Cl)Cl", 153.82)):
        assert get(client, "/api/molecules", predicted=smiles)["predicted"]["weight"] == pytest.approx(mass, abs=0.01)


def test_a_run_has_tags_and_can_be_archived(new_client: TestClient, tmp_path: Path) -> None:
    for name in ("old", "new"):
        record(tmp_path / "runs" / name, 1, groups=1)
    body = {"tags": ["paper", "paper ", "v2"], "archived": True}
    assert new_client.post("/api/runs/old/tags", json=body).json() == {"tags": ["paper", "v2"], "archived": True}
    listed = get(new_client, "/api/runs")
    assert ([row["name"] for row in listed["rows"]], listed["archived"]) == (["new"], 1)
    assert [row["name"] for row in get(new_client, "/api/runs", archived="only", tag="v2")["rows"]] == ["old"]
    assert len(get(new_client, "/api/runs", archived="show")["rows"]) == 2
    for bad in (["x" * 41], ["a\nb"], [str(i) for i in range(21)]):
        assert new_client.post("/api/runs/old/tags", json={"tags": bad}).status_code == 400
    (tmp_path / "runs" / "old" / "tags.json").write_text('{"tags": [1, "\\ud800", "fine"], "archived": "yes"}')
    row = next(row for row in get(new_client, "/api/runs")["rows"] if row["name"] == "old")
    assert row["tags"][-1] == "fine"


def test_a_label_has_an_author(new_client: TestClient, tmp_path: Path) -> None:
    record(tmp_path / "runs" / "r", 1, groups=1)
    body = {"step": 1, "uid": "g0", "sample_index": 0, "label": "hack", "author": "Ada"}
    assert new_client.post("/api/runs/r/labels", json=body).json()["rows"][0]["author"] == "Ada"
    assert new_client.post("/api/runs/r/labels", json={**body, "author": "x" * 41}).status_code == 400


@pytest.mark.parametrize("prefix", ["", "/dash"])
def test_the_page_works_below_a_path(tmp_path: Path, prefix: str) -> None:
    with TestClient(create_app([tmp_path], root_path="/dash"), base_url=ADDRESS) as client:
        assert client.get(f"{prefix}/api/runs").status_code == 200
        assert client.get(f"{prefix}/static/js/app/main.js").status_code == 200
        page = client.get(f"{prefix}/").text
        assert 'src="/' not in page
        assert 'href="/' not in page
        for query in ("", "?token=0123"):
            answer = client.get(f"/dash{query}", follow_redirects=False)
            assert answer.headers["location"] == f"/dash/{query}"


@pytest.mark.parametrize("figure", ["reward", "reward_trained", "accuracy"])
def test_the_head_and_the_curves_have_the_same_figures(client: TestClient, figure: str) -> None:
    points = get(client, "/api/runs/demo-science/curves")["series"][0]["points"]
    for row in (get(client, "/api/runs/demo-science")["run"], summary_of(client)):
        assert row[figure] == pytest.approx(points[figure][-1], abs=1e-6)


def summary_of(client: TestClient) -> Any:
    """Return what the list says of the demo before the run is opened."""
    run = client.app.state.services.runs.directory("demo-science")  # type: ignore[attr-defined]
    return summary(run, run.superseded())
