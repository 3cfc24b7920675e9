"""The engine process: load a model, answer requests from standard input, one JSON line each.

    python -m innovator_rl.evaluation.engine.process SETTINGS

It writes `{"ready": {...}}` once the model is loaded, then for each batch of requests one `{"index", "response"}` line
per request as it finishes, and `{"done": true}`. A failure is one `{"error": "..."}` line. When the other side is gone,
the process ends: an evaluation that was killed leaves no engine behind.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Protocol, TextIO

from innovator_rl.evaluation.engine.settings import EngineSettings
from innovator_rl.evaluation.requests import Request, Response, request_from_wire


class EngineBackend(Protocol):
    """A loaded model."""

    def describe(self) -> dict[str, Any]:
        """Return versions and settings for the report."""

    def answer(self, requests: list[Request]) -> Iterator[tuple[int, Response]]:
        """Yield the index and the response of each request, in any order."""


def load(settings: EngineSettings) -> EngineBackend:
    """Load the model with the chosen backend."""
    if settings.backend == "vllm":
        from innovator_rl.evaluation.engine.vllm_backend import VllmBackend

        return VllmBackend(settings)
    from innovator_rl.evaluation.engine.transformers_backend import TransformersBackend

    return TransformersBackend(settings)


def serve(settings: EngineSettings, batches: Iterator[list[Request]], write: Callable[[dict[str, Any]], None]) -> None:
    """Load the model and answer every batch."""
    try:
        backend = load(settings)
        write({"ready": backend.describe()})
        for requests in batches:
            for index, response in backend.answer(requests):
                write({"index": index, "response": asdict(response)})
            write({"done": True})
    except Exception as error:  # the other side turns it into one line, and the log has the traceback
        write({"error": _reason(error)})
        raise


def _reason(error: BaseException) -> str:
    """Return the first sentence of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    validation = next((line for line in lines if "rror," in line), "")  # pydantic puts a heading before its sentence
    return f"{type(error).__name__}: {validation or next(iter(lines), 'no message')}"[:400]


def _batches(source: TextIO) -> Iterator[list[Request]]:
    """Yield batches; the process ends as soon as the source does, whatever it is doing."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in source:
            waiting.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True, name="requests").start()
    while True:
        yield [request_from_wire(item) for item in json.loads(waiting.get())]


def main() -> None:
    """Serve the settings in the first argument until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the libraries print belongs in the log

    def write(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        serve(EngineSettings.from_json(sys.argv[1]), _batches(sys.stdin), write)
    except BrokenPipeError:
        pass
    finally:
        os._exit(1)  # no destructors: vLLM's print pages, and the reader thread would keep the process


if __name__ == "__main__":
    main()
