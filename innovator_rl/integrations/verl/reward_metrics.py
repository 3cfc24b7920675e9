"""What the samples of a step were rewarded with: per domain, per reason, per term. verl itself keeps the sum alone."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_NAMES = 64
"""Reasons and terms that become metrics of their own; a rewarder that invents more is counted under `other`."""


def judged(info: Mapping[str, Any]) -> bool:
    """Whether a sample's `reward_extra_info` holds a verdict."""
    return bool(info.get("outcome", "scored") == "scored")


@dataclass
class Domain:
    """Samples of one domain, by outcome; `correct` and `score` are sums over the judged ones."""

    responses: int = 0
    judged: int = 0
    abstained: int = 0
    errors: int = 0
    correct: float = 0.0
    score: float = 0.0

    def add(self, info: Mapping[str, Any]) -> None:
        """Count one sample by its `reward_extra_info`."""
        self.responses += 1
        self.judged += judged(info)
        self.abstained += info.get("outcome") == "abstained"
        self.errors += info.get("outcome") == "error"
        self.correct += float(info.get("acc", 0.0))
        self.score += float(info.get("score_value", 0.0))

    def metrics(self, prefix: str) -> dict[str, float]:
        """Counts, and means over the judged samples (0 where none was)."""
        return {
            f"{prefix}/responses": float(self.responses),
            f"{prefix}/correct": self.correct / max(1, self.judged),
            f"{prefix}/score": self.score / max(1, self.judged),
            f"{prefix}/unjudged": (self.responses - self.judged) / self.responses,
            f"{prefix}/abstained": self.abstained / self.responses,
            f"{prefix}/errors": self.errors / self.responses,
        }


@dataclass
class RewardMetrics:
    """Samples of a step."""

    domains: dict[str, Domain] = field(default_factory=lambda: defaultdict(Domain))
    reasons: Counter[str] = field(default_factory=Counter)
    terms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[float] = field(default_factory=list)

    def add(self, info: Mapping[str, Any]) -> None:
        """Count one sample by its `reward_extra_info`."""
        self.domains[str(info.get("domain") or "unknown")].add(info)
        if reason := str(info.get("reason") or ""):
            self.reasons[reason if reason in self.reasons or len(self.reasons) < MAX_NAMES else "other"] += 1
        terms = json.loads(info["terms"]) if info.get("terms") else {}
        if judged(info) and info.get("overlong_penalty"):
            terms["overlong"] = float(info["overlong_penalty"])
        for name, value in terms.items():
            if name in self.terms or len(self.terms) < MAX_NAMES:
                self.terms[name].append(float(value))
        self.seconds.append(float(info.get("reward_seconds", 0.0)))

    def metrics(self) -> dict[str, float]:
        """`domain/*`; `reward/reason/*`: shares of all samples; `reward/term/*`: means over the samples that have the term;
        `reward/seconds_*`: the time of one judgement."""
        figures: dict[str, float] = {}
        for name, domain in sorted(self.domains.items()):
            figures.update(domain.metrics(f"domain/{name}"))
        count = max(1, len(self.seconds))
        figures.update({f"reward/reason/{name}": number / count for name, number in sorted(self.reasons.items())})
        figures.update(
            {f"reward/term/{name}": sum(values) / len(values) for name, values in sorted(self.terms.items())}
        )
        if self.seconds:
            figures["reward/seconds_mean"] = sum(self.seconds) / count
            figures["reward/seconds_max"] = max(self.seconds)
        return figures
