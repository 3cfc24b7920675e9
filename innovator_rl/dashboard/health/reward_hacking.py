"""Explain a rise of the reward by right answers, length or one of its terms.

The first steps are compared with the newest. A term's share of the rise is the rise of its mean contribution over the rise
of the reward. A recorded term is the contribution itself, unless a weight is recorded with it. Terms count only where they
add up to the score of their response, as on the Why page: a rewarder may record other numbers, such as a count of passed
tests, and those explain no reward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from innovator_rl.dashboard.queries.reward_change import ITEMIZED
from innovator_rl.rollouts.schema import SCORED
from innovator_rl.rollouts.step_figures import FINITE

Row = dict[str, Any]
Ask = Callable[[str, list[int]], list[Row]]


@dataclass(frozen=True, kw_only=True)
class RewardRise:
    """Rises from the first steps to the newest; None where there are too few steps."""

    reward_gain: float | None = None
    accuracy_gain: float = 0.0
    length_growth: float | None = None
    term: str = ""
    term_share: float | None = None


def reward_rise(ask: Ask, then: list[int], now: list[int]) -> RewardRise:
    """Compare the first steps with the newest."""
    if not then or not now:
        return RewardRise()
    means = f"""SELECT avg(reward) FILTER ({FINITE}) AS reward, avg(response_tokens) AS length,
                       avg(coalesce(correct, false)::INT) FILTER ({SCORED}) AS accuracy FROM responses WHERE {{where}}"""
    before, after = ask(means, then)[0], ask(means, now)[0]
    if before["reward"] is None or after["reward"] is None:
        return RewardRise()
    gain = after["reward"] - before["reward"]
    growth = after["length"] / before["length"] if before["length"] and after["length"] else None
    term, share = _largest_term(_terms(ask, then), _terms(ask, now), gain)
    return RewardRise(
        reward_gain=gain,
        accuracy_gain=after["accuracy"] - before["accuracy"],
        length_growth=growth,
        term=term,
        term_share=share,
    )


def _terms(ask: Ask, steps: list[int]) -> dict[str, float]:
    """Return each term's mean contribution per scored response."""
    rows = ask(
        f"""SELECT term.name AS name, sum(term.value * coalesce(term.weight, 1)) / any_value(n) AS mean
            FROM (SELECT unnest(CASE WHEN {ITEMIZED} THEN terms END) AS term, count(*) OVER () AS n
                  FROM responses WHERE {{where}} AND {FINITE}) GROUP BY 1""",
        steps,
    )
    return {row["name"]: row["mean"] for row in rows if row["name"]}


def _largest_term(before: dict[str, float], after: dict[str, float], gain: float) -> tuple[str, float | None]:
    rises = {name: value - before.get(name, 0.0) for name, value in after.items() if name not in ("answer", "correct")}
    if not rises:
        return "", None
    name = max(rises, key=lambda term: rises[term])
    return name, min(1.0, rises[name] / gain) if gain > 0 else 0.0
