"""Model the route about a run's alerts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from innovator_rl.dashboard.api.models.base import Model, Number
from innovator_rl.dashboard.api.models.runs import AlertCounts
from innovator_rl.dashboard.health.thresholds import Thresholds

Severity = Literal["error", "warning", "info"]


class PassedRule(Model):
    """A rule whose alert did not fire."""

    id: str = Field(description="Identifies the rule.")
    title: str = Field(description="Short name.")
    rule: str = Field(description="What is compared.")
    threshold: float = Field(description="Threshold.")
    value: Number = Field(description="Measured value.")
    unit: str = Field(description="Unit of threshold and value.")


class AlertLink(Model):
    """The page with the rows behind an alert."""

    view: Literal["rollouts", "groups", "run"] = Field(description="The page.")
    query: str = Field(description="Its filters.")


class Alert(PassedRule):
    """A rule whose alert fired."""

    severity: Severity = Field(description="How serious it is.")
    steps: list[int] | None = Field(description="First and last of the steps that were measured.")
    domain: str | None = Field(description="The domain it is limited to; null for all.")
    advice: str = Field(description="What to do.")
    silenced: bool = Field(description="Whether the advice is pointless because the run does not move.")
    link: AlertLink = Field(description="The rows behind it.")
    rows: int | None = Field(description="Number of these rows, where it is known.")


class UnknownRule(Model):
    """A rule that could not be evaluated."""

    id: str = Field(description="Identifies the rule.")
    title: str = Field(description="Short name.")
    why: str = Field(description="Why the value is unknown.")


class Health(Model):
    """The alerts of a run."""

    checked_at: str = Field(description="When the rules were evaluated.")
    stalled: bool = Field(description="Whether the run sends no heartbeat or is stuck in a phase.")
    worst: Severity | None = Field(description="The highest severity that is not silenced.")
    alerts: list[Alert] = Field(description="The alerts, in the order to look at them.")
    passed: list[PassedRule] = Field(description="Rules that did not fire.")
    unknown: list[UnknownRule] = Field(description="Rules that could not be evaluated.")
    thresholds: Thresholds = Field(description="The thresholds.")
    counts: AlertCounts = Field(description="Alerts by severity, without the silenced ones.")
