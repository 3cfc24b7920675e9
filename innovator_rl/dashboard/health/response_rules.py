"""List the rules about the newest responses, each with the rows that caused it."""

from __future__ import annotations

import statistics
from functools import partial
from urllib.parse import urlencode

from innovator_rl.dashboard.health.reward_hacking import RewardRise, reward_rise
from innovator_rl.dashboard.health.rule import Aggregate, Measurement, Rule, RuleContext
from innovator_rl.dashboard.queries.filters import FAILED, SAME_REWARD, filter_value
from innovator_rl.runs.metrics import NOT_FINITE

NO_STEP = "no step is recorded"


def _dominant_reason(context: RuleContext) -> Measurement:
    """Measure the largest share of one reason among the wrong responses.

    `wrong` itself needs no explanation.
    """
    rows = context.ask(
        "SELECT reason, count(*) AS n, sum(count(*)) OVER () AS wrong FROM responses WHERE {where} AND NOT correct AND reason IS NOT NULL "
        "GROUP BY reason ORDER BY n DESC LIMIT 1",
        context.now,
    )
    if not rows:
        return Measurement(value=None, query="reason=")
    name, count = rows[0]["reason"], rows[0]["n"]
    share = 0.0 if name == "wrong" else count / float(rows[0]["wrong"])
    return Measurement(value=share, rows=count, subject=name, query=urlencode({"reason": filter_value(name)}))


def _entropy_ratio(context: RuleContext) -> Measurement:
    first, last = (_entropy(context, steps) for steps in (context.then, context.now))
    return Measurement(value=last / first if first and last is not None else None)


def _entropy(context: RuleContext, steps: list[int]) -> float | None:
    """Return the mean entropy of some steps.

    It is the trainer's own, or else the mean over the recorded responses.
    """
    metric = [line.get("actor/entropy") for line in context.session.metrics() if line["step"] in steps]
    known = [value for value in metric if isinstance(value, (int, float))]
    if known:
        return statistics.mean(known)
    return (
        context.ask("SELECT avg(entropy) AS value FROM responses WHERE {where}", steps)[0]["value"] if steps else None
    )


def _metrics_not_finite(context: RuleContext) -> Measurement:
    """Count the metrics that were NaN or infinite in the newest steps, and name the first."""
    lines = context.session.metrics()[-context.limits.window :]
    lost = [(name, line["step"]) for line in lines for name in line.get(NOT_FINITE, ())]
    subject = ", ".join(f"{name} at step {step}" for name, step in lost[:3]) + (" ..." if len(lost) > 3 else "")
    return Measurement(value=len(lost), subject=subject)


def _rise(context: RuleContext, by_length: bool) -> Measurement:
    """Measure how far length or one term explains a rising reward.

    The rule is about rewards that rise while the accuracy does not.
    """
    rise: RewardRise = reward_rise(context.ask, context.then, context.now)
    limits = context.limits
    value, limit = (rise.length_growth, limits.length_growth) if by_length else (rise.term_share, limits.term_share)
    hollow = (
        rise.reward_gain is not None
        and rise.reward_gain > limits.reward_gain
        and rise.accuracy_gain < rise.reward_gain / 2
    )
    return Measurement(
        value=value,
        fired=hollow and value is not None and value > limit,
        subject="" if by_length else rise.term,
        missing="fewer steps than two windows" if rise.reward_gain is None else "",
    )


RESPONSE_RULES = (
    Rule(
        id="zero_spread",
        severity="warning",
        title="Zero-variance groups",
        condition="share of groups whose responses all have the same reward > threshold",
        measure=Aggregate(
            table="groups",
            value=f"avg(({SAME_REWARD})::INT)",
            rows=SAME_REWARD,
        ),
        limit="zero_spread",
        missing=NO_STEP,
        advice="These groups give no learning signal and cost as much as the others. "
        "Use easier or harder prompts, or more samples per prompt.",
        view="groups",
        query="zero_spread=true",
    ),
    Rule(
        id="truncation",
        severity="warning",
        title="Truncated responses",
        condition="share of responses cut at the token limit > threshold",
        measure=Aggregate(table="responses", value="avg(truncated::INT)", rows="truncated"),
        limit="truncation",
        missing=NO_STEP,
        advice="Raise rollout.max_response_tokens, or check whether the responses repeat themselves.",
        query="truncated=true",
    ),
    Rule(
        id="not_finite",
        severity="error",
        title="Rewards that are not finite",
        condition="responses whose reward is NaN or infinite > threshold",
        measure=Aggregate(
            table="responses",
            value="count(*) FILTER (NOT isfinite(reward))",
            rows="NOT isfinite(reward)",
        ),
        unit="rows",
        missing=NO_STEP,
        advice="They are left out of every mean here, but not of the trainer's. Read them, and make the reward function return a number.",
        tuning=False,
        query="not_finite=true",
    ),
    Rule(
        id="metrics_not_finite",
        severity="error",
        title="Metrics that are not finite",
        condition="metrics of the newest steps that are NaN or infinite > threshold",
        measure=_metrics_not_finite,
        unit="metrics",
        advice="An update with such a number spoils the weights. Resume from the checkpoint before the step.",
        tuning=False,
        view="run",
    ),
    Rule(
        id="reward_errors",
        severity="error",
        title="Unscored responses",
        condition="share of responses whose generation or scoring failed > threshold",
        measure=Aggregate(
            table="responses",
            value=f"avg(({FAILED})::INT)",
            rows=FAILED,
        ),
        limit="reward_errors",
        missing=NO_STEP,
        advice="Their reward of 0 does not describe them. The reason names what failed; `innovator reward score` repeats it.",
        tuning=False,
        query="failed=true",
    ),
    Rule(
        id="repetition",
        severity="warning",
        title="Repetitive responses",
        condition="mean share of repeated 4-word sequences > threshold",
        measure=Aggregate(table="responses", value="avg(repetition)", rows="repetition >= 0.5"),
        limit="repetition",
        missing="the responses have not been read yet",
        advice="Read some. A reward that pays for length, or a learning rate that is too high, leads to such loops.",
        query="repetition_min=0.5&sort=-repetition",
    ),
    Rule(
        id="mismatch",
        severity="error",
        title="Trainer-generator mismatch",
        condition="mean |log-probability of the trainer minus the generator's| > threshold",
        measure=Aggregate(table="responses", value="avg(gap)"),
        limit="mismatch",
        unit="nats",
        missing="no token data is recorded",
        advice="The probability ratios are wrong by this much. "
        "Check the precision on both sides, the weight transfer and the expert routing.",
        tuning=False,
        query="sort=-gap",
    ),
    Rule(
        id="one_reason",
        severity="warning",
        title="One reason dominates",
        condition="share of the wrong responses with one reason other than `wrong` > threshold",
        measure=_dominant_reason,
        limit="one_reason",
        missing="no wrong response is recorded",
        advice="Usually the prompt does not state the form of the answer, or the reward function parses it too strictly.",
        query="correct=false",
    ),
    Rule(
        id="entropy_collapse",
        severity="warning",
        title="Entropy collapse",
        condition="entropy now / entropy at the start < threshold",
        measure=_entropy_ratio,
        limit="entropy_collapse",
        below=True,
        unit="ratio",
        missing="fewer steps with entropy than two windows",
        advice="The policy stops exploring. Raise algorithm.clip_high, lower the learning rate, or use harder prompts.",
        query="sort=entropy",
    ),
    Rule(
        id="length_hack",
        severity="warning",
        title="Reward rises with length",
        condition="reward up, accuracy not, and length now / length at the start > threshold",
        measure=partial(_rise, by_length=True),
        limit="length_growth",
        unit="ratio",
        advice="The reward pays for longer answers, not for better ones. Read the longest of the best rewarded.",
        query="correct=false&sort=-reward",
    ),
    Rule(
        id="term_hack",
        severity="warning",
        title="One term drives the reward",
        condition="reward up, accuracy not, and one term's share of the rise > threshold",
        measure=partial(_rise, by_length=False),
        limit="term_share",
        missing="no terms are recorded",
        advice="The policy learns this term instead of the answer. Lower its weight, or make it depend on the answer.",
        query="correct=false&sort=-reward",
    ),
)
