"""An OpenAI-compatible server for tests that gives the answers of the test and fails in every way that real ones do.

    with FakeEndpoint(["429", "ok"]) as server:   # the faults of the first requests, then `ok` for ever
        EndpointConfig(url=server.url, model="fake")

Faults: 429, 429-long, 500, 400, 401, html, no_choices, reasoning, truncated, slow, dropped, list.
`answer` may be replaced by a function from the request's body to the text.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

SLOW_S = 30.0


class FakeEndpoint:
    """A server on a free port; `requests` are the bodies that it got."""

    def __init__(self, faults: Iterable[str] = (), answer: Callable[[dict[str, Any]], str] | None = None) -> None:
        self.faults = list(faults)
        self.always = ""
        self.answer = answer or (lambda body: f"echo {body['messages'][-1]['content']}")
        self.requests: list[dict[str, Any]] = []
        self.in_flight = self.most_in_flight = 0
        self.delay = 0.0
        self._guard = threading.Lock()
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Write no log."""

            def do_GET(self) -> None:
                _send(self, 200, json.dumps({"object": "list", "data": [{"id": "fake", "object": "model"}]}))

            def do_POST(self) -> None:
                owner._handle(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._guard:
            self.requests.append(body)
            fault = self.faults.pop(0) if self.faults else self.always
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.delay:
                time.sleep(self.delay)
            self._respond(handler, fault, body)
        except OSError:
            handler.close_connection = True
        finally:
            with self._guard:
                self.in_flight -= 1

    def _respond(self, handler: BaseHTTPRequestHandler, fault: str, body: dict[str, Any]) -> None:
        text = self.answer(body)
        good = json.dumps(completion({"role": "assistant", "content": text}))
        if fault == "429":
            _send(handler, 429, '{"error": {"message": "slow down"}}', {"Retry-After": "0.05"})
        elif fault == "429-long":
            _send(handler, 429, '{"error": {"message": "slow down"}}', {"Retry-After": "3600"})
        elif fault in ("500", "400", "401"):
            _send(handler, int(fault), '{"error": {"message": "no"}}')
        elif fault == "html":
            _send(handler, 200, "<html><body>Bad gateway</body></html>", {"Content-Type": "text/html"})
        elif fault == "no_choices":
            _send(handler, 200, '{"id": "x", "choices": []}')
        elif fault == "list":
            _send(handler, 200, "[1, 2]")
        elif fault == "reasoning":
            message = {"role": "assistant", "content": None, "reasoning_content": "hmm"}
            _send(handler, 200, json.dumps(completion(message, "length")))
        elif fault == "truncated":
            _send(handler, 200, good[: len(good) // 2])
        elif fault == "slow":
            self._stopped.wait(SLOW_S)
            _send(handler, 200, good)
        elif fault == "dropped":
            handler.close_connection = True
            handler.connection.close()
        else:
            _send(handler, 200, good)


def completion(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    """Return the body of a chat completion."""
    return {
        "id": "x",
        "object": "chat.completion",
        "model": "fake",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def _send(handler: BaseHTTPRequestHandler, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    content = text.encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)
