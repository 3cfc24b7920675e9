"""Rules about what the responses of the newest steps say, each with the rows that fired it."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from innovator_rl.dashboard.health.reward_hacking import Explained, explanations
from innovator_rl.dashboard.health.rule import Finding, RuleContext


def zero_spread(look: RuleContext) -> list[Finding]:
    row = look.ask(
        "SELECT avg((reward_std = 0 OR drop_reason IN ('all_correct', 'all_wrong', 'all_equal'))::INT) AS value, "
        "count(*) FILTER (reward_std = 0) AS n FROM groups WHERE {where}",
        look.now,
    )[0]
    return [
        Finding(
            "zero_spread",
            "warning",
            "Groups without a difference",
            "share of groups whose responses all score the same > threshold",
            look.limits.zero_spread,
            row["value"],
            "share",
            _over(row["value"], look.limits.zero_spread),
            why="no step is recorded",
            advice="They teach nothing and cost as much as the others. Take easier or harder prompts, or more samples a prompt.",
            query=f"{look.selected}&fate=dropped",
            view="groups",
            rows=row["n"],
        )
    ]


def shares(look: RuleContext) -> list[Finding]:
    row = look.ask(
        """SELECT avg(truncated::INT) AS truncation, count(*) FILTER (truncated) AS truncated,
                  avg((outcome = 'error' OR status <> 'ok')::INT) AS errors,
                  count(*) FILTER (outcome = 'error' OR status <> 'ok') AS failed,
                  avg(repetition) AS repetition, count(*) FILTER (repetition > 0.5) AS repeating, avg(gap) AS gap
           FROM responses WHERE {where}""",
        look.now,
    )[0]
    limits = look.limits
    return [
        Finding(
            "truncation",
            "warning",
            "Truncated responses",
            "share of responses cut at the token limit > threshold",
            limits.truncation,
            row["truncation"],
            "share",
            _over(row["truncation"], limits.truncation),
            why="no step is recorded",
            advice="Raise rollout.max_response_tokens, or see whether they repeat themselves.",
            query=f"{look.selected}&truncated=true",
            rows=row["truncated"],
        ),
        Finding(
            "reward_errors",
            "error",
            "Responses without a judgement",
            "share whose generation or judging failed > threshold",
            limits.reward_errors,
            row["errors"],
            "share",
            _over(row["errors"], limits.reward_errors),
            why="no step is recorded",
            advice="Their reward of 0 says nothing about them. The reason names what failed; `innovator reward score` repeats it.",
            tuning=False,
            query=f"{look.selected}&outcome=error",
            rows=row["failed"],
        ),
        Finding(
            "repetition",
            "warning",
            "Responses repeat themselves",
            "mean share of repeated 4-word sequences > threshold",
            limits.repetition,
            row["repetition"],
            "share",
            _over(row["repetition"], limits.repetition),
            why="the texts have not been read yet",
            advice="Read some: a reward that pays for length, or a rate of learning too high, makes such loops.",
            query=f"{look.selected}&repetition_min=0.5&sort=-repetition",
            rows=row["repeating"],
        ),
        Finding(
            "mismatch",
            "error",
            "Trainer and generator disagree",
            "mean |log-probability of the trainer minus the generator's| > threshold",
            limits.mismatch,
            row["gap"],
            "nats",
            _over(row["gap"], limits.mismatch),
            why="no token data is recorded",
            advice="The ratios are wrong by that much. Check both precisions, the weights' transfer, the experts' router.",
            tuning=False,
            query=f"{look.selected}&sort=-gap",
        ),
    ]


def one_reason(look: RuleContext) -> list[Finding]:
    rows = look.ask(
        "SELECT reason, count(*) AS n, sum(count(*)) OVER () AS wrong FROM responses WHERE {where} AND NOT correct AND reason IS NOT NULL "
        "GROUP BY reason ORDER BY n DESC LIMIT 1",
        look.now,
    )
    value = rows[0]["n"] / float(rows[0]["wrong"]) if rows else None
    name = rows[0]["reason"] if rows else ""
    plain = name == "wrong"  # an answer that is simply not right needs no explanation
    return [
        Finding(
            "one_reason",
            "warning",
            f"One reason dominates: {name}" if rows else "One reason dominates",
            "share of the wrong responses with one reason other than `wrong` > threshold",
            look.limits.one_reason,
            0.0 if plain else value,
            "share",
            not plain and _over(value, look.limits.one_reason),
            why="no wrong response is recorded",
            advice="Mostly the prompt does not say which form the answer must have, or the rewarder reads it too strictly.",
            query=f"{look.selected}&correct=false&reason={name}",
            rows=rows[0]["n"] if rows else None,
        )
    ]


def entropy_collapse(look: RuleContext) -> list[Finding]:
    means = [_entropy(look, steps) for steps in (look.then, look.now)]
    value = means[1] / means[0] if None not in means and means[0] else None  # type: ignore[operator]
    fired = value is not None and value < look.limits.entropy_collapse
    return [
        Finding(
            "entropy_collapse",
            "warning",
            "Entropy collapses",
            "entropy now / entropy at the start < threshold",
            look.limits.entropy_collapse,
            value,
            "ratio",
            fired,
            why="fewer steps with entropy than two windows",
            advice="The policy stops exploring: raise algorithm.clip_high, lower the learning rate, or take harder prompts.",
            query=f"{look.selected}&sort=entropy",
        )
    ]


def _entropy(look: RuleContext, steps: list[int]) -> float | None:
    metric = [line.get("actor/entropy") for line in look.session.metrics() if line["step"] in steps]
    known = [value for value in metric if isinstance(value, (int, float))]
    if known:
        return statistics.mean(known)
    return look.ask("SELECT avg(entropy) AS value FROM responses WHERE {where}", steps)[0]["value"] if steps else None


def explained(look: RuleContext) -> list[Finding]:
    """Reward up, accuracy not, and length or one term explains it."""
    found: Explained = explanations(look.ask, look.then, look.now)
    limits = look.limits
    risen = (
        found.reward_gain is not None
        and found.reward_gain > limits.reward_gain
        and found.accuracy_gain < found.reward_gain / 2
    )
    why = "fewer steps than two windows" if found.reward_gain is None else ""
    return [
        Finding(
            "length_hack",
            "warning",
            "The reward rises with length",
            "reward up, accuracy not, and length now / at the start > threshold",
            limits.length_growth,
            found.length_growth,
            "ratio",
            risen and _over(found.length_growth, limits.length_growth),
            why=why,
            advice="Longer answers are paid, better ones are not. Read the longest of the best rewarded.",
            query=f"{look.selected}&correct=false&sort=-reward",
        ),
        Finding(
            "term_hack",
            "warning",
            f"One term makes the reward: {found.term}" if found.term else "One term makes the reward",
            "reward up, accuracy not, and one term's share of the rise > threshold",
            limits.term_share,
            found.term_share,
            "share",
            risen and _over(found.term_share, limits.term_share),
            why=why or "no terms are recorded",
            advice="The policy learns that term instead of the answer. Lower its weight, or make it depend on the answer.",
            query=f"{look.selected}&correct=false&sort=-reward",
        ),
    ]


RULES: tuple[Callable[[RuleContext], list[Finding]], ...] = (
    zero_spread,
    shares,
    one_reason,
    entropy_collapse,
    explained,
)


def _over(value: float | None, threshold: float) -> bool:
    return value is not None and value > threshold
