"""Decide how many prompts to start so that a step is neither short of groups nor waits for them one by one.

Only a share of all groups teaches something. Replacing each dropped group by one, after it is known, leaves most of the
engine idle while the last replacements run. `RefillPolicy` starts as many as the observed share predicts, per data source:

- On-policy (`max_staleness` 0) a step is generated in rounds: each starts what is missing, divided by the rate, and a
  margin against bad luck. Decisions depend on finished rounds alone, so that a run can be repeated exactly. What is left
  over is counted as surplus.
- With `max_staleness` s > 0 the engine's free slots are filled at every look, up to s steps ahead. Answers that are not
  finished at the end of a step continue with the next weights, and whole groups wait for the next step.

Nothing here knows verl: `benchmarks/sampling.py` and the tests drive the same objects with simulated answers.

    policy = RefillPolicy(PassRates(), max_staleness=1)
    policy.to_start(View(wanted=64, kept=0, in_flight={}, started=0, free_slots=64))
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORGET = 0.8
"""Weight that an observation keeps from one step to the next: the rate follows the policy within about five steps."""

PRIOR_GROUPS = 4.0
"""Observations that the estimate of a source (all sources: 1.0) counts as before there are any."""

LOWEST_RATE = 0.02
"""Rates below this count as this: hopeless data must not start thousands of prompts at once."""

CAUTION = 1.5
"""Standard deviations of luck that a round on-policy allows for: about one round in fifteen falls short."""

LARGEST_EXCESS = 1.3
"""Bound of started groups per group that the rate predicts."""


@dataclass
class PassRates:
    """The share of groups that train, by data source, of recent steps."""

    kept: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    seen: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, source: str, kept: bool) -> None:
        """Count one finished group."""
        self.kept[source] = self.kept.get(source, 0.0) + kept
        self.seen[source] = self.seen.get(source, 0.0) + 1.0

    def forget(self) -> None:
        """Begin a step: earlier ones weigh less."""
        for counts in (self.kept, self.seen):
            for source in counts:
                counts[source] *= FORGET

    def overall(self) -> float:
        """Return the rate over all sources; 1 before anything was seen."""
        kept, seen = math.fsum(self.kept.values()), math.fsum(self.seen.values())  # whatever source came first
        return max(LOWEST_RATE, (kept + 1.0) / (seen + 1.0))

    def rate(self, source: str) -> float:
        """Return the rate of a source, near the overall one while few of its groups were seen."""
        overall = self.overall()
        kept = self.kept.get(source, 0.0) + PRIOR_GROUPS * overall
        return max(LOWEST_RATE, kept / (self.seen.get(source, 0.0) + PRIOR_GROUPS))

    def state_dict(self) -> dict[str, Any]:
        """Return the counts for a checkpoint."""
        return {"kept": dict(self.kept), "seen": dict(self.seen)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the counts of a checkpoint."""
        self.kept = {str(name): float(value) for name, value in state["kept"].items()}
        self.seen = {str(name): float(value) for name, value in state["seen"].items()}


@dataclass(frozen=True)
class View:
    """What a decision depends on.

    Attributes:
        wanted: groups that the step trains on.
        kept: groups with a signal that are finished and not trained yet.
        in_flight: unfinished groups by data source.
        started: groups started for this step so far.
        free_slots: groups that the engine could generate besides those in flight.
    """

    wanted: int
    kept: int
    in_flight: Mapping[str, int]
    started: int
    free_slots: int


@dataclass
class RefillPolicy:
    """How many prompts to start at a look, and when a step is complete."""

    rates: PassRates
    max_staleness: int = 0
    max_rounds: int = 10

    def to_start(self, view: View) -> int:
        """Return the number of prompts to start now."""
        allowed = self.max_rounds * view.wanted - view.started
        if self.max_staleness == 0:
            missing = view.wanted - view.kept
            asked = self.round_size(missing) if missing > 0 and not view.in_flight else 0
        else:
            expected = sum(count * self.rates.rate(source) for source, count in view.in_flight.items())
            missing_ahead = view.wanted * (1 + self.max_staleness) - view.kept - expected
            asked = min(view.free_slots, math.ceil(missing_ahead / self.rates.overall()))
        return max(0, min(asked, allowed))

    def round_size(self, missing: int) -> int:
        """Return how many groups to start so that `missing` of them teach something, almost surely.

        With rate p the number that teach among n is binomial: n p - c sqrt(n p (1 - p)) = missing is solved for n.
        """
        p = self.rates.overall()
        spread = CAUTION * math.sqrt(p * (1 - p))
        enough = ((spread + math.sqrt(spread**2 + 4 * p * missing)) / (2 * p)) ** 2
        exact = max(missing, round(missing / p))
        return max(exact, min(math.ceil(enough - 1e-9), math.floor(LARGEST_EXCESS * missing / p)))

    def complete(self, wanted: int, kept: int, oldest_age: int | None) -> bool:
        """Return whether a step may train.

        Args:
            wanted: groups that the step trains on.
            kept: groups with a signal that are finished.
            oldest_age: steps since the oldest unfinished group was started; None where there is none. A group at the bound is
                waited for, since dropping it would favor short answers.
        """
        return kept >= wanted and (oldest_age is None or oldest_age < self.max_staleness)
