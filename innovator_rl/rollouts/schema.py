"""Define the columns of the rollout record, for writer and readers.

Three datasets share the key (step, prompt_uid, sample, attempt):

- `rollouts/`: one row per response, written when its reward is known, whether or not it is trained on;
- `tokens/`: token ids and the rollout engine's log-probabilities, kept apart because they are read one at a time;
- `updates/`: what the update made of it: kept or dropped and why, advantage, per-token ratio and clipping.

Columns are only ever added; readers fill what an older file lacks with null. A file's name states which responses it
contains, `KIND-aATTEMPT-WRITER-TOKEN-SEQ.parquet`, so a reader picks the newest attempt without opening anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa

SCHEMA_VERSION = 1
DATASETS = ("rollouts", "tokens", "updates")
KINDS = ("train", "validation")
DROP_REASONS = ("all_correct", "all_wrong", "all_equal", "unscored", "failed", "lost", "surplus", "")
"""Why a group was not trained on; `all_equal`: one value for all, neither right nor wrong; `lost`: it never came, and was given
up; `surplus`: more than the step needed."""
SCORED = "coalesce(nullif(outcome, ''), 'scored') = 'scored'"
"""SQL: whether a response is scored. Averages are over the scored ones, as the trainer's are."""
STORED_DROP_REASON = "CASE drop_reason WHEN 'unjudged' THEN 'unscored' ELSE drop_reason END"  # prose: allow unjudged
"""SQL: a recorded drop reason under its current name; earlier versions wrote `unjudged`."""
DROP_REASON = f"""CASE
    WHEN bool_or(kept) THEN '' WHEN count(kept) > 0 THEN coalesce(max(nullif({STORED_DROP_REASON}, '')), '')
    WHEN NOT bool_or(updated) THEN NULL WHEN bool_or(status <> 'ok') THEN 'failed'
    WHEN NOT bool_or({SCORED}) THEN 'unscored'
    WHEN bool_and(coalesce(correct, false)) FILTER ({SCORED}) THEN 'all_correct'
    WHEN NOT bool_or(coalesce(correct, false)) FILTER ({SCORED}) THEN 'all_wrong' ELSE 'surplus' END"""
"""SQL over a group's responses: '' for kept, else why it was dropped; NULL while the step's update is not recorded. A group
that is not part of the update was dropped before it, and the reason follows from its responses.
"""
SEGMENT_NAME = re.compile(
    r"^(?P<kind>train|validation)-a(?P<attempt>\d+)-(?P<writer>[\w.]+)-(?P<token>[0-9a-f]+)-(?P<seq>\d+)\.parquet$"
)

# Columns worth a dictionary: prompts and answers repeat within a group, responses do not.
REPEATING = (
    *("run", "kind", "prompt_uid", "prompt_id", "data_source", "domain", "rewarder", "status", "finish_reason"),
    *("outcome", "reason", "extracted", "answer", "info", "messages", "prompt", "drop_reason"),
)


KEY = [
    pa.field("schema_version", pa.int16()),
    pa.field("run", pa.string()),
    pa.field("attempt", pa.int32()),
    pa.field("step", pa.int32()),
    pa.field("kind", pa.string()),
    pa.field("prompt_uid", pa.string()),
    pa.field("sample", pa.int32()),
]
TERM = pa.struct([pa.field("name", pa.string()), pa.field("value", pa.float64()), pa.field("weight", pa.float64())])

ROLLOUTS = pa.schema(
    [
        *KEY,
        pa.field("prompt_id", pa.string()),
        pa.field("data_source", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("rewarder", pa.string()),
        pa.field("status", pa.string()),
        pa.field("finish_reason", pa.string()),
        pa.field("truncated", pa.bool_()),
        pa.field("prompt_tokens", pa.int32()),
        pa.field("response_tokens", pa.int32()),
        pa.field("reward", pa.float32()),
        pa.field("score_value", pa.float32()),
        pa.field("overlong_penalty", pa.float32()),
        pa.field("correct", pa.bool_()),
        pa.field("outcome", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("extracted", pa.string()),
        pa.field("terms", pa.list_(TERM)),
        pa.field("generate_seconds", pa.float32()),
        pa.field("queued_seconds", pa.float32()),
        pa.field("reward_seconds", pa.float32()),
        pa.field("weight_version_min", pa.int32()),
        pa.field("weight_version_max", pa.int32()),
        pa.field("written_at", pa.timestamp("ms")),  # UTC, without a zone: DuckDB needs another package for zones
        pa.field("error", pa.string()),
        pa.field("answer", pa.string()),
        pa.field("info", pa.string()),
        pa.field("messages", pa.string()),
        pa.field("prompt", pa.string()),
        pa.field("response", pa.string()),
        pa.field("turns", pa.string()),
    ],
    metadata={"innovator_rl.schema": f"rollouts/{SCHEMA_VERSION}"},
)
TOKENS = pa.schema(
    [*KEY, pa.field("token_ids", pa.list_(pa.int32())), pa.field("rollout_logprobs", pa.list_(pa.float32()))],
    metadata={"innovator_rl.schema": f"tokens/{SCHEMA_VERSION}"},
)
UPDATES = pa.schema(
    [
        *KEY,
        pa.field("kept", pa.bool_()),
        pa.field("drop_reason", pa.string()),
        pa.field("advantage", pa.float32()),
        pa.field("old_logprobs", pa.list_(pa.float32())),
        pa.field("rollout_logprobs", pa.list_(pa.float32())),
        pa.field("entropy", pa.list_(pa.float32())),
        pa.field("ratio", pa.list_(pa.float32())),
        pa.field("clip_side", pa.list_(pa.int8())),
    ],
    metadata={"innovator_rl.schema": f"updates/{SCHEMA_VERSION}"},
)
SCHEMAS: dict[str, pa.Schema] = {"rollouts": ROLLOUTS, "tokens": TOKENS, "updates": UPDATES}


@dataclass(slots=True, kw_only=True)
class RolloutRow:
    """One response with its score; fields that a writer leaves out stay null.

    Only the key is required.

    `prompt_uid` names the group (one drawing of a prompt in one step), `prompt_id` the prompt itself, the same in every
    step, run and attempt. `reward` is what training uses, `score_value` the rewarder's value before `overlong_penalty`.
    `terms` maps a part's name to its value, or to (value, weight). The weight is optional: the trainer records shares
    of the value with the weight already in them, and leaves it null. `queued_seconds`, the time in a worker queue
    before the call of the rewarder, is optional as well. `turns` splits the response of a conversation: a list of
    `role`, `content`, and optionally `name`, `tool_calls`, `trained` (false for masked text), `tokens` and `seconds`.
    Lengths are in tokens, times in seconds; `token_ids` and `rollout_logprobs` cover the response only and are cheapest
    as NumPy arrays.
    """

    step: int
    prompt_uid: str
    sample: int
    kind: str = "train"
    prompt_id: str | None = None
    data_source: str | None = None
    domain: str | None = None
    rewarder: str | None = None
    status: str = "ok"
    finish_reason: str | None = None
    truncated: bool | None = None
    prompt_tokens: int | None = None
    response_tokens: int | None = None
    reward: float | None = None
    score_value: float | None = None
    overlong_penalty: float | None = None
    correct: bool | None = None
    outcome: str | None = None
    reason: str | None = None
    extracted: str | None = None
    terms: Mapping[str, Any] | str | None = None
    generate_seconds: float | None = None
    queued_seconds: float | None = None
    reward_seconds: float | None = None
    weight_version_min: int | None = None
    weight_version_max: int | None = None
    error: str | None = None
    answer: str | None = None
    info: str | None = None
    messages: list[dict[str, Any]] | str | None = None
    prompt: str | None = None
    response: str | None = None
    turns: list[dict[str, Any]] | str | None = None
    token_ids: Sequence[int] | np.ndarray | None = None
    rollout_logprobs: Sequence[float] | np.ndarray | None = None


@dataclass(slots=True, kw_only=True)
class UpdateRow:
    """What the update made of one response.

    The lists have one entry per response token; NumPy arrays are stored as they are and cost a fifth of Python lists.

    `ratio` is the new over the old probability; `clip_side` is -1 where the lower bound clipped the token, +1 where the
    upper did, 0 elsewhere. A dropped response has `kept=False`, a `drop_reason` of DROP_REASONS and no lists.
    """

    step: int
    prompt_uid: str
    sample: int
    kept: bool
    kind: str = field(default="train", init=False)
    drop_reason: str = ""
    advantage: float | None = None
    old_logprobs: Sequence[float] | np.ndarray | None = None
    rollout_logprobs: Sequence[float] | np.ndarray | None = None
    entropy: Sequence[float] | np.ndarray | None = None
    ratio: Sequence[float] | np.ndarray | None = None
    clip_side: Sequence[int] | np.ndarray | None = None


ROLLOUT_FIELDS = tuple(item.name for item in fields(RolloutRow))
UPDATE_FIELDS = tuple(item.name for item in fields(UpdateRow))


def as_record(row: RolloutRow | UpdateRow) -> dict[str, Any]:
    """Convert a row into column values, `terms`, `messages` and `turns` as stored."""
    names = ROLLOUT_FIELDS if isinstance(row, RolloutRow) else UPDATE_FIELDS
    record = {name: getattr(row, name) for name in names}
    if isinstance(row, RolloutRow):
        record["terms"] = _terms(row.terms)
        for name in ("messages", "turns"):
            if record[name] is not None and not isinstance(record[name], str):
                record[name] = json.dumps(record[name], ensure_ascii=False)
    return record


def _terms(terms: Mapping[str, Any] | str | None) -> list[dict[str, Any]] | None:
    parsed = json.loads(terms) if isinstance(terms, str) and terms else terms
    if not parsed:
        return None
    assert isinstance(parsed, Mapping), f"terms is {parsed!r}, expected a mapping of names to values"
    rows = []
    for name, value in parsed.items():
        number, weight = value if isinstance(value, (tuple, list)) else (value, None)
        rows.append({"name": str(name), "value": None if number is None else float(number), "weight": weight})
    return rows


def step_directory(step: int) -> str:
    """Return the name of a step's directory, `step=000012`.

    It sorts as text, and query engines read it as a partition.
    """
    return f"step={step:06d}"


def segment_name(kind: str, attempt: int, writer: str, token: str, sequence: int) -> str:
    """Return a segment's file name.

    `writer` is reduced to letters, digits, dots and underscores.
    """
    plain = re.sub(r"[^\w.]", "_", writer, flags=re.ASCII) or "w"
    return f"{kind}-a{attempt:03d}-{plain}-{token}-{sequence:06d}.parquet"
