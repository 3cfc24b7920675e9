"""Define what all response models share.

The models document responses and tests check responses against them. The routes do not validate with them, so that a large
page costs no more than its serialization.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["train", "validation"]
Number = float | None


class Model(BaseModel):
    """A JSON object with exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class GroupKey(Model):
    """Names one group within a kind: all responses to one prompt in one step."""

    step: int = Field(description="Training step.")
    uid: str = Field(description="The group's prompt_uid.")


class ResponseKey(GroupKey):
    """Names one response within a kind."""

    sample_index: int = Field(description="Index of the response within its group, from 0.")


class Error(Model):
    """Every response with a status of 400 or above."""

    error: str = Field(description="What is wrong, in one sentence.")
    detail: list[dict[str, Any]] | None = Field(default=None, description="Each invalid field of a body.")
