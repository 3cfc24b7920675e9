"""Define a request to a chat model and its reply."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from innovator_rl.endpoints.config import EndpointConfig

REASONS: dict[str, str] = {
    "rate_limited": "the endpoint asked to wait (429), longer or more often than the limits allow",
    "timeout": "no complete answer within timeout_s",
    "connection": "the connection failed or was dropped",
    "server_error": "the endpoint failed (5xx)",
    "rejected": "the endpoint refused the request (4xx), so a retry would not help",
    "not_json": "the body is not JSON, or JSON of another form",
    "no_choices": "the answer has no choices",
    "no_content": "the answer has no text, for example reasoning that used all tokens",
    "budget": "the budget of requests or tokens is used up; the request was not sent",
}
"""Why a reply failed -> what that means."""

CHARS_PER_TOKEN = 3  # fewer than English has, so that the estimate of a budget errs on the safe side


@dataclass(frozen=True)
class ChatRequest:
    """One question to a chat model.

    Attributes:
        messages: `{"role", "content"}` mappings.
        max_tokens: Longest response in tokens.
        temperature: 0 is greedy.
        top_p: Share of probability that is sampled from.
        seed: Seed of the sampling; None sends none.
        attempt: Number of a repeated question. It is part of the cache's key and is not sent.
    """

    messages: tuple[Mapping[str, str], ...]
    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = 0
    attempt: int = 0

    @classmethod
    def ask(cls, question: str, system: str = "", **parameters: Any) -> ChatRequest:
        """Return the request of a single user message, after a system message where one is given."""
        messages: list[Mapping[str, str]] = [{"role": "system", "content": system}] if system else []
        return cls((*messages, {"role": "user", "content": question}), **parameters)

    def body(self, config: EndpointConfig) -> dict[str, Any]:
        """Return the parameters that are sent."""
        body: dict[str, Any] = {
            "model": config.model,
            "messages": [dict(message) for message in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
        }
        return body if self.seed is None else {**body, "seed": self.seed}

    def key(self, config: EndpointConfig) -> str:
        """Return the hash of model, messages, parameters, seed and attempt: the name of the reply in the cache."""
        return sha256_json([self.body(config), config.extra, self.attempt])

    def prompt_hash(self) -> str:
        """Return the hash of the messages alone."""
        return sha256_json([dict(message) for message in self.messages])

    def estimated_tokens(self) -> int:
        """Return how many tokens the request may use, as far as its characters say."""
        return prompt_characters(self.messages) // CHARS_PER_TOKEN + self.max_tokens


@dataclass(frozen=True)
class ChatReply:
    """What came of a request.

    Attributes:
        text: The model's text; empty where the request failed.
        reason: Empty for an answer, else a key of `REASONS`.
        detail: What exactly failed.
        finish_reason: The endpoint's word for the end of the text; "length" was cut.
        reasoning: Reasoning that the endpoint sent apart from the text.
        prompt_tokens: Tokens of the messages.
        response_tokens: Tokens of the text.
        cost: By the prices of the configuration.
        seconds: From the first try to the last byte.
        tries: Requests sent.
        model: The name under which it was asked.
        cached: Whether it was read from the cache.
    """

    text: str = ""
    reason: str = ""
    detail: str = ""
    finish_reason: str = ""
    reasoning: str = ""
    prompt_tokens: int = 0
    response_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    tries: int = 0
    model: str = ""
    cached: bool = False

    @property
    def ok(self) -> bool:
        """Return whether the model answered."""
        return not self.reason

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()


def prompt_characters(messages: Sequence[Mapping[str, str]]) -> int:
    """Return the number of characters of all messages."""
    return sum(len(message.get("content", "")) for message in messages)
