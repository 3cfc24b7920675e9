"""The terms about how a response is written."""

import pytest

from rewards.style import Style, language, length, repetition, structure


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("<think>a</think>b", 1.0),
        ("<think>a</think><answer>b</answer>", 1.0),
        ("b", 0.5),
        ("<think>a", 0.0),
        ("<think>a</think>", 0.0),
        ("b<think>a</think>c", 0.0),
        ("<think>a</think><think>a</think>b", 0.0),
        ("", 0.0),
    ],
)
def test_structure(response: str, value: float) -> None:
    assert structure(response) == value


def test_repetition_sees_loops_of_words_and_of_letters() -> None:
    prose = " ".join(f"word{k} and {k * k}" for k in range(400))
    assert repetition(prose) > 0.9
    assert repetition("we add seven more and " * 200) < 0.1
    assert repetition("ab" * 2_000) < 0.2
    assert repetition("") == 1.0


def test_language_and_length() -> None:
    assert language("Всё ясно", "Сколько?") == 1.0
    assert language("Всё ясно", "How many?") == 0.0
    assert language("α + β = 2", "How many?") == 1.0
    assert length("a" * 10, 10, 10) == 1.0
    assert length("a" * 15, 10, 10) == 0.5
    assert length("a" * 30, 10, 10) == 0.0


def test_terms_can_be_switched_off() -> None:
    score = Style(use_structure=False, use_length=False)("plain words", "How many?")
    assert set(score.terms) == {"repetition", "language"}
    assert score.correct
