"""Define the thresholds of the alerts and read others from a YAML file."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from innovator_rl.errors import UserError


class Thresholds(BaseModel):
    """Thresholds of the alerts. Shares are of responses unless stated otherwise.

    Windows are in steps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: int = Field(
        default=5, ge=1, description="Number of newest steps that count as now; as many first steps count as the start."
    )
    silent_seconds: float = Field(default=60.0, gt=0, description="No heartbeat from a run that has not ended.")
    stuck_factor: float = Field(default=6.0, gt=1, description="A step takes this many times the median step.")
    stuck_seconds: float = Field(default=300.0, gt=0, description="and at least this long.")
    zero_spread: float = Field(default=0.5, ge=0, le=1, description="Groups whose responses all score the same.")
    truncation: float = Field(default=0.25, ge=0, le=1, description="Responses cut at the token limit.")
    reward_errors: float = Field(
        default=0.02, ge=0, le=1, description="Responses that could not be generated or scored."
    )
    one_reason: float = Field(default=0.8, ge=0, le=1, description="Wrong responses that share one reason.")
    repetition: float = Field(default=0.3, ge=0, le=1, description="Mean share of repeated 4-word sequences.")
    entropy_collapse: float = Field(
        default=0.3, gt=0, lt=1, description="Entropy now, as a share of entropy at the start."
    )
    mismatch: float = Field(
        default=0.1, gt=0, description="Mean |log-probability of the trainer minus the generator's|."
    )
    reward_gain: float = Field(
        default=0.05, gt=0, description="Rise of the mean reward from which an explanation is sought."
    )
    length_growth: float = Field(
        default=1.3, gt=1, description="Length now over length at the start, reward up and accuracy not."
    )
    term_share: float = Field(
        default=0.75, gt=0, le=1, description="Share of the reward's rise that one term makes up, accuracy not up."
    )


def read_thresholds(path: Path | None) -> Thresholds:
    """Return the thresholds of a YAML file over the defaults.

    Raises:
        UserError: for a file that cannot be read, an unknown key, or a value out of range.
    """
    if path is None:
        return Thresholds()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return Thresholds(**values)
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise UserError(f"--health {path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(
            f"--health {path}: {key} = {first.get('input')!r}: {first['msg']}; the known keys are {', '.join(Thresholds.model_fields)}"
        ) from error
