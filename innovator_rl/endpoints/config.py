"""Define the settings of one endpoint; recipes and reward configurations embed this section."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from innovator_rl.errors import UserError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class EndpointConfig(BaseModel):
    """An OpenAI-compatible endpoint, its model and the limits that hold for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="Address of the API with its version, for example http://127.0.0.1:8000/v1.")
    model: str = Field(min_length=1, description="Name under which the endpoint serves the model.")
    api_key_env: str = Field(default="", description="Environment variable with the key; empty sends none.")
    concurrency: int = Field(default=8, ge=1, description="Requests in flight at the same time.")
    requests_per_minute: float | None = Field(default=None, gt=0, description="Rate limit of requests; null has none.")
    tokens_per_minute: float | None = Field(default=None, gt=0, description="Rate limit of tokens; null has none.")
    timeout_s: float = Field(default=120.0, gt=0, description="Seconds that one request may take until its last byte.")
    retries: int = Field(default=4, ge=0, le=20, description="Further tries after a fault that may pass.")
    longest_wait_s: float = Field(default=60.0, ge=0, description="Longest pause before a retry; Retry-After included.")
    max_requests: int | None = Field(default=None, ge=1, description="Budget of requests, retries included; null has none.")
    max_tokens_total: int | None = Field(default=None, ge=1, description="Budget of prompt and response tokens; null has none.")
    price_per_million_prompt_tokens: float = Field(default=0.0, ge=0, description="For the cost of each reply.")
    price_per_million_response_tokens: float = Field(default=0.0, ge=0, description="For the cost of each reply.")
    extra: dict[str, Any] = Field(default_factory=dict, description="Further parameters of the request's body.")

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url {value!r} must begin with http:// or https:// and name a host")
        return value.rstrip("/")

    @property
    def is_local(self) -> bool:
        """Return whether the endpoint is on this machine, which no proxy may stand before."""
        return urlsplit(self.url).hostname in LOOPBACK

    def api_key(self) -> str:
        """Return the key, or a placeholder for endpoints without one.

        Raises:
            UserError: The environment variable is not set.
        """
        if not self.api_key_env:
            return "none"
        key = os.environ.get(self.api_key_env, "")
        if not key:
            raise UserError(f"api_key_env = {self.api_key_env!r}: the environment variable is not set; export it first")
        return key

    def cost(self, prompt_tokens: int, response_tokens: int) -> float:
        """Return what these tokens cost by the prices of this section."""
        return (
            prompt_tokens * self.price_per_million_prompt_tokens
            + response_tokens * self.price_per_million_response_tokens
        ) / 1e6
