"""Only allowed requests are served, no foreign script runs, and hostile SQL, names and text reach nothing."""

import socket
import tracemalloc
from pathlib import Path

import pytest
from dashboard_runs import ADDRESS, SCIENCE, record
from fastapi.testclient import TestClient

from innovator_rl.dashboard.app import create_app
from innovator_rl.dashboard.tools import sql_console
from innovator_rl.dashboard.web.security import check_token
from innovator_rl.errors import UserError

TOKEN = "correct-horse-battery"


def test_loopback_needs_no_token_and_other_addresses_do() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        check_token(host, None)
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org", "10.0.0.1"):
        with pytest.raises(UserError, match="token"):
            check_token(host, None)
        check_token(host, TOKEN)
    with pytest.raises(UserError, match="16"):
        check_token("127.0.0.1", "short")


def test_a_token_opens_by_header_and_by_cookie(demo_root: Path) -> None:
    with TestClient(create_app([demo_root], host="0.0.0.0", token=TOKEN), base_url="http://gpu7:8000") as client:
        assert client.get("/api/runs").status_code == 401
        assert client.get("/").status_code == 401
        assert client.get(f"/api/runs?token={TOKEN}").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        assert client.get("/api/runs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        entered = client.get(f"/?token={TOKEN}", follow_redirects=False)
        assert entered.status_code == 303
        assert "HttpOnly" in entered.headers["set-cookie"]
        assert "samesite=strict" in entered.headers["set-cookie"].lower()
        assert client.get("/api/runs").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "localhost.evil:8000"]
)
def test_another_host_name_is_refused_on_loopback(client: TestClient, host: str) -> None:
    assert client.get("/api/runs", headers={"host": host}).status_code == 403


def test_requests_from_other_pages_are_refused(client: TestClient) -> None:
    foreign = {"origin": "https://evil.example"}
    assert client.get("/api/runs", headers=foreign).status_code == 403
    assert client.post(f"{SCIENCE}/sql", json={"sql": "SELECT 1"}, headers=foreign).status_code == 403
    assert client.get("/api/runs", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 200
    assert client.post(f"{SCIENCE}/sql", json={"sql": "SELECT 1"}, headers={"origin": ADDRESS}).status_code == 200
    form = client.post(f"{SCIENCE}/sql", content='{"sql": "SELECT 1"}', headers={"content-type": "text/plain"})
    assert form.status_code == 415
    assert client.post(f"{SCIENCE}/sql", json={"sql": "x" * 1_100_000}).status_code == 413


def test_every_answer_carries_the_policy(client: TestClient) -> None:
    for path in ("/", "/api/runs", "/api/nothing", "/static/js/app/main.js", f"{SCIENCE}/rollouts?domian=x"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_parquet('/etc/*')",
        "COPY responses TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "DELETE FROM responses",
        "DROP TABLE responses",
        "CREATE TABLE x AS SELECT 1",
        "WITH gone AS (DELETE FROM responses RETURNING *) SELECT * FROM gone",
        "SELECT * FROM query('DROP TABLE responses')",
        "SELECT 1; DROP TABLE responses",
        "SELECT getenv('HOME')",
        "EXPORT DATABASE '/tmp/x'",
        "SELECT",
        "",
    ],
)
def test_sql_reads_the_index_and_nothing_else(client: TestClient, sql: str) -> None:
    answer = client.post(f"{SCIENCE}/sql", json={"sql": sql})
    assert answer.status_code == 400, answer.text
    assert "root:" not in answer.text
    still = client.post(f"{SCIENCE}/sql", json={"sql": "SELECT count(*) FROM responses"}).json()
    assert still["rows"][0][0] > 2000


def test_a_statement_past_the_check_still_changes_nothing(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The read-only transaction is a barrier of its own: here the statement that is run is not the one that was checked."""
    monkeypatch.setattr(sql_console, "_bounded", lambda *_: "CREATE TABLE left_behind AS SELECT 1")
    answer = client.post(f"{SCIENCE}/sql", json={"sql": "SELECT 1"})
    assert answer.status_code == 400
    assert "read-only" in answer.json()["error"]


def test_sql_ends_in_time_and_in_rows(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("innovator_rl.dashboard.tools.sql_console.SQL_SECONDS", 0.3)
    seconds = "SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(200) b(i)"  # not hours, should the limit fail
    assert client.post(f"{SCIENCE}/sql", json={"sql": seconds}).status_code == 413
    many = client.post(f"{SCIENCE}/sql", json={"sql": "SELECT * FROM range(5000)"}).json()
    assert (len(many["rows"]), many["truncated"]) == (1000, True)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT range(20000) AS x FROM range(1000)",
        "SELECT repeat('x', 100000000) AS x",
        "SELECT {'a': [repeat('x', 30000)]} AS x, 2 AS x FROM range(1000); ",
        "SELECT map(['k'], [range(20000)]) AS x -- a comment",
        f"SELECT {', '.join(f'repeat(chr(120), 10000) AS y{i}' for i in range(200))} FROM range(1000)",
    ],
)
def test_a_large_value_is_cut_in_the_database(client: TestClient, sql: str) -> None:
    tracemalloc.start()
    try:
        answer = client.post(f"{SCIENCE}/sql", json={"sql": sql})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status_code in (200, 400), answer.text
    assert peak < 300e6
    if answer.status_code == 200:
        assert max(len(str(cell)) for row in answer.json()["rows"] for cell in row) < 10_100
    else:
        assert "memory" in answer.json()["error"].lower()


def test_cells_keep_their_types(client: TestClient) -> None:
    sql = "SELECT 1 AS a, 1.5::DOUBLE AS a, 'x' AS \"q\"\"z\", [1, 2] AS l, 'ab'::BLOB AS b, NULL AS n, 2::HUGEINT ** 70 AS h, true AS t"
    answer = client.post(f"{SCIENCE}/sql", json={"sql": sql}).json()
    assert answer["rows"] == [[1, 1.5, "x", "[1, 2]", "2 bytes", None, 2.0**70, True]]
    assert answer["types"][:4] == ["INTEGER", "DOUBLE", "VARCHAR", "INTEGER[]"]


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../..",
        "%2e%2e",
        "..%2f..%2fetc",
        "demo-science%2f..%2f..",
        ".index",
        "%00",
        "/etc",
    ],
)
def test_a_run_name_leads_nowhere_else(client: TestClient, name: str) -> None:
    assert client.get(f"/api/runs/{name}/curves").status_code in (404, 400)
    assert client.get(f"/static/{name}/passwd").status_code == 404


def test_links_out_of_the_folder_are_not_followed(new_client: TestClient, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    record(outside, 1)
    runs = tmp_path / "runs"
    (runs / "linked").symlink_to(outside)
    assert new_client.get("/api/runs").json()["rows"] == []
    assert new_client.get("/api/runs/linked").status_code == 404
    record(runs / "real", 1)
    secret = next((outside / "rollouts" / "step=000001").glob("*.parquet"))
    link = runs / "real" / "rollouts" / "step=000001" / "train-a001-w-00-000099.parquet"
    link.symlink_to(secret)
    answer = new_client.get("/api/runs/real").json()
    assert answer["record"]["train"]["rows"] == 16
    assert [p["why"] for p in answer["problems"]] == ["a link: links are not followed"]
    (runs / "real" / "labels.jsonl").symlink_to(tmp_path / "elsewhere")
    body = {"step": 1, "uid": "g0", "sample_index": 0, "label": "x"}
    assert new_client.post("/api/runs/real/labels", json=body).status_code == 503
    assert not (tmp_path / "elsewhere").exists()


def test_hostile_text_travels_as_text(new_client: TestClient, tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script>\x00\x1b[2J\u202e $\\href{javascript:x}{y}$ =HYPERLINK("x")'
    record(tmp_path / "runs" / "r", 1, text=hostile, domain='"><img src=x onerror=alert(1)>')
    answer = new_client.get("/api/runs/r/group", params={"step": 1, "uid": "g0"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["responses"][0]["response"].startswith(hostile)
    export = new_client.get("/api/runs/r/export", params={"format": "csv"})
    assert export.headers["content-disposition"].startswith("attachment")
    pages = new_client.get("/api/runs/r/static").content
    assert b"<script>alert" not in pages


def test_a_spreadsheet_runs_no_exported_formula(new_client: TestClient, tmp_path: Path) -> None:
    record(tmp_path / "runs" / "r", 1, text="=cmd()", groups=1, samples=1)
    text = new_client.get("/api/runs/r/export", params={"format": "csv"}).text
    assert ",'=cmd() 0 0" in text
    assert ",=cmd()" not in text


def test_ten_megabytes_are_read_in_windows(new_client: TestClient, tmp_path: Path) -> None:
    record(tmp_path / "runs" / "r", 1, groups=1, samples=2, text="ab " * 3_500_000)
    name = {"step": 1, "uid": "g0", "sample_index": 0}
    answer = new_client.get("/api/runs/r/response", params={**name, "offset": 9_000_000, "limit": 10})
    assert answer.json()["response_chars"] > 10_000_000
    assert answer.json()["response"] == ("ab " * 4)[:10]
    assert len(new_client.get("/api/runs/r/group", params={"step": 1, "uid": "g0"}).content) < 100_000
    assert len(new_client.get("/api/runs/r/rollouts").content) < 20_000
    assert new_client.get("/api/runs/r/response", params={**name, "limit": 100_000_000}).status_code == 400


def test_the_command_refuses_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from innovator_rl.cli.dashboard import dashboard

    monkeypatch.delenv("INNOVATOR_DASHBOARD_TOKEN", raising=False)
    with pytest.raises(UserError, match="token"):
        dashboard(str(tmp_path), host="0.0.0.0")
    with pytest.raises(UserError, match="folder not found"):
        dashboard(str(tmp_path / "missing"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="choose another port"):
            dashboard(str(tmp_path), port=taken.getsockname()[1])
