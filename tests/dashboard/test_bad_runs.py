"""A run directory with whatever content costs itself a figure, and no other run anything."""

import io
import json
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dashboard_runs import record
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from innovator_rl.dashboard.runs.registry import MOST_OPEN
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.runs.reading import parse_json, read_json_lines

DEEP = "[" * 100_000
SURROGATE = '"\\ud800"'
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
METRICS = {
    "a text for a number": '{"step":1,"domain/chem/score":0.5,"domain/chem/responses":"many","domain/chem/unjudged":0}',
    "an object for a number": '{"step":1,"domain/chem/score":{},"domain/chem/responses":[1],"sampling/kept_groups":"x"}',
    "counts without end": '{"step":1,"domain/a/score":1e308,"domain/a/correct":1e308,"domain/a/responses":1e308}',
    "a share without end": '{"step":1,"domain/a/score":1,"domain/a/responses":9,"domain/a/unscored":-1e308}',
    "a text for the dropped": '{"step":1,"sampling/dropped_all_wrong":"x","groups_kept":"y"}',
    "a text for the attempt": '{"step":1,"attempt":"x","a/b":1}',
    "an attempt below one": '{"step":1,"attempt":-3,"a/b":1}',
    "deep nesting": '{"step":1,"a/b":' + "[" * 5000 + "]" * 5000 + "}",
    "deeper nesting": DEEP,
    "a huge step": '{"step":9999999999,"a/b":2}',
    "true for a step": '{"step":true,"a/b":3}',
    "half a step": '{"step":1.5,"a/b":3}',
    "a huge integer": '{"step":1,"a/b":1' + "0" * 400 + "}",
    "an endless integer": '{"step":1,"a/b":1' + "0" * 5000 + "}",
    "not finite": '{"step":1,"a/b":NaN,"c/d":-Infinity,"critic/score/mean":1e999}',
    "a lone surrogate": '{"step":1,"a/\\ud800":1,"time":"\\udfff"}',
}
RECORDS = {
    "deep nesting": DEEP,
    "wrong types": '{"status":"running","step":"3","total_steps":"x","attempts":"none"}',
    "other wrong types": '{"status":["x"],"step":{},"heartbeat":5,"created":[],"attempts":[1,{"attempt":"x"}],"git":"g","pid":"p"}',
    "a lone surrogate": '{"name":"x","host":"\\ud800","step":1,"attempts":[{"attempt":1,"cause":"\\ud800"}]}',
    "a list": "[1, 2]",
    "thousands of attempts": json.dumps({"attempts": [{"attempt": i, "resumed_from_step": i} for i in range(1, 9000)]}),
    "huge numbers": '{"step":1e400,"total_steps":' + "9" * 400 + ',"pid":99999999999999999999,"process_started":[]}',
    "odd packages": '{"packages":{"a":1,"b":[]},"command":"ls","ray_job_id":5,"ray_dashboard":{}}',
}
CONFIGS = {
    "a lone surrogate": 'model: {path: "\\ud800"}',
    "an alias bomb": BOMB,
    "a loop": "a: &a\n  b: *a",
    "a long text many times": f"a: &a {'x' * 400_000}\nb: [{','.join(['*a'] * 9_000)}]",
    "a long key many times": f"a: &a\n  ? {'k' * 900}\n  : 1\nb: [{','.join(['*a'] * 9_000)}]",
    "merged mappings": "a: &a {x: 1}\n" + "".join(f"b{i}: &b{i} {{<<: [*a, *a]}}\n" for i in range(40)),
    "deep nesting": DEEP,
    "deep lists": "- " * 50_000 + "x",
    "an impossible date": "model: {path: 2026-99-99}",
    "an unhashable key": "? [a, b]\n: 1\nmodel: 3",
    "another tag": "model: !!python/object/apply:os.system [id]",
    "a huge integer": "seed: 1" + "0" * 400,
}
LABELS = {
    "a step without end": '{"kind":"train","step":1e400,"uid":"g","sample":0,"label":"x"}',
    "a huge step": '{"kind":"train","step":9999999999,"uid":"g0","sample":0,"label":"x"}',
    "deep nesting": DEEP,
    "a lone surrogate": '{"kind":"train","step":1,"uid":"g0","sample_index":0,"label":"\\ud800"}',
    "wrong types": '{"kind":1,"step":true,"uid":[],"sample_index":"0","label":{},"note":3,"time":{}}',
}
FILES = {"metrics.jsonl": METRICS, "run.json": RECORDS, "config.yaml": CONFIGS, "labels.jsonl": LABELS}


def answers(client: TestClient, name: str, pages: tuple[str, ...] = ("", "/curves", "/labels", "/health")) -> Any:
    """Ask for the pages of a run and then for the list; return the list's rows by name."""
    for page in pages:
        answer = client.get(f"/api/runs/{name}{page}")
        assert answer.status_code == 200, f"{name}{page}: {answer.text[:300]}"
    answer = client.post(f"/api/runs/{name}/sql", json={"sql": "SELECT count(*) FROM responses"})
    assert answer.status_code == 200, answer.text
    listed = client.get("/api/runs")
    assert listed.status_code == 200, listed.text
    rows = {row["name"]: row for row in listed.json()["rows"]}
    assert rows["healthy"]["reward_trained"] == 0.5
    return rows


def healthy(root: Path) -> None:
    record(root / "healthy", 1, groups=1, samples=2)
    (root / "healthy" / "metrics.jsonl").write_text('{"step":1,"critic/score/mean":0.5}\n')
    (root / "healthy" / "run.json").write_text('{"status":"finished","step":1}')


@pytest.mark.parametrize("file", FILES)
def test_a_bad_file_costs_only_its_own_run(new_client: TestClient, tmp_path: Path, file: str) -> None:
    root = tmp_path / "runs"
    healthy(root)
    for case, content in FILES[file].items():
        (root / case).mkdir()
        (root / case / "run.json").write_text('{"status":"finished","step":1}')
        (root / case / file).write_text(content + "\n")
    for case in FILES[file]:
        assert case in answers(new_client, case)
        assert len(new_client.get(f"/api/runs/{case}").content) < 3_000_000


def test_a_static_copy_survives_bad_metrics(new_client: TestClient, tmp_path: Path) -> None:
    record(tmp_path / "runs" / "bad", 1, groups=1, samples=2)
    (tmp_path / "runs" / "bad" / "metrics.jsonl").write_text("\n".join(METRICS.values()) + "\n")
    pages = zipfile.ZipFile(io.BytesIO(new_client.get("/api/runs/bad/static").content)).namelist()
    assert "bad/index.html" in pages


def test_the_list_says_which_run_has_a_problem(new_client: TestClient, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    healthy(root)
    for name, file, content in (("a", "run.json", DEEP), ("b", "config.yaml", BOMB)):
        (root / name).mkdir()
        (root / name / "run.json").write_text("{}")
        (root / name / file).write_text(content)
    rows = {row["name"]: row for row in new_client.get("/api/runs").json()["rows"]}
    assert rows["healthy"]["problem"] is None
    assert "nested too deeply" in rows["a"]["problem"]
    assert "aliases" in rows["b"]["problem"]
    detail = new_client.get("/api/runs/b").json()
    assert (detail["config"], detail["config_text"]) == (None, BOMB)


@pytest.mark.parametrize("file", ["run.json", "metrics.jsonl", "config.yaml", "labels.jsonl", "fifo"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(new_client: TestClient, tmp_path: Path, file: str) -> None:
    root = tmp_path / "runs"
    healthy(root)
    record(root / "bad", 1, groups=1)
    if file == "fifo":
        os.mkfifo(root / "bad" / "rollouts" / "step=000001" / "train-a001-x-00ff-000009.parquet")
    else:
        os.mkfifo(root / "bad" / file)
    answers(new_client, "bad")
    files = {problem["file"] for problem in new_client.get("/api/runs/bad").json()["problems"]}
    assert any(file in name or "00ff-000009" in name for name in files) or file in ("metrics.jsonl", "labels.jsonl")


FILES_OF_A_RUN = ("run.json", "metrics.jsonl", "config.yaml", "labels.jsonl", "tags.json", "tokenizer.json")


def test_folders_in_place_of_files_are_named_and_left_closed(new_client: TestClient, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    healthy(root)
    record(root / "bad", 1, groups=1)
    for file in FILES_OF_A_RUN:
        (root / "bad" / file).mkdir()
    answers(new_client, "bad")
    opened = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        rows = answers(new_client, "bad", ("", "/labels"))
    assert len(os.listdir("/proc/self/fd")) < opened + 20
    assert "run.json: not a regular file" in rows["bad"]["problem"]


def test_a_byte_order_mark_is_no_fault(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r"
    run.mkdir()
    (run / "run.json").write_text('{"status":"finished","step":7}', encoding="utf-8-sig")
    (run / "metrics.jsonl").write_text('{"step":7,"critic/score/mean":0.25}\n', encoding="utf-8-sig")
    row = new_client.get("/api/runs").json()["rows"][0]
    assert (row["problem"], row["step"], row["reward_trained"]) == (None, 7, 0.25)


@pytest.mark.parametrize(
    "name", ["a#b?c&d=%2F", "x[1]*", "%2e%2e", "a\\b", " ", "é", "~", "bad\udcff", "new\nline", "a:b@c"]
)
def test_a_run_opens_whatever_its_name(new_client: TestClient, tmp_path: Path, name: str) -> None:
    healthy(tmp_path / "runs")
    record(tmp_path / "runs" / "plain", 1, groups=1)
    os.rename(tmp_path / "runs" / "plain", tmp_path / "runs" / name)
    shown = os.fsencode(name).decode("utf-8", "backslashreplace")
    names = {row["name"] for row in new_client.get("/api/runs").json()["rows"]}
    assert names == {"healthy", shown}
    quoted = quote(quote(shown, safe=""), safe="")  # twice: this client decodes an address once more than a server
    answer = new_client.get(f"/api/runs/{quoted}/rollouts")
    assert answer.status_code == 200, answer.text
    if "\udcff" not in name:
        assert answer.json()["total"] == 4


FOREIGN = ["no prompt", "no response", "no name of the group", "numbers for text", "text for numbers", "bytes for text"]


def foreign(kind: str) -> pa.Table:
    """Rows of another schema; `kind` says what is different."""
    columns: dict[str, Any] = {"step": [3], "kind": ["train"], "attempt": [1], "prompt_uid": ["g9"], "sample": [0]}
    columns |= {"reward": [1.0], "response": ["foreign words"], "prompt": ["foreign question"]}
    if kind == "no prompt":
        del columns["prompt"]
    if kind == "no response":
        del columns["response"]
    if kind == "no name of the group":
        columns["prompt_uid"] = [""]
    if kind == "numbers for text":
        columns["response"], columns["prompt"] = [3], [[1, 2]]
    if kind == "text for numbers":
        columns["reward"], columns["response_tokens"] = ["much"], ["many"]
    table = pa.table(columns)
    if kind == "bytes for text":
        column = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
        table = table.set_column(table.column_names.index("response"), "response", column)
        table = table.append_column("domain", column)
    return table


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_segment_costs_its_own_rows(new_client: TestClient, tmp_path: Path, kind: str) -> None:
    run = tmp_path / "runs" / "mixed"
    record(run, 3, groups=2, samples=2)
    record(run, 4, groups=2, samples=2)
    pq.write_table(foreign(kind), run / "rollouts" / "step=000003" / "train-a001-x-00ff-000008.parquet")
    session = new_client.app.state.services.runs.open("mixed")  # type: ignore[attr-defined]
    assert session.wait_read(30), session.error
    assert new_client.get("/api/runs/mixed/rollouts").json()["total"] in (8, 9)
    if kind == "no name of the group":  # no address would lead to it
        assert any("key is empty" in one["why"] for one in new_client.get("/api/runs/mixed").json()["problems"])
    found = new_client.get("/api/runs/mixed/rollouts", params={"word": "answer"}).json()
    assert (found["total"], found["search"]["complete"]) == (8, True)
    assert all(row["preview"] for row in found["rows"])


@pytest.mark.parametrize("step", ["step=9999999999", "step=²", "step=-1", "step=", "step=000001x"])
def test_a_folder_that_is_no_step_is_left_out(new_client: TestClient, tmp_path: Path, step: str) -> None:
    run = tmp_path / "runs" / "odd"
    record(run, 1, groups=1, samples=2)
    (run / "rollouts" / "step=000001").joinpath("x").parent.joinpath("../" + step).mkdir()
    pq.write_table(foreign(""), run / "rollouts" / step / "train-a001-x-00ff-000008.parquet")
    assert new_client.get("/api/runs/odd/rollouts").json()["total"] == 2


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = """step attempt attempts status total_steps heartbeat git a/b domain/x/score domain/x/responses model kind uid
sample_index label resumed_from_step critic/score/mean packages"""
names = st.sampled_from(NAMES.split())


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content=st.dictionaries(names, values, max_size=8), file=st.sampled_from(sorted(FILES)), raw=st.binary(max_size=30)
)
def test_no_content_of_a_file_hides_a_run(
    new_client: TestClient, tmp_path: Path, content: dict[str, Any], file: str, raw: bytes
) -> None:
    root = tmp_path / "runs"
    if not (root / "healthy").exists():
        healthy(root)
    (root / "bad").mkdir(exist_ok=True)
    for other in FILES:
        (root / "bad" / other).unlink(missing_ok=True)
    (root / "bad" / "run.json").write_text("{}")
    (root / "bad" / file).write_bytes(json.dumps(content).encode() + b"\n" + (raw if b"\n" not in raw else b""))
    rows = {row["name"]: row for row in new_client.get("/api/runs").json()["rows"]}
    assert rows["healthy"]["reward_trained"] == 0.5
    assert "cannot be read" not in (rows["bad"]["problem"] or "")
    for page in ("", "/curves"):
        answer = new_client.get(f"/api/runs/bad{page}")
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("read", [parse_json])
def test_values_are_cleaned_at_any_depth(read: Callable[[str], Any]) -> None:
    assert read('{"a":["\\ud800",' + "9" * 30 + "]}") == ({"a": ["\ufffd", None]}, "")
    assert read("[" * 60 + "]" * 60)[1] == ""


def test_a_line_that_is_too_long_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a":1}\n' + b"x" * (5 << 20) + b"\n[]\n\n" + b'{"b":2}\n{"torn":')
    assert list(read_json_lines(path)) == [{"a": 1}, None, None, {"b": 2}]


def test_a_run_that_closes_slowly_keeps_no_reader_waiting(
    new_client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, may_close = [], threading.Event()
    close = RunSession.close

    def slow(session: RunSession) -> None:
        assert may_close.wait(30)
        close(session)
        closed.append(session.run.name)

    monkeypatch.setattr(RunSession, "close", slow)
    for number in range(MOST_OPEN + 1):
        record(tmp_path / "runs" / f"r{number}", 1, groups=1, samples=2)
        assert new_client.get(f"/api/runs/r{number}/rollouts").json()["total"] == 2
    assert closed == []
    may_close.set()
    assert new_client.get("/api/runs/r0/rollouts").json()["total"] == 2
    assert closed[0] == "r0"
    assert not new_client.app.state.services.runs.open("r0").index.temporary  # type: ignore[attr-defined]
