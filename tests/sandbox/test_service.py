"""The HTTP service: SandboxFusion's form, the token, overload, and verl's own client against a real server."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from fastapi.testclient import TestClient
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import JSONResponse

from rewards.code.sandbox.compiler import probe_compiler
from rewards.code.sandbox.pool import SandboxPool
from rewards.code.service import MAX_BODY_BYTES, TOKEN_VARIABLE, Gate, app, main


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(app(SandboxPool(1, waiting=1), "secret")) as made:
        yield made


def ask(client: TestClient, code: str, **fields: object) -> dict[str, object]:
    answer = client.post("/run_code?token=secret", json={"code": code, **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_answers_have_sandboxfusions_form(client: TestClient) -> None:
    good = ask(client, "print(int(input()) + 1)", stdin="41\n", run_timeout=5, memory_limit_MB=256)
    assert good["status"] == "Success"
    run = good["run_result"]
    assert isinstance(run, dict)
    assert (run["status"], run["return_code"], run["stdout"]) == ("Finished", 0, "42\n")
    slow = ask(client, "while True: pass", run_timeout=0.3)
    assert (slow["status"], slow["run_result"]["status"]) == ("Failed", "TimeLimitExceeded")  # type: ignore[index]
    broken = ask(client, "def f(:")
    assert (broken["status"], broken["compile_result"]["status"]) == ("Failed", "Error")  # type: ignore[index]
    assert ask(client, "import os; os._exit(0)")["status"] == "Success"
    assert ask(client, "1/0")["run_result"]["return_code"] == 1  # type: ignore[index]
    assert ask(client, "fn main() {}", language="rust")["status"] == "SandboxError"
    assert ask(client, "print(1)", files={"a": "b"})["status"] == "SandboxError"


def test_programs_in_cpp(client: TestClient) -> None:
    if not probe_compiler()[1]:
        assert ask(client, "int main() {}", language="cpp")["status"] == "SandboxError"
        return
    good = ask(client, '#include <cstdio>\nint main() { puts("3"); }', language="cpp")
    assert (good["status"], good["run_result"]["stdout"]) == ("Success", "3\n")  # type: ignore[index]
    broken = ask(client, '#line 1 "/etc/passwd"\nint main() { undeclared; }', language="cpp")
    assert (broken["status"], broken["compile_result"]["status"]) == ("Failed", "Error")  # type: ignore[index]
    said = broken["compile_result"]["stderr"]  # type: ignore[index]
    assert "'undeclared' was not declared" in said
    assert "root" not in said


def test_a_token_is_needed(client: TestClient) -> None:
    assert client.post("/run_code", json={"code": "print(1)"}).status_code == 401
    assert client.post("/run_code?token=wrong", json={"code": "print(1)"}).status_code == 401
    bearer = {"Authorization": "Bearer secret"}
    assert client.post("/run_code", json={"code": "print(1)"}, headers=bearer).status_code == 200
    assert client.post("/run_code?token=secret", json={"code": "print(1)", "run_timeout": 1e9}).status_code == 422
    assert client.get("/health").json() == {"status": "ok"}
    for path in ("/docs", "/redoc", "/openapi.json", "/"):
        assert client.get(path).status_code == 401
        assert client.get(f"{path}?token=secret").status_code == 404


def gate(headers: dict[str, str], parts: list[bytes], max_bytes: int = 100) -> tuple[int, int, int]:
    """(status, parts of the body that were asked for, bytes that came through) of one request to a gate."""
    asked, through, sent = 0, 0, []

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": parts[asked - 1], "more_body": asked < len(parts)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        nonlocal through
        more = True
        while more:
            message = await receive()
            through, more = through + len(message["body"]), message["more_body"]
        await JSONResponse({})(scope, receive, send)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/run_code", "query_string": b"", "headers": raw}
    guarded = ExceptionMiddleware(inner)  # as FastAPI answers an HTTPException
    asyncio.run(Gate(guarded, "secret", max_bytes)(scope, receive, send))
    return sent[0]["status"], asked, through


def test_nothing_of_a_body_is_read_before_token_and_length() -> None:
    token = {"authorization": "Bearer secret"}
    assert gate({"content-length": "3"}, [b"abc"]) == (401, 0, 0)
    assert gate({"authorization": "Bearer sécret"}, [b"abc"]) == (401, 0, 0)
    assert gate({**token, "content-length": "101"}, [b"x" * 101]) == (413, 0, 0)
    for length in ("-1", "many", "9" * 5000, "²"):
        assert gate({**token, "content-length": length}, [b"abc"]) == (400, 0, 0), length
    assert gate({**token, "content-length": "100"}, [b"x" * 100]) == (200, 1, 100)
    assert gate(token, [b"x" * 40] * 50) == (413, 3, 80), "a body without a length ends at the bound"


def test_the_service_stands_behind_the_gate(client: TestClient) -> None:
    headers = {"Authorization": "Bearer secret", "Content-Length": str(MAX_BODY_BYTES + 1)}
    assert client.post("/run_code", content=b"{}", headers=headers).status_code == 413
    endless = iter([b" " * 2**20] * (MAX_BODY_BYTES // 2**20 + 1))
    assert client.post("/run_code?token=secret", content=endless).status_code == 413


def test_overload_is_said_at_once(client: TestClient) -> None:
    codes: list[int] = []

    def post() -> None:
        body = {"code": "import time; time.sleep(0.4)", "run_timeout": 5}
        codes.append(client.post("/run_code?token=secret", json=body).status_code)

    threads = [threading.Thread(target=post) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes)[0] == 200
    assert sorted(codes)[-1] == 504


def test_it_does_not_start_open_to_the_world(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(SystemExit) as caught:
        main(["--host", "0.0.0.0"])
    assert caught.value.code == 2
    assert TOKEN_VARIABLE in capsys.readouterr().err


def post(address: tuple[str, int], code: str) -> socket.socket:
    """Send a program and return the connection, whose answer nobody has read."""
    body = json.dumps({"code": code, "run_timeout": 30}).encode()
    head = f"POST /run_code?token=secret HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    sock = socket.create_connection(address)
    sock.sendall(head.encode() + b"\r\n\r\n" + body)
    return sock


@pytest.mark.slow
def test_clients_that_hang_up_or_idle_cost_nobody_anything() -> None:
    command = [sys.executable, "-m", "rewards.code.service", "--port", "0", "--workers", "1", "--connections", "20"]
    environment = {**os.environ, TOKEN_VARIABLE: "secret"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://([\d.]+):(\d+)", server.stdout.readline())
            assert found is not None
            address = (found[1], int(found[2]))
            for sock in [post(address, "import time; time.sleep(50)") for _ in range(6)]:
                time.sleep(0.1)
                sock.close()
            idle = [socket.create_connection(address) for _ in range(60)]
            got = requests.post(f"{found[0]}/run_code?token=secret", json={"code": "print(3)"}, timeout=40).json()
            assert (got["status"], got["run_result"]["stdout"]) == ("Success", "3\n")
            counts = requests.get(f"{found[0]}/metrics?token=secret", timeout=40).text
            assert 'sandbox_programs_total{ending="canceled"} 6' in counts
            assert "sandbox_waiting 0" in counts
            for sock in idle:
                sock.close()
            server.terminate()
            assert server.wait(30) == 0
        finally:
            server.kill()


@pytest.mark.slow
def test_verls_client_can_call_it() -> None:
    from verl.utils.reward_score.sandbox_fusion import compute_score

    command = [sys.executable, "-m", "rewards.code.service", "--port", "0", "--workers", "1"]
    environment = {**os.environ, TOKEN_VARIABLE: "secret"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            url = f"{found[0]}/run_code?token=secret"
            time.sleep(0.1)
            tests = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
            program = "```python\nprint(sum(map(int, input().split())))\n```"
            score, _ = compute_score(url, None, 512, program, tests, timeout=5)
            assert score == 1.0
            score, details = compute_score(url, None, 512, program.replace("sum", "max"), tests, timeout=5)
            assert (score, details[0]["status"]) == (0.0, "wrong_answer")
            named = {"inputs": ["1\n2"], "outputs": ["3"], "fn_name": "add"}
            score, _ = compute_score(
                url, None, 512, "```python\ndef add(a, b):\n    return a + b\n```", named, timeout=5
            )
            assert score == 1.0
        finally:
            server.terminate()
            server.wait(20)
