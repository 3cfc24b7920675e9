"""Read which group or response a request means, from its query or its body."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.datastructures import QueryParams

from innovator_rl.dashboard.queries.filters import check_names, one, whole
from innovator_rl.dashboard.runs.labels import Key
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.aliases import current_fields
from innovator_rl.dashboard.web.errors import RequestError

GROUP = {
    "kind": "`train` (default) or `validation`.",
    "step": "Training step.",
    "uid": "The group's prompt_uid.",
}
RESPONSE = {**GROUP, "sample_index": "Index of the response within its group."}


class Body(BaseModel):
    """A request body without unknown fields and without silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ResponseKeyBody(Body):
    """Names one response."""

    kind: str = Field(default="train", pattern="^(train|validation)$", description="`train` or `validation`.")
    step: int = Field(ge=0, lt=2**31, description="Training step.")
    uid: str = Field(max_length=1_000, description="The group's prompt_uid.")
    sample_index: int = Field(ge=0, lt=2**31, description="Index of the response within its group.")

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, fields: Any) -> Any:
        return current_fields(fields) if isinstance(fields, dict) else fields


def read_group_key(parameters: QueryParams, also: tuple[str, ...] = ()) -> tuple[str, int, str]:
    """Return kind, step and uid; `also` names parameters that the route reads itself."""
    check_names(parameters, (*GROUP, *also))
    kind, uid = one(parameters, "kind", "train"), one(parameters, "uid", "")
    if kind not in ("train", "validation") or not uid or not one(parameters, "step", ""):
        raise RequestError("step and uid must be given, and kind must be train or validation")
    return kind, whole(parameters, "step", 0, 0, 2**31 - 1), uid


def read_response_key(parameters: QueryParams, also: tuple[str, ...] = ()) -> Key:
    """Return kind, step, uid and sample index.

    `also` names parameters that the route reads itself.
    """
    kind, step, uid = read_group_key(parameters, ("sample_index", *also))
    if not one(parameters, "sample_index", ""):
        raise RequestError("sample_index must be given")
    return kind, step, uid, whole(parameters, "sample_index", 0, 0, 2**31 - 1)


def check_recorded(session: RunSession, key: Key) -> None:
    """Raise `RequestError` (404) unless the response is recorded."""
    sql = "SELECT 1 FROM all_responses WHERE kind = ? AND step = ? AND prompt_uid = ? AND sample_index = ?"
    if not session.index.query(sql, key):
        raise RequestError(f"response not found: {key[3]} of {key[2][:80]!r} in step {key[1]} ({key[0]})", 404)
