"""Answer the requests of tasks: from the store what is there, from an engine the rest.

An engine process starts when the first response is missing and stays for the tasks that follow. Each response is
written to the store as it finishes, so `kill -9` costs what was in flight and nothing else.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from innovator_rl.errors import UserError
from innovator_rl.evaluation.checkpoint import Checkpoint
from innovator_rl.evaluation.engine.client import EngineClient
from innovator_rl.evaluation.engine.settings import Backend, EngineSettings
from innovator_rl.evaluation.requests import (
    GenerateRequest,
    Generation,
    OptionRequest,
    OptionScore,
    Request,
    Response,
    request_key,
)
from innovator_rl.evaluation.store import ResponseStore

SHARED = 0.5  # from this share of shared prompt tokens on, vLLM's prefix cache makes up for its slower forward pass
CHUNK = 4096  # requests in one message to the engine
WRITE_SECONDS = 0.5  # the longest time for which a finished response is in memory only

Kind = TypeVar("Kind", Generation, OptionScore)
Reporter = Callable[[str, int, int], None]
"""Called with what is being done, and how many of how many requests have a response."""


@dataclass(frozen=True)
class Backends:
    """Which backend answers which kind of request.

    On a CPU transformers computes options of one token faster than vLLM, unless their prompts share most of their tokens,
    as prompts with the same examples do; everything else is vLLM's.
    """

    text: Backend = "vllm"
    one_token: Backend = "vllm"
    options: Backend = "vllm"


def shared_tokens(requests: Sequence[OptionRequest]) -> float:
    """Return the share of prompt tokens that the prompt before begins with too, from 0 to 1."""
    prompts = list(dict.fromkeys(request.tokens for request in requests))
    total = sum(len(prompt) for prompt in prompts)
    shared = sum(_common(one, other) for one, other in itertools.pairwise(prompts))
    return shared / total if total else 0.0


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the longest common beginning."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class Driver:
    """The one place through which tasks ask a model."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        store: ResponseStore,
        settings: EngineSettings,
        backends: Backends,
        log: Path,
        report: Reporter,
    ) -> None:
        """Configure the driver; no engine starts before a response is missing.

        Args:
            checkpoint: The model.
            store: Where responses are kept.
            settings: How engines are started; each backend replaces the one given here.
            backends: Which backend answers what.
            log: The file for the output of engines.
            report: Receives the progress.
        """
        self.checkpoint, self.backends = checkpoint, backends
        self._store, self._settings, self._log, self._report = store, settings, log, report
        self._engine: EngineClient | None = None
        self.engines: dict[str, dict[str, Any]] = {}
        self.answered = 0
        self.reused = 0
        self.generated_tokens = 0
        self.generating_seconds = 0.0

    def generate(self, requests: Sequence[GenerateRequest], what: str, samples: int = 1) -> list[Generation]:
        """Return a sample of text per request.

        Args:
            requests: Requests; those of one prompt follow each other, `samples` of them.
            what: The name of the task, for the progress.
            samples: The number of samples per prompt.
        """
        started = time.monotonic()
        before = self.answered
        found = self._answer(
            requests, [i % samples for i in range(len(requests))], self.backends.text, what, Generation
        )
        if self.answered > before:
            self.generating_seconds += time.monotonic() - started
        return found

    def score_options(self, requests: Sequence[OptionRequest], what: str) -> list[OptionScore]:
        """Return the log-probability of each continuation."""
        single = all(len(request.option) == 1 for request in requests) and shared_tokens(requests) < SHARED
        backend = self.backends.one_token if single else self.backends.options
        return self._answer(requests, [0] * len(requests), backend, what, OptionScore)

    def close(self) -> None:
        """End the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(
        self, requests: Sequence[Request], samples: list[int], backend: Backend, what: str, kind: type[Kind]
    ) -> list[Kind]:
        identity = f"{self.checkpoint.fingerprint} {backend} {self._settings.dtype}"
        keys = [request_key(request, identity, number) for request, number in zip(requests, samples, strict=True)]
        found = self._store.get(keys)
        missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in found}
        self.reused += len(keys) - len(missing)
        if missing:
            found.update(self._ask(missing, backend, what, len(keys)))
        responses = [found[key] for key in keys]
        if not all(isinstance(response, kind) for response in responses):
            raise UserError(f"{self._store.path} has a response of another kind: remove the file and start again")
        return responses  # type: ignore[return-value]

    def _ask(self, missing: dict[str, Request], backend: Backend, what: str, total: int) -> dict[str, Response]:
        keys = list(missing)
        self._report(f"{what}: starting {backend}" if self._engine is None else what, total - len(keys), total)
        engine = self._start(backend)
        found: dict[str, Response] = {}
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            fresh: dict[str, Response] = {}
            written = time.monotonic()
            for index, response in engine.answer([missing[key] for key in part]):
                fresh[part[index]] = response
                if isinstance(response, Generation):
                    self.generated_tokens += len(response.token_ids)
                if time.monotonic() - written > WRITE_SECONDS:
                    self._store.put(fresh)
                    found.update(fresh)
                    fresh, written = {}, time.monotonic()
                    self._report(what, total - len(keys) + len(found), total)
            self._store.put(fresh)
            found.update(fresh)
        self.answered += len(keys)
        self._report(what, total, total)
        return found

    def _start(self, backend: Backend) -> EngineClient:
        if self._engine is not None and self._engine.settings.backend != backend:
            self.close()  # one model in memory at a time
        if self._engine is None:
            self._engine = EngineClient(replace(self._settings, backend=backend), self._log)
            self.engines[backend] = self._engine.description
        return self._engine
