"""Carry one scored sample across verl as one typed record.

verl moves a reward through its reward loop, agent loop and queue as a number and a dictionary of plain values, the
`reward_extra_info`. `RewardRecord` is both ends of that transport: the reward adapter writes `to_verl()`, and whatever
reads a sample afterwards (the rollout record, dynamic sampling, the imputation of unscored samples, the metrics of a
step) reads `from_verl()`. Nothing else depends on verl's keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from innovator_rl.scoring.api import Score

MAX_EXTRACTED_CHARS = 500

VERL_KEYS = {
    "correct": "acc",
    "value": "score_value",
    "overlong_penalty": "overlong_penalty",
    "outcome": "outcome",
    "reason": "reason",
    "extracted": "extracted",
    "terms": "terms",
    "seconds": "reward_seconds",
    "domain": "domain",
    "rewarder": "rewarder",
    "truncated": "response_truncated",
    "data_source": "row_source",
}
"""Field of a record -> its key in verl's `reward_extra_info`. `acc` is the key that verl's validation averages."""

LAST_TURN, CUT = "last_turn_start", "cut_at_tool"
"""Keys of an agent loop's `extra_fields` with tools: the response token at which the last turn begins, which is the text
that is scored, and whether a tool's result did not fit any more."""

METRICS = {"correct": VERL_KEYS["correct"], "score": VERL_KEYS["value"]}
"""Value of `algorithm.dynamic_sampling.metric` -> the key that verl reads."""


@dataclass(frozen=True)
class RewardRecord:
    """What is known of a sample once its reward function has run.

    Attributes:
        value: what the reward function returned, before any penalty.
        correct: what dynamic sampling and pass@k count.
        overlong_penalty: the penalty for length, at most 0.
        outcome: `scored`, `abstained` or `error`; empty where no reward function ran.
        reason: a code from the documented list.
        extracted: the answer read out of the response; empty where there was none.
        terms: named parts of the value.
        seconds: time of the call of the reward function.
        domain: the domain of the data row.
        rewarder: name of the reward function.
        truncated: whether the response was cut at its length limit.
        data_source: the data source of the data row.
    """

    value: float = 0.0
    correct: bool = False
    overlong_penalty: float = 0.0
    outcome: str = "scored"
    reason: str = ""
    extracted: str = ""
    terms: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    domain: str = ""
    rewarder: str = ""
    truncated: bool = False
    data_source: str = ""

    @property
    def reward(self) -> float:
        """What the update trains on."""
        return self.value + self.overlong_penalty

    @property
    def scored(self) -> bool:
        """Whether the sample has a score.

        An abstention and an infrastructure error are none.
        """
        return self.outcome == "scored"

    @classmethod
    def from_score(
        cls,
        score: Score,
        *,
        overlong_penalty: float,
        domain: str,
        rewarder: str,
        truncated: bool,
        data_source: str = "",
    ) -> RewardRecord:
        """Make the record of a score.

        The extracted answer is cut at `MAX_EXTRACTED_CHARS`.
        """
        return cls(
            value=float(score.value),
            correct=score.correct,
            overlong_penalty=float(overlong_penalty),
            outcome=score.outcome,
            reason=score.reason,
            extracted=(score.extracted or "")[:MAX_EXTRACTED_CHARS],
            terms=dict(score.terms),
            seconds=float(score.seconds),
            domain=domain,
            rewarder=rewarder,
            truncated=truncated,
            data_source=data_source,
        )

    def to_verl(self) -> dict[str, Any]:
        """Return the `reward_extra_info` as numbers and text.

        Every sample has the same keys, as verl's collation needs.
        """
        plain = {
            "value": self.value,
            "correct": float(self.correct),
            "overlong_penalty": self.overlong_penalty,
            "outcome": self.outcome,
            "reason": self.reason,
            "extracted": self.extracted,
            "terms": json.dumps(self.terms, sort_keys=True),
            "seconds": self.seconds,
            "domain": self.domain,
            "rewarder": self.rewarder,
            "truncated": float(self.truncated),
            "data_source": self.data_source,
        }
        return {key: plain[name] for name, key in VERL_KEYS.items()}

    @classmethod
    def from_verl(cls, info: Mapping[str, Any]) -> RewardRecord:
        """Read a `reward_extra_info`; a missing key leaves the field's default."""

        def get(name: str, default: Any) -> Any:
            found = info.get(VERL_KEYS[name])
            return default if found is None else found

        return cls(
            value=float(get("value", 0.0)),
            correct=bool(get("correct", False)),
            overlong_penalty=float(get("overlong_penalty", 0.0)),
            outcome=str(get("outcome", "scored")),
            reason=str(get("reason", "")),
            extracted=str(get("extracted", "")),
            terms=json.loads(get("terms", "") or "{}"),
            seconds=float(get("seconds", 0.0)),
            domain=str(get("domain", "")),
            rewarder=str(get("rewarder", "")),
            truncated=bool(get("truncated", False)),
            data_source=str(get("data_source", "")),
        )

    def metric(self, key: str) -> float:
        """Return what dynamic sampling compares; `key` is one of the values of `METRICS`."""
        return {METRICS["correct"]: float(self.correct), METRICS["score"]: self.value}[key]


def reward_info(extra_fields: Any) -> Mapping[str, Any]:
    """Return the `reward_extra_info` among a sample's `extra_fields` from the queue.

    Empty where there is none.

    The queue returns the fields of a sample as a dictionary or wrapped in tensordict's `NonTensorData`.
    """
    extra_fields = getattr(extra_fields, "data", extra_fields)
    found = extra_fields.get("reward_extra_info") if isinstance(extra_fields, Mapping) else None
    return found or {}
