"""docs/dashboard-api.md is generated from the response models, and responses are what the models say."""

from pathlib import Path
from typing import Any

import pytest
from dashboard_runs import SCIENCE
from fastapi.testclient import TestClient
from pydantic import BaseModel

from innovator_rl.dashboard.api.models import health, response, rollouts, runs, tools
from tools import dashboard_api


def test_the_page_is_up_to_date() -> None:
    page = Path(dashboard_api.PAGE).read_text(encoding="utf-8")
    assert page == dashboard_api.page(), "run `python -m tools.dashboard_api`"


def test_every_route_and_every_field_is_described() -> None:
    schema = dashboard_api.schema()
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
            assert all(p.get("description") or p["in"] == "path" for p in operation.get("parameters", [])), path
    for name, model in schema["components"]["schemas"].items():
        assert model.get("description"), name
        for field, facts in model.get("properties", {}).items():
            assert facts.get("description"), (name, field)


def row(client: TestClient, **filters: Any) -> dict[str, Any]:
    page = client.get(f"{SCIENCE}/rollouts", params={"size": 1, "histogram": "none", **filters})
    found = page.json()["rows"][0]
    return {name: found[name] for name in ("kind", "step", "uid", "sample_index")}


def check(model: type[BaseModel], answer: Any) -> None:
    assert answer.status_code == 200, answer.text
    model.model_validate(answer.json())


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/api/runs", runs.RunList),
        (SCIENCE, runs.RunDetail),
        ("/api/runs/demo-crashed", runs.RunDetail),
        (f"{SCIENCE}/curves", runs.Curves),
        (f"{SCIENCE}/curves?kind=validation&by=rewarder", runs.Curves),
        ("/api/compare?run=demo-science&run=demo-baseline", runs.Comparison),
        ("/api/health", runs.ServerHealth),
        (f"{SCIENCE}/rollouts?size=200", rollouts.RolloutsPage),
        (f"{SCIENCE}/rollouts?kind=validation&size=200&histogram=none&word=energy", rollouts.RolloutsPage),
        (f"{SCIENCE}/groups?size=200", rollouts.GroupsPage),
        (f"{SCIENCE}/health", health.Health),
        ("/api/runs/demo-crashed/health", health.Health),
        ("/api/molecules?predicted=CCO&gold=CC(=O)O", tools.MoleculeComparison),
        ("/api/molecules?predicted=nothing", tools.MoleculeComparison),
        ("/api/change?run=demo-baseline&step=1-4&step2=15-18", tools.StepDiff),
        ("/api/rewarders", tools.Rewarders),
        (f"{SCIENCE}/labels", tools.LabelList),
        (f"{SCIENCE}/sql", tools.SqlHelp),
    ],
)
def test_a_response_matches_its_model(client: TestClient, path: str, model: type[BaseModel]) -> None:
    check(model, client.get(path))


@pytest.mark.parametrize(
    "filters", [{"domain": "code"}, {"domain": "caption2mol"}, {"generation_status": "failed"}, {"kind": "validation"}]
)
def test_a_group_and_a_response_match_their_models(client: TestClient, filters: dict[str, str]) -> None:
    key = row(client, **filters)
    check(response.ResponseDetail, client.get(f"{SCIENCE}/response", params=key))
    del key["sample_index"]
    check(response.GroupDetail, client.get(f"{SCIENCE}/group", params=key))


def test_tokens_and_tools_match_their_models(client: TestClient) -> None:
    key = row(client, status="kept", domain="math")
    check(response.TokenWindow, client.get(f"{SCIENCE}/tokens", params=key))
    check(tools.Rescored, client.post(f"{SCIENCE}/rescore", json={"rows": [key]}))
    check(tools.LabelList, client.post(f"{SCIENCE}/labels", json={**key, "label": "x"}))
    check(tools.LabelList, client.post(f"{SCIENCE}/labels", json={**key, "label": "x", "remove": True}))
    check(tools.SqlResult, client.post(f"{SCIENCE}/sql", json={"sql": "SELECT domain, [1], NULL FROM responses"}))
