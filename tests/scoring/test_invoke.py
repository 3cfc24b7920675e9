"""Prepared references, groups, signatures: what a rewarder may ask for and what it gets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from innovator_rl.errors import UserError
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool, invoke, right, wrong
from innovator_rl.scoring.invoke import RewardCallable


class Prepared:
    """Counts how often a reference is prepared."""

    def __init__(self) -> None:
        self.prepared: list[str] = []

    def prepare(self, answer: str) -> int:
        self.prepared.append(answer)
        return int(answer)

    def __call__(self, response: str, gold: int) -> bool:
        return int(response) == gold


def test_a_reference_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rewarder = Prepared()
    caller = RewardCallable(rewarder, "1")
    for response in ("3", "4", "3"):
        for answer in ("3", "4"):
            (score,) = caller(ScoreRequest("x", response, answer))
            assert score.correct == (response == answer)
    assert rewarder.prepared == ["3", "4"]
    monkeypatch.setattr(invoke, "MAX_GOLDS", 1)
    for answer in ("3", "5", "6", "6"):
        caller(ScoreRequest("x", "3", answer))
    assert rewarder.prepared == ["3", "4", "5", "6"], "kept by last use; evicted beyond the bound"


def test_a_group_is_scored_together() -> None:
    def shortest(responses: list[str]) -> list[Score]:
        return [right() if text == min(responses, key=len) else wrong() for text in responses]

    group = RewardCallable(shortest)
    assert group.group
    scores = group(ScoreRequest("x", "", responses=("long", "s", "medium")))
    assert [score.correct for score in scores] == [False, True, False]
    assert group(ScoreRequest("x", "alone"))[0].correct, "a single response is a group of one"
    assert [s.reason for s in RewardCallable(lambda responses: [1.0])(ScoreRequest("x", "", responses=("a", "b")))] == [
        "bad_result"
    ] * 2
    with pytest.raises(UserError, match="does not name `responses`"):
        RewardCallable(lambda response: True)(ScoreRequest("x", "", responses=("a", "b")))


def _gold_without_prepare(response: str, gold: str) -> bool:
    return response == gold


def _both(response: str, responses: list[str]) -> bool:
    return bool(response or responses)


def _positional(response: str, /) -> bool:
    return bool(response)


@pytest.mark.parametrize(
    ("rewarder", "complaint"),
    [
        (_gold_without_prepare, "needs an attribute `prepare`"),
        (_both, "must name one of them"),
        (_positional, "by keyword"),
    ],
)
def test_a_wrong_signature_is_refused(rewarder: Any, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        RewardCallable(rewarder)


def test_numpy_numbers_are_numbers() -> None:
    (score,) = RewardCallable(lambda: Score(np.float32(0.5), False, "partial", terms={"a": np.float64(0.5)}))(
        ScoreRequest("x", "")
    )
    assert type(score.value) is float
    assert type(score.terms["a"]) is float


GROUP_PLUGIN = """
from innovator_rl.scoring import right, wrong

def diverse(responses, answer):
    if "die" in responses:
        import os
        os._exit(1)
    return [right() if responses.count(text) == 1 else wrong() for text in responses]
"""


def test_groups_and_files_through_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards.py").write_text(GROUP_PLUGIN)
    monkeypatch.chdir(tmp_path)
    with ScoringPool(workers=1, timeout_seconds=5, memory_mb=512) as pool:
        ask = lambda *texts: ScoreRequest("my_rewards.py:diverse", "", responses=texts)  # noqa: E731
        assert [s.correct for s in pool.submit_group(ask("a", "b", "a")).result()] == [False, True, False]
        assert [s.reason for s in pool.submit_group(ask("a", "die")).result()] == ["crashed"] * 2
        about = pool.describe("my_rewards.py:diverse")
        assert (about["problem"], about["group"]) == ("", True)
        assert about["source"] == str(tmp_path / "my_rewards.py")
        missing = pool.describe("my_rewards.py:diverze")["problem"]
        assert "it has diverse" in missing
        assert "file absent.py not found" in pool.describe("absent.py:score")["problem"]
