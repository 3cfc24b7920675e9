"""Reasons, terms and seconds of a step's rewards become metrics; outcomes stay apart."""

import json

import pytest

from innovator_rl.integrations.verl.reward_metrics import MAX_NAMES, RewardMetrics
from innovator_rl.integrations.verl.reward_record import RewardRecord


def info(**changes: object) -> RewardRecord:
    base = {"acc": 0.0, "score_value": 0.0, "outcome": "scored", "reason": "wrong", "terms": "{}", "domain": "physics"}
    return RewardRecord.from_verl(base | {"reward_seconds": 0.5, "overlong_penalty": 0.0} | changes)


def test_what_a_step_was_rewarded_with() -> None:
    rewards = RewardMetrics()
    rewards.add(info(acc=1.0, score_value=0.9, reason="correct", terms=json.dumps({"format": 0.1, "physics": 0.8})))
    rewards.add(info(terms=json.dumps({"format": 0.3}), overlong_penalty=-0.5, reward_seconds=1.5))
    rewards.add(info(outcome="abstained", reason="bad_reference"))
    rewards.add(info(outcome="error", reason="crashed", overlong_penalty=-1.0, domain=""))
    figures = rewards.metrics()
    assert figures["domain/physics/responses"] == 3
    assert figures["domain/physics/correct"] == 0.5
    assert figures["domain/physics/abstained"] == pytest.approx(1 / 3)
    assert figures["domain/unknown/errors"] == 1.0
    assert figures["reward/reason/crashed"] == 0.25
    assert (figures["reward/term/format"], figures["reward/term/physics"]) == (pytest.approx(0.2), 0.8)
    assert figures["reward/term/overlong"] == -0.5
    assert (figures["reward/seconds_mean"], figures["reward/seconds_max"]) == (0.75, 1.5)


def test_an_inventive_rewarder_does_not_flood_the_metrics() -> None:
    rewards = RewardMetrics()
    for number in range(1000):
        rewards.add(info(reason=f"reason_{number}", terms=json.dumps({f"term_{number}": 1.0})))
    figures = rewards.metrics()
    assert sum(name.startswith("reward/reason/") for name in figures) == MAX_NAMES + 1
    assert sum(name.startswith("reward/term/") for name in figures) == MAX_NAMES
    assert sum(value for name, value in figures.items() if name.startswith("reward/reason/")) == pytest.approx(1.0)
