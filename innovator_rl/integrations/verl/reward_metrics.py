"""Summarize the rewards of a step per domain, per data source, per reason and per term.

verl itself keeps the sum alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from innovator_rl.integrations.verl.reward_record import RewardRecord

MAX_NAMES = 64
"""Reasons and terms that become metrics of their own; further reasons are counted under `other`."""


@dataclass
class DomainCounts:
    """Samples of one domain or data source by outcome.

    `correct` and `score` are sums over the scored ones.
    """

    responses: int = 0
    scored: int = 0
    abstained: int = 0
    errors: int = 0
    correct: float = 0.0
    score: float = 0.0

    def add(self, record: RewardRecord) -> None:
        """Count one sample."""
        self.responses += 1
        self.scored += record.scored
        self.abstained += record.outcome == "abstained"
        self.errors += record.outcome == "error"
        self.correct += record.correct
        self.score += record.value

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return counts, shares, and means over the scored samples.

        A mean is 0 where there was none.
        """
        return {
            f"{prefix}/responses": float(self.responses),
            f"{prefix}/correct": self.correct / max(1, self.scored),
            f"{prefix}/score": self.score / max(1, self.scored),
            f"{prefix}/unscored": (self.responses - self.scored) / self.responses,
            f"{prefix}/abstained": self.abstained / self.responses,
            f"{prefix}/errors": self.errors / self.responses,
        }


@dataclass
class RewardMetrics:
    """The samples of a step, dropped groups included."""

    domains: dict[str, DomainCounts] = field(default_factory=lambda: defaultdict(DomainCounts))
    sources: dict[str, DomainCounts] = field(default_factory=lambda: defaultdict(DomainCounts))
    reasons: Counter[str] = field(default_factory=Counter)
    terms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[float] = field(default_factory=list)

    def add(self, record: RewardRecord) -> None:
        """Count one sample."""
        self.domains[record.domain or "unknown"].add(record)
        if record.data_source and (record.data_source in self.sources or len(self.sources) < MAX_NAMES):
            self.sources[record.data_source].add(record)
        if reason := record.reason:
            self.reasons[reason if reason in self.reasons or len(self.reasons) < MAX_NAMES else "other"] += 1
        terms = dict(record.terms)
        if record.scored and record.overlong_penalty:
            terms["overlong"] = record.overlong_penalty
        for name, value in terms.items():
            if name in self.terms or len(self.terms) < MAX_NAMES:
                self.terms[name].append(float(value))
        self.seconds.append(record.seconds)

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the step.

        Returns:
            `domain/*`, and `source/*` by data source;
            `reward/reason/*`, shares of all samples; `reward/term/*`, means over the samples that have the
            term; `reward/seconds_*`, the time of one call of a reward function.
        """
        figures: dict[str, float] = {}
        for name, domain in sorted(self.domains.items()):
            figures.update(domain.metrics(f"domain/{name}"))
        for name, source in sorted(self.sources.items()):
            figures.update(source.metrics(f"source/{name}"))
        count = max(1, len(self.seconds))
        figures.update({f"reward/reason/{name}": number / count for name, number in sorted(self.reasons.items())})
        figures.update(
            {f"reward/term/{name}": sum(values) / len(values) for name, values in sorted(self.terms.items())}
        )
        if self.seconds:
            figures["reward/seconds_mean"] = sum(self.seconds) / count
            figures["reward/seconds_max"] = max(self.seconds)
        return figures
