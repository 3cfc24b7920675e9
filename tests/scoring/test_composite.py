"""Composite rewards: gates before content, weights, caps; unscored where a part is unscored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.errors import UserError
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool, abstain, registry, right, wrong
from innovator_rl.scoring.composite import CompositeReward, is_composite, parse

SCORES = {
    "form": right(),
    "broken_form": wrong("bad_format"),
    "math": right("4", exact=1.0),
    "near": Score(0.25, False, "partial"),
    "silent": abstain("bad_reference"),
    "dead": Score(0.0, False, "crashed", outcome="error"),
}


def evaluate(text: str) -> Score:
    return parse(text).evaluate(SCORES.__getitem__)


def test_gates_weights_and_cap() -> None:
    score = evaluate("form >> 0.5 * math + 2 * near")
    assert (score.value, score.correct, score.reason, score.extracted) == (1.0, True, "correct", "4")
    assert score.terms == {"math": 0.5, "math.exact": 1.0, "near": 0.5}
    assert evaluate("math + 4 * near [-1, 1.5]").value == 1.5
    assert evaluate("0.1 * near + math").correct is False, "a bonus never makes an answer right"


def test_a_closed_gate_hides_the_content() -> None:
    asked: list[str] = []

    def score_of(name: str) -> Score:
        asked.append(name)
        return SCORES[name]

    score = parse("form >> broken_form >> math").evaluate(score_of)
    assert (score.value, score.correct, score.reason, score.outcome) == (0.0, False, "bad_format", "scored")
    assert asked == ["form", "broken_form"]


@pytest.mark.parametrize("text", ["math + silent", "silent + math", "math + dead", "dead >> math", "0.1 * dead + math"])
def test_without_a_part_the_whole_is_unscored(text: str) -> None:
    score = evaluate(text)
    assert not score.scored
    assert score.reason in ("bad_reference", "crashed")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("math +  + near", "cannot read"),
        ("ten * math + near", "'ten' is not a number"),
        ("nan * math + near", "not finite"),
        ("math [1, -1]", "is empty"),
        ("a b >> math", "not the name of one rewarder"),
        ("math + 0.5 * math", "names a rewarder twice"),
    ],
)
def test_mistakes_name_their_part(text: str, complaint: str) -> None:
    assert is_composite(text)
    with pytest.raises(UserError, match=complaint):
        parse(text)


def test_names_are_not_composites() -> None:
    assert not any(map(is_composite, ("math", "my.package:Reward", "rewards/my-reward.py:score", "a+b.py:f")))
    with pytest.raises(UserError, match="did you mean math"):
        registry.require_known("format_of_nobody:f >> mathe + 0.1 * choice")


weights = st.floats(-10, 10, allow_nan=False)
values = st.floats(-5, 5, allow_nan=False)


@given(st.lists(st.tuples(weights, values), min_size=1, max_size=5))
def test_the_value_is_the_clipped_sum_of_the_terms(parts: list[tuple[float, float]]) -> None:
    scores = {f"r{i}": Score(value, False, "partial") for i, (_, value) in enumerate(parts)}
    composite = CompositeReward((), tuple((weight, f"r{i}") for i, (weight, _) in enumerate(parts)), -1.0, 1.0)
    score = composite.evaluate(scores.__getitem__)
    assert score.value == min(max(sum(score.terms.values()), -1.0), 1.0)


def test_a_composite_is_a_rewarder_everywhere(plugin: object) -> None:
    with ScoringPool(workers=1, timeout_seconds=5, memory_mb=512) as pool:
        name = "math >> 0.5 * faulty + 0.5 * later"
        score = pool.score(ScoreRequest(name, response="4", answer="4"))
        assert (score.value, score.terms) == (1.0, {"faulty": 0.5, "later": 0.5})
        assert pool.score(ScoreRequest(name, response="5", answer="4")).terms == {"math": 0.0}
        assert pool.score(ScoreRequest("math + 1 * broken_import", response="4", answer="4")).reason == "load_failed"
