"""Scores are validated, results normalized, rewarders found by name unimported, long responses earn a soft penalty."""

import subprocess
import sys
from pathlib import Path

import pytest

from innovator_rl.errors import UserError
from innovator_rl.scoring import ENGINE_REASONS, Overlong, Score, ScoreRequest, compose, registry, right
from innovator_rl.scoring.invoke import call_rewarder, normalize


def test_a_score_is_validated() -> None:
    for bad in (
        dict(value=float("nan"), correct=False, reason="wrong"),
        dict(value=True, correct=True, reason="correct"),
        dict(value=1.0, correct=True, reason="A long sentence."),
        dict(value=1.0, correct=1, reason="correct"),
        dict(value=1.0, correct=True, reason="correct", terms={"x": float("inf")}),
        dict(value=0.5, correct=False, reason="timeout", outcome="error"),
    ):
        with pytest.raises(ValueError, match=r"Score|outcome"):
            Score(**bad)  # type: ignore[arg-type]


def test_a_score_survives_the_wire() -> None:
    score = right("4", exact=1.0)
    assert Score.from_dict(score.to_dict()) == score


def test_results_are_normalised() -> None:
    assert normalize(True).reason == "correct"
    assert normalize(0.25) == Score(0.25, False, "wrong")
    assert normalize(1).correct
    assert normalize(None).outcome == "abstained"
    for bad in (float("nan"), float("inf"), "1", object(), [1.0], b"1"):
        assert normalize(bad).reason == "bad_result"
    assert all(Score(0.0, False, reason) for reason in ENGINE_REASONS)


def test_a_rewarder_gets_what_it_names() -> None:
    def two(answer: str, response: str) -> bool:
        return answer == response

    async def everything(**kwargs: object) -> bool:
        return sorted(kwargs) == ["answer", "data_source", "info", "prompt", "response"]

    request = ScoreRequest("x", response="a", answer="a")
    assert call_rewarder(two, request).correct
    assert call_rewarder(everything, request).correct


def test_names_are_listed_without_imports_and_near_ones_offered() -> None:
    code = (
        "import sys\nfrom innovator_rl.scoring import registry\nprint(*registry.names())\n"
        "assert not {'rewards', 'rdkit', 'sympy', 'torch', 'verl'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"physics", "math", "choice", "chemistry", "mol2caption", "caption2mol", "code"} <= set(done.stdout.split())
    with pytest.raises(UserError, match=r"unknown rewarder 'phisics': did you mean physics"):
        registry.target("phisics")


def test_an_outside_plugin_is_found(plugin: Path) -> None:
    assert "faulty" in registry.names()
    assert registry.load("faulty")("yes", "yes") is True
    assert registry.load("faulty_plugin:score")("yes", "no") is False
    with pytest.raises(UserError, match="requires 'gold'"):
        registry.load("greedy")


def test_overlong_is_linear_inside_the_buffer_and_leaves_correct_alone() -> None:
    shape = Overlong(max_tokens=100, buffer_tokens=20, penalty=0.5)
    assert [shape.term(n) for n in (0, 80, 90, 100, 250)] == [0.0, 0.0, -0.25, -0.5, -0.5]
    assert compose(right(), shape, 90) == (0.75, -0.25)
    assert compose(right(), None, 90) == (1.0, 0.0)
    with pytest.raises(UserError, match="overlong buffer"):
        Overlong(10, 20)
