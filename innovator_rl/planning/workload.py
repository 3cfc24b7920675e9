"""Draw the groups of a simulated run: lengths, scoring times, and whether a group teaches.

    Workload.stated(config, Assumptions(), seed=0)      # a lognormal law with a long tail, from the plan's assumptions
    Workload.recorded(Path("runs/demo"), seed=0)        # whole groups of a recorded run, drawn with replacement

Recorded groups are drawn whole, because the answers to one prompt resemble each other: a hard prompt makes all of its
answers long, and its answers are right or wrong together.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from innovator_rl.config.schema import RunConfig
from innovator_rl.errors import UserError
from innovator_rl.planning.timing import Assumptions

TAIL = 0.8
"""Standard deviation of the logarithm of stated lengths: the longest of 4,000 answers is about 17 times the median before
it is cut (ROLL Flash reports more than 20 times)."""
SHARED = 0.5
"""Share of the variance of stated lengths that the answers to one prompt have in common."""
SCORE_SECONDS = 0.1
"""Stated seconds that a rewarder takes for one answer, exponentially distributed."""


@dataclass(frozen=True)
class Group:
    """The answers to one prompt.

    Attributes:
        prompt: Tokens of the prompt.
        lengths: Tokens of each answer.
        scoring: Seconds that the rewarder takes for each answer.
        teaches: Whether the group trains.
    """

    prompt: int
    lengths: tuple[int, ...]
    scoring: tuple[float, ...]
    teaches: bool


class Workload:
    """A source of groups; the same seed gives the same groups in the same order."""

    def __init__(self, seed: int, law: Stated | None = None, recorded: Sequence[Group] = ()) -> None:
        self._random = random.Random(seed)
        self._law = law
        self._recorded = recorded

    @staticmethod
    def stated(config: RunConfig, assumed: Assumptions, seed: int = 0) -> Workload:
        """Return groups of a lognormal law whose mean is the plan's, cut at the longest answer."""
        longest = config.rollout.max_response_tokens
        rate = 1.0 / assumed.generated_per_trained if config.algorithm.dynamic_sampling.enabled else 1.0
        return Workload(
            seed,
            Stated(
                prompt=max(1, round(assumed.mean_prompt * config.data.max_prompt_tokens)),
                samples=config.rollout.samples_per_prompt,
                longest=longest,
                middle=_middle(assumed.mean_response * longest, longest),
                rate=rate,
            ),
        )

    @staticmethod
    def recorded(run: Path, seed: int = 0, steps: Iterable[int] | None = None) -> Workload:
        """Return groups drawn from the rollouts of a run.

        Args:
            run: A run directory.
            seed: Seed of the draws.
            steps: The steps to draw from; all if absent.

        Raises:
            UserError: The run has recorded no whole group.
        """
        from innovator_rl.rollouts.store import Store

        rows = Store(run).rollouts(None if steps is None else list(steps))
        groups = groups_of(row for row in rows if row["kind"] == "train")
        if not groups:
            raise UserError(f"{run}: no recorded group has lengths; expected a run with rollouts")
        return Workload(seed, recorded=groups)

    def draw(self) -> Group:
        """Return the next group."""
        if self._law is None:
            return self._random.choice(self._recorded)
        return self._law.draw(self._random)

    def mean_length(self) -> float:
        """Return the mean tokens of an answer, from a thousand draws of a stated law or all recorded groups."""
        source = random.Random(0)
        groups = self._recorded if self._law is None else [self._law.draw(source) for _ in range(1000)]
        lengths = [length for group in groups for length in group.lengths]
        return sum(lengths) / len(lengths)


@dataclass(frozen=True)
class Stated:
    """The law of stated groups; `middle` is the median length before the cut."""

    prompt: int
    samples: int
    longest: int
    middle: float
    rate: float

    def draw(self, source: random.Random) -> Group:
        """Return one group."""
        common = source.gauss(0.0, TAIL * math.sqrt(SHARED))
        own = TAIL * math.sqrt(1 - SHARED)
        lengths = (self.middle * math.exp(common + source.gauss(0.0, own)) for _ in range(self.samples))
        return Group(
            prompt=self.prompt,
            lengths=tuple(max(1, min(self.longest, round(length))) for length in lengths),
            scoring=tuple(source.expovariate(1.0 / SCORE_SECONDS) for _ in range(self.samples)),
            teaches=source.random() < self.rate,
        )


def _middle(mean: float, longest: int) -> float:
    """Return the median of the lognormal law whose mean is `mean` after lengths are cut at `longest`."""

    def cut_mean(middle: float) -> float:
        edge = math.log(longest / middle) / TAIL
        below = middle * math.exp(TAIL**2 / 2) * _normal(edge - TAIL)
        return below + longest * (1.0 - _normal(edge))

    low, high = 1e-9 * longest, 1e3 * longest
    for _ in range(100):
        half = math.sqrt(low * high)
        low, high = (half, high) if cut_mean(half) < mean else (low, half)
    return high


def _normal(value: float) -> float:
    return 0.5 * (1.0 + math.erf(value / math.sqrt(2.0)))


def groups_of(rows: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Return the groups of recorded rows, in the order of step and prompt.

    A group teaches when it was trained on or was only one more than its step needed; where the update is not recorded,
    when its scores differ.
    """
    found: dict[tuple[int, int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["response_tokens"]:
            found.setdefault((row["step"], row["attempt"], row["prompt_uid"]), []).append(row)
    return [_group(answers) for _, answers in sorted(found.items(), key=lambda item: item[0])]


def _group(rows: Sequence[Mapping[str, Any]]) -> Group:
    kept = [row.get("kept") for row in rows]
    surplus = any(row.get("drop_reason") == "surplus" for row in rows)
    differs = len({row.get("score_value") for row in rows}) > 1
    return Group(
        prompt=int(rows[0]["prompt_tokens"] or 1),
        lengths=tuple(int(row["response_tokens"]) for row in rows),
        scoring=tuple(float(row["reward_seconds"] or 0.0) for row in rows),
        teaches=surplus or (any(kept) if any(value is not None for value in kept) else differs),
    )


def repeated(group: Group, samples: int) -> Group:
    """Return a group with another number of answers, its own ones repeated in order."""
    pick = [number % len(group.lengths) for number in range(samples)]
    return replace(
        group,
        lengths=tuple(group.lengths[number] for number in pick),
        scoring=tuple(group.scoring[number] for number in pick),
    )
