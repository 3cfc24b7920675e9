"""Define what is asked of a model during an evaluation, and what comes back.

A request consists of token ids, never of text, so that the engine process needs no tokenizer of its own and a stored
response cannot be mistaken for that of another prompt. Both kinds are plain data, because they cross a process border
as JSON and are keys of the response store.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """Ask for one sample of text.

    Attributes:
        tokens: The prompt.
        max_new_tokens: The largest number of tokens to generate.
        stop: Strings that end the response; they are not part of it.
        temperature: 0 for greedy decoding.
        top_p: Nucleus of the sampling.
        seed: The seed of this sample; it is used only above temperature 0.
    """

    tokens: tuple[int, ...]
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class OptionRequest:
    """Ask for the log-probability of a continuation.

    Attributes:
        tokens: The prompt, at least one token.
        option: The tokens of the continuation, at least one.
    """

    tokens: tuple[int, ...]
    option: tuple[int, ...]


Request = GenerateRequest | OptionRequest


@dataclass(frozen=True, slots=True)
class Generation:
    """One sample: its text and tokens, why it ended (`stop`, `length`), and how long it took in seconds."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class OptionScore:
    """The log-probability of a continuation (natural logarithm), and whether greedy decoding would write it."""

    logprob: float
    greedy: bool


Response = Generation | OptionScore


def to_wire(request: Request) -> dict[str, Any]:
    """Return a request as JSON data."""
    kind = "generate" if isinstance(request, GenerateRequest) else "option"
    return {"kind": kind, **dataclasses.asdict(request)}


def request_from_wire(data: dict[str, Any]) -> Request:
    """Return the request that `to_wire` wrote."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key != "kind"
    }
    return GenerateRequest(**fields) if data["kind"] == "generate" else OptionRequest(**fields)


def response_from_wire(data: dict[str, Any]) -> Response:
    """Return the response that an engine wrote as JSON."""
    if "logprob" in data:
        return OptionScore(float(data["logprob"]), bool(data["greedy"]))
    ids = tuple(int(token) for token in data["token_ids"])
    return Generation(str(data["text"]), ids, str(data["finish_reason"]), float(data.get("seconds", 0.0)))


def request_key(request: Request, identity: str, sample: int = 0) -> str:
    """Return the key under which a response is stored.

    Args:
        request: What was asked.
        identity: What else decides the answer: checkpoint, backend, number format, versions.
        sample: The index of the sample. Greedy samples of one prompt are equal, so it counts above temperature 0 only.
    """
    if isinstance(request, GenerateRequest) and request.temperature == 0:
        request, sample = dataclasses.replace(request, seed=None, top_p=1.0), 0
    text = json.dumps([identity, sample, to_wire(request)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
