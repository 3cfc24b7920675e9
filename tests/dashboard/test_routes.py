"""Every route returns what docs/dashboard-api.md documents, over the synthetic runs."""

import csv
import io
import json
import re
import zipfile
from typing import Any

import pyarrow.parquet as pq
import pytest
from dashboard_runs import SCIENCE
from fastapi.testclient import TestClient


def get(client: TestClient, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters) if parameters else client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask(client: TestClient, sql: str) -> list[list[Any]]:
    answer = client.post(f"{SCIENCE}/sql", json={"sql": sql})
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def test_the_list_shows_which_runs_ended_and_which_died(client: TestClient) -> None:
    answer = get(client, "/api/runs")
    status = {row["name"]: row["status"] for row in answer["rows"]}
    assert status == {"demo-science": "finished", "demo-baseline": "stopped", "demo-crashed": "dead"}
    science = next(row for row in answer["rows"] if row["name"] == "demo-science")
    assert science["attempts"] == 2
    assert science["ray"]["url"].startswith("http://127.0.0.1:8265/#/jobs/")
    assert set(science["domains"]) >= {"physics", "code"}


def test_a_run_has_its_attempts_values_and_bad_files(client: TestClient) -> None:
    answer = get(client, SCIENCE)
    assert [a["status"] for a in answer["attempts"]] == ["dead", "finished"]
    assert answer["record"]["train"]["steps"] == list(range(1, 25))
    assert answer["config"]["algorithm"]["clip_high"] == 0.28
    assert "timeout" in answer["values"]["reason"]
    assert {problem["file"].rsplit("/", 1)[-1][:9] for problem in answer["problems"]} == {"notes.txt", "train-a00"}


def test_a_resumed_step_shows_the_newest_attempt_alone(client: TestClient) -> None:
    assert ask(client, "SELECT DISTINCT attempt FROM responses WHERE step = 14 AND kind = 'train'") == [[2]]
    assert ask(client, "SELECT DISTINCT attempt FROM responses WHERE step = 12 AND kind = 'train'") == [[1]]


def test_curves_agree_with_the_rows(client: TestClient) -> None:
    answer = get(client, f"{SCIENCE}/curves")
    physics = next(series for series in answer["series"] if series["name"] == "physics")["points"]
    at = next(i for i, responses in enumerate(physics["responses"]) if responses)
    rows = f"responses WHERE kind = 'train' AND domain = 'physics' AND step = {answer['steps'][at]}"
    wanted = ask(client, f"SELECT avg(reward) FILTER (outcome = 'scored'), count(*) FROM {rows}")[0]
    assert [physics["reward"][at], physics["responses"][at]] == [pytest.approx(wanted[0]), wanted[1]]
    everything = answer["series"][0]
    statuses = ("kept", "all_correct", "all_wrong", "all_equal", "unscored", "failed", "surplus", "other", "pending")
    assert [sum(everything["points"][status][i] for status in statuses) for i in range(24)] == everything["points"][
        "groups"
    ]
    assert all(len(values) == 24 for values in (*everything["points"].values(), *answer["metrics"].values()))


@pytest.mark.parametrize(
    ("parameters", "condition"),
    [
        ({"step": "3"}, "step = 3"),
        ({"step": "3-5,9"}, "step IN (3,4,5,9)"),
        ({"step": "last"}, "step = 24"),
        ({"domain": ["physics", "code"]}, "domain IN ('physics','code')"),
        ({"correct": "true", "status": "dropped"}, "correct AND status = 'dropped'"),
        ({"score_min": "0.2", "score_max": "0.9"}, "reward BETWEEN 0.2 AND 0.9"),
        ({"tokens_min": "150"}, "response_tokens >= 150"),
        ({"status": ["failed", "kept"]}, "status IN ('failed','kept')"),
        ({"reason": "timeout", "outcome": "error"}, "reason = 'timeout' AND outcome = 'error'"),
        ({"drop_reason": "-"}, "drop_reason = ''"),
        ({"truncated": "true", "repetition_min": "0.5"}, "truncated AND repetition >= 0.5"),
    ],
)
def test_filters_select_what_sql_selects(client: TestClient, parameters: dict[str, Any], condition: str) -> None:
    answer = get(client, f"{SCIENCE}/rollouts", size=200, **parameters)
    assert answer["total"] == ask(client, f"SELECT count(*) FROM responses WHERE kind='train' AND {condition}")[0][0]


def test_pages_of_a_sorted_list_are_the_list(client: TestClient) -> None:
    first = get(client, f"{SCIENCE}/rollouts", sort="-reward", size=30, page=1)
    second = get(client, f"{SCIENCE}/rollouts", sort="-reward", size=30, page=2)
    rewards = [row["reward"] for row in (*first["rows"], *second["rows"])]
    assert rewards == sorted(rewards, reverse=True)
    names = {(row["step"], row["uid"], row["sample_index"]) for row in (*first["rows"], *second["rows"])}
    assert len(names) == 60
    assert first["pages"] == -(-first["total"] // 30)


@pytest.mark.parametrize("column", ["reward", "response_tokens", "advantage", "entropy"])
def test_a_histogram_counts_every_row_and_its_bins_are_filters(client: TestClient, column: str) -> None:
    answer = get(client, f"{SCIENCE}/rollouts", histogram=column, step="1-4")
    bins = answer["histogram"]["bins"]
    assert (
        sum(part["count"] for part in bins)
        == ask(client, f"SELECT count({column}) FROM responses WHERE kind='train' AND step BETWEEN 1 AND 4")[0][0]
    )
    largest = max(bins, key=lambda part: part["count"])
    chosen = get(
        client, f"{SCIENCE}/rollouts", step="1-4", **{f"{column}_min": largest["low"], f"{column}_max": largest["high"]}
    )
    assert chosen["total"] >= largest["count"]


def test_an_expression_finds_what_python_finds(client: TestClient) -> None:
    found = get(client, f"{SCIENCE}/rollouts", regex=r"onerror|\bVieta\b", step="1-9", size=200)
    while not found["search"]["complete"]:
        found = get(client, f"{SCIENCE}/rollouts", regex=r"onerror|\bVieta\b", step="1-9", size=200)
    lines = client.get(f"{SCIENCE}/export", params={"step": "1-9"}).text.splitlines()
    texts = [json.loads(line)["response"] for line in lines]
    assert found["total"] == sum("onerror" in text or "Vieta" in text for text in texts) > 0


@pytest.mark.parametrize("query", ["RIGOROUSLY", "benzo* carboxylic", "Vieta roots", "nosuchword"])
def test_words_are_found_where_they_stand(client: TestClient, query: str) -> None:
    lines = [json.loads(line) for line in client.get(f"{SCIENCE}/export", params={"step": "1-24"}).text.splitlines()]
    words = [re.escape(w[:-1]) + r"\w*" if w.endswith("*") else re.escape(w) for w in query.split()]
    texts = [f"{line['prompt']}\n{line['response']}" for line in lines]
    expected = sum(all(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in words) for text in texts)
    assert get(client, f"{SCIENCE}/rollouts", word=query)["total"] == expected


def test_a_group_has_all_its_responses_and_neighbors(client: TestClient) -> None:
    rows = get(client, f"{SCIENCE}/groups", step="5")["rows"]
    answer = get(client, f"{SCIENCE}/group", step=5, uid=rows[1]["uid"])
    assert len(answer["responses"]) == rows[1]["samples"] == 8
    assert answer["previous"]["uid"] == rows[0]["uid"]
    assert answer["next"]["uid"] == rows[2]["uid"]
    assert [r["reward"] for r in answer["responses"]] == sorted(
        (r["reward"] for r in answer["responses"]), reverse=True
    )
    assert all(other["step"] != 5 or other["uid"] != rows[1]["uid"] for other in answer["other_steps"])


def test_a_response_is_taken_apart(client: TestClient) -> None:
    row = get(client, f"{SCIENCE}/rollouts", domain="caption2mol", reason="partial", status="kept")["rows"][0]
    name = {"step": row["step"], "uid": row["uid"], "sample_index": row["sample_index"]}
    answer = get(client, f"{SCIENCE}/response", **name)
    assert answer["score"]["gold"] == answer["answer"]
    assert answer["score"]["reward"] == pytest.approx(answer["score"]["value"] + answer["score"]["overlong_penalty"])
    assert {term["name"] for term in answer["score"]["terms"]} >= {"answer", "morgan"}
    figures = get(client, answer["molecules"]["figures"])
    assert figures["predicted"]["valid"]
    assert not figures["same"]
    assert 0 < figures["similarity"]["morgan"] < 1
    window = get(client, f"{SCIENCE}/response", offset=5, limit=7, **name)
    assert window["response"] == answer["response"][5:12]


def test_code_has_a_result_per_test(client: TestClient) -> None:
    right = get(client, f"{SCIENCE}/rollouts", domain="code", correct="true")["rows"][0]
    wrong = get(client, f"{SCIENCE}/rollouts", domain="code", reason="wrong_output")["rows"][0]
    reports = [
        get(client, f"{SCIENCE}/response", step=row["step"], uid=row["uid"], sample_index=row["sample_index"])["code"]
        for row in (right, wrong)
    ]
    assert {test["result"] for test in reports[0]["tests"]} == {"passed"}
    results = [test["result"] for test in reports[1]["tests"]]
    passed = reports[1]["passed"]  # a score above 0 does not tell whether the rest ran
    assert results == ["passed"] * passed + ["wrong_output"] + ["unknown"] * (3 - passed)
    assert reports[1]["program"].startswith("def scale")


def test_tokens_spell_the_response_and_every_series_is_as_long(client: TestClient) -> None:
    row = get(client, f"{SCIENCE}/rollouts", status="kept", domain="physics", truncated="false")["rows"][0]
    name = {"step": row["step"], "uid": row["uid"], "sample_index": row["sample_index"]}
    tokens = get(client, f"{SCIENCE}/tokens", **name)
    text = get(client, f"{SCIENCE}/response", **name)["response"]
    assert "".join(tokens["text"]) == text
    assert set(tokens["series"]) == {"logprob", "old_logprob", "ratio", "clip_side", "entropy", "gap"}
    assert {len(values) for values in tokens["series"].values()} == {tokens["total"]} == {row["response_tokens"]}
    part = get(client, f"{SCIENCE}/tokens", offset=2, limit=3, **name)
    assert part["ids"] == tokens["ids"][2:5]
    assert part["series"]["ratio"] == tokens["series"]["ratio"][2:5]
    assert row["entropy"] == pytest.approx(sum(tokens["series"]["entropy"]) / tokens["total"], rel=1e-3)


def test_a_molecule_is_drawn_and_a_broken_one_says_why(client: TestClient) -> None:
    drawn = client.get(
        "/api/molecules.svg", params={"predicted": "CC(=O)Oc1ccccc1", "gold": "CC(=O)Oc1ccccc1C(=O)O", "theme": "dark"}
    )
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in drawn.headers["content-security-policy"]
    assert drawn.text.count("<path") > 20
    broken = client.get("/api/molecules.svg", params={"predicted": "C1CC<script>", "gold": "CCO"})
    assert broken.status_code == 200
    assert "not SMILES" in broken.text
    assert "<script" not in broken.text


def test_change_lists_the_prompts_that_turned(client: TestClient) -> None:
    answer = get(client, "/api/change", run="demo-baseline", step="1-4", step2="15-18")
    assert sum(answer["counts"].values()) == answer["common"] > 10
    for row in answer["newly_solved"]:
        assert row["from"]["correct"] == 0 < row["to"]["correct"]
    back = get(client, "/api/change", run="demo-baseline", step="15-18", step2="1-4")
    assert {row["prompt_id"] for row in back["newly_lost"]} == {row["prompt_id"] for row in answer["newly_solved"]}


def test_two_runs_differ_in_the_keys_that_differ(client: TestClient) -> None:
    answer = client.get("/api/compare?run=demo-science&run=demo-baseline").json()
    assert {row["key"] for row in answer["config"]} == {"name", "algorithm.learning_rate", "algorithm.clip_high"}
    assert answer["packages"] == [{"key": "vllm", "values": ["0.28.0", "0.27.1"]}]


def test_exports_contain_the_filtered_rows(client: TestClient) -> None:
    parameters = {"step": "6", "domain": "physics"}
    total = get(client, f"{SCIENCE}/rollouts", **parameters)["total"]
    lines = client.get(f"{SCIENCE}/export", params={**parameters, "format": "jsonl"}).text.splitlines()
    table = pq.read_table(
        io.BytesIO(client.get(f"{SCIENCE}/export", params={**parameters, "format": "parquet"}).content)
    )
    rows = list(
        csv.DictReader(
            io.StringIO(client.get(f"{SCIENCE}/export", params={**parameters, "format": "csv"}).text, newline="")
        )
    )
    assert len(lines) == table.num_rows == len(rows) == total > 0
    assert json.loads(lines[0])["response"] == table["response"][0].as_py()
    narrow = client.get(f"{SCIENCE}/export", params={**parameters, "columns": "narrow"}).text.splitlines()
    assert "response" not in json.loads(narrow[0])


def test_a_static_export_is_plain_pages(client: TestClient) -> None:
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"{SCIENCE}/static", params={"step": "2"}).content))
    pages = {name: archive.read(name).decode() for name in archive.namelist()}
    assert len(pages) == 1 + get(client, f"{SCIENCE}/groups", step="2")["total"]
    index = pages["demo-science/index.html"]
    assert all(f'href="{name.split("/")[1]}"' in index for name in pages if "group" in name)
    assert "<svg" in index
    assert not any("<script" in page or "<img" in page for page in pages.values())


def test_rescoring_says_what_would_change(client: TestClient) -> None:
    rows = get(client, f"{SCIENCE}/rollouts", domain="math", status="kept", sort="-correct", size=4)["rows"]
    names = [{key: row[key] for key in ("kind", "step", "uid", "sample_index")} for row in rows]
    answer = client.post(f"{SCIENCE}/rescore", json={"rows": names}).json()
    assert [row["new"]["correct"] for row in answer["rows"]] == [row["correct"] for row in rows]
    assert answer["summary"]["errors"] == 0
    assert client.post(f"{SCIENCE}/rescore", json={"rows": names, "rewarder": "os:system"}).status_code == 400
    formula = client.post(f"{SCIENCE}/rescore", json={"rows": names, "rewarder": "math + 0.5 * style"}).json()
    assert {"math", "style"} <= set(formula["rows"][0]["new"]["terms"])


def test_labels_stay_and_can_be_taken_away(client: TestClient) -> None:
    row = get(client, f"{SCIENCE}/rollouts", step="8")["rows"][3]
    name = {key: row[key] for key in ("kind", "step", "uid", "sample_index")}
    put = client.post(f"{SCIENCE}/labels", json={**name, "label": "lucky", "note": "a guess"})
    assert put.json()["rows"][0]["note"] == "a guess"
    assert get(client, f"{SCIENCE}/rollouts", label="lucky")["rows"][0]["labels"] == ["lucky"]
    assert ask(client, "SELECT label FROM labels") == [["lucky"]]
    client.post(f"{SCIENCE}/labels", json={**name, "label": "lucky", "remove": True})
    assert get(client, f"{SCIENCE}/rollouts", label="lucky")["total"] == 0
    assert client.post(f"{SCIENCE}/labels", json={**name, "uid": "none", "label": "x"}).status_code == 404


def test_mistakes_are_named(client: TestClient) -> None:
    for parameters, word in (
        ({"domian": "x"}, "domain"),
        ({"sort": "weight"}, "sort=weight"),
        ({"step": "x"}, "step=x"),
        ({"regex": "("}, "regex"),
        ({"score_min": "nan"}, "score_min"),
        ({"page": "0"}, "page=0"),
        ({"status": "lost"}, "status=lost"),
    ):
        answer = client.get(f"{SCIENCE}/rollouts", params=parameters)
        assert answer.status_code == 400
        assert word in answer.json()["error"]
    assert client.get(f"{SCIENCE}/response", params={"step": 1, "uid": "x", "sample_index": 0}).status_code == 404
    assert client.get("/api/nothing").json()["error"]
