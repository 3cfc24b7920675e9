"""Reward functions of other libraries run as they are, and parameters keep secrets out of every text."""

import logging
from pathlib import Path
from typing import Any

import pytest

from innovator_rl.errors import UserError
from innovator_rl.scoring import ScoreRequest, ScoringPool, adapters, registry
from innovator_rl.scoring.invoke import RewardCallable, named_arguments

FUNCTIONS = """
def by_text(completions, ground_truth, level, **kwargs):
    return [float(gold in text) * factor for text, gold, factor in zip(completions, ground_truth, level)]

def by_chat(prompts, completions, answer):
    return [1.0 if completion[0]["content"] == gold else None for completion, gold in zip(completions, answer)]

async def later(completions, **kwargs):
    return [0.25 for _ in completions]

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    right = solution_str.endswith(ground_truth)
    return {"score": 0.8 if right else -0.5, "acc": right, "pred": solution_str, "length": len(solution_str)}

def plain_score(data_source, solution_str, ground_truth, extra_info):
    return 1.0 if extra_info["unit"] == "m" else 0.0

async def exact(completion, answer) -> float:
    return float(completion[-1]["content"] == answer)

def short(completion, parser) -> float:
    return float(len(parser.parse(completion[-1]["content"])) < 5)

class Parser:
    def parse(self, text):
        return text.strip()

class Rubric:
    funcs, weights, parser = [exact, short], [1.0, 0.5], Parser()

rubric = Rubric()

class Environment:
    rubric = Rubric()

def load_environment(**kwargs):
    return Environment()

def needs_more(completions, difficulty):
    return [1.0]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.py"
    path.write_text(FUNCTIONS)
    return path


@pytest.mark.parametrize(
    ("name", "response", "value", "correct"),
    [
        ("trl:{}:by_text", "it is 42", 0.5, False),
        ("trl:{}:by_text", "it is 41", 0.0, False),
        ("trl-chat:{}:by_chat", "42", 1.0, True),
        ("trl:{}:later", "42", 0.25, False),
        ("verl:{}:compute_score", "it is 42", 0.8, True),
        ("verl:{}:compute_score", "it is 41", -0.5, False),
        ("verl:{}:plain_score", "", 1.0, True),
        ("verifiers:{}:exact", "42", 1.0, True),
        ("verifiers:{}:rubric", "42", 1.5, True),
        ("verifiers:{}:rubric", "it is 42", 0.0, False),
        ("verifiers:{}:load_environment", "41", 0.5, False),
    ],
)
def test_functions_of_other_libraries_run_as_they_are(
    file: Path, name: str, response: str, value: float, correct: bool
) -> None:
    loaded = RewardCallable(registry.load(name.format(file)))
    request = ScoreRequest("x", response, "42", "What?", {"level": 0.5, "unit": "m"}, "mine")
    score = loaded(request)[0]
    assert (score.value, score.correct, score.outcome) == (value, correct, "scored")
    assert bool(loaded.in_flight) == any(word in name for word in ("later", "exact", "rubric", "load_environment"))


def test_none_abstains_and_terms_are_kept(file: Path) -> None:
    request = ScoreRequest("x", "no", "42")
    assert RewardCallable(registry.load(f"trl-chat:{file}:by_chat"))(request)[0].outcome == "abstained"
    score = RewardCallable(registry.load(f"verl:{file}:compute_score"))(request)[0]
    assert score.terms == {"acc": 0.0, "length": 2.0}


def test_a_column_that_the_row_lacks_is_named(file: Path) -> None:
    with pytest.raises(UserError, match=r"requires difficulty; the row offers"):
        RewardCallable(registry.load(f"trl:{file}:needs_more"))(ScoreRequest("x", "no", "42"))


def test_their_names_work_in_the_pool_and_in_formulas(file: Path) -> None:
    request = ScoreRequest(f"0.5 * trl:{file}:later + verifiers:{file}:exact", "42", "42")
    with ScoringPool(1, 30) as pool:
        assert pool.score(request).terms == {"later": 0.125, "exact": 1.0}
    assert registry.source(registry.load(f"trl:{file}:later")) == file
    assert registry.source(registry.load(f"verifiers:{file}:rubric")) == file


def test_a_module_may_have_the_name_of_a_prefix() -> None:
    assert adapters.split("trl:rewards") == ("", "trl:rewards")
    assert adapters.split("trl:rewards:accuracy") == ("trl", "rewards:accuracy")
    assert adapters.split("mine.py:f(url='http://x:1')") == ("", "mine.py:f(url='http://x:1')")


TELLTALE = """
from innovator_rl.scoring import Score

class Judge:
    def __init__(self, api_key: str = "") -> None:
        self.api_key = api_key

    def __call__(self, response: str) -> Score:
        if response == "raise":
            raise RuntimeError(f"refused {self.api_key}")
        return Score(1.0, self.api_key == "sk-very-secret", "correct", f"read with {self.api_key}")
"""


def test_secrets_come_from_the_environment_and_never_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "telltale.py"
    path.write_text(TELLTALE)
    name = f"{path}:Judge(api_key='${{env:MY_JUDGE_KEY}}')"
    with pytest.raises(UserError, match="'MY_JUDGE_KEY' not found"):
        registry.require_usable(name)
    monkeypatch.setenv("MY_JUDGE_KEY", "sk-very-secret")
    with caplog.at_level(logging.WARNING), ScoringPool(1, 30) as pool:
        score = pool.score(ScoreRequest(name, "fine"))
        failed = pool.score(ScoreRequest(name, "raise"))
    assert score.correct
    assert score.extracted == "read with ***"
    assert failed.reason == "raised"
    assert "refused ***" in caplog.text
    assert "sk-very-secret" not in caplog.text


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("def f(completions, **columns): return [1.0 for _ in completions]", "trl:FILE.py:FUNCTION"),
        ("def f(data_source, solution_str, ground_truth): return 1.0", "verl:FILE.py:FUNCTION"),
    ],
)
def test_a_function_of_another_library_is_told_its_prefix(source: str, named: str) -> None:
    scope: dict[str, Any] = {}
    exec(source, scope)
    with pytest.raises(UserError, match=named):
        named_arguments(scope["f"])
