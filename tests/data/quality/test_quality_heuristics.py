"""Heuristics drop what is no text, and formulas cost a scientific text nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.steps.heuristics import FilterHeuristics
from innovator_rl.data.quality.damage import KINDS, damage, is_chinese
from innovator_rl.data.quality.grading import load_gold, load_rubric

SCIENCE = FilterHeuristics(min_words=20)
GENERAL = FilterHeuristics(profile="general", min_words=20)
GOLD = load_gold()
MATHEMATICS = (
    "We solve the equation by substitution and write the result with the constants that the initial values give.\n\n"
    + "\n\n".join(f"$$ x_{i} + y_{i} = \\frac{{{i}}}{{2}} , \\quad z_{i} \\le {i} - 1 $$" for i in range(12))
    + "\n\nThe last line is what was to be shown, because the sum of all terms is bounded."
)


def test_good_passages_stay() -> None:
    rubric = load_rubric()
    dropped = {p.id: SCIENCE.reason(p.text) for p in GOLD if rubric.keeps(p.levels) and p.kind == "good"}
    assert not {name: reason for name, reason in dropped.items() if reason}


def test_formulas_are_set_aside_by_the_science_profile_only() -> None:
    assert SCIENCE.reason(MATHEMATICS) == ""
    assert GENERAL.reason(MATHEMATICS) in ("too many symbols", "too few words with letters")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("one two three", "too few words"),
        ("Lorem ipsum dolor sit amet and the rest of it " * 5, "placeholder"),
        ("0.1 0.2 0.3 0.4 = + - % " * 10, "too many symbols"),
        ("12 14 15 17 21 22 25 29 31 33 42 " * 4, "too few words with letters"),
        ("internationalization " * 40, "unusual length of words"),
        ("blue green red yellow black white brown " * 5, "too few function words"),
        ("\n".join(f"- the item {i} of the list and more" for i in range(12)), "bullets only"),
        ("\n".join(f"the story number {i} of the day and ..." for i in range(12)), "cut lines"),
        ("the menu of the whole page is here\n" * 12, "repeated lines"),
        ("the first of all the things that we have to say here is this one " * 8, "repeated passages"),
    ],
)
def test_reasons(text: str, reason: str) -> None:
    assert SCIENCE.reason(text) == reason


def test_a_rule_can_be_loosened() -> None:
    text = "the menu of the whole page is here\n" * 12
    assert FilterHeuristics(min_words=20, max_repeated_lines=1, max_repeated_runs=1).reason(text) == ""


@given(st.text(max_size=400))
def test_every_text_is_kept_or_dropped_with_a_reason(text: str) -> None:
    result = SCIENCE.open()(Document(id="a", text=text))
    assert (result.document is None) == bool(result.reason)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["en-buffer", "zh-buffer"])
def test_damage_is_repeatable_and_keeps_the_language(kind: str, name: str) -> None:
    text = next(passage.text for passage in GOLD if passage.id == name)
    copy = damage(text, kind, seed=3)
    assert copy == damage(text, kind, seed=3)
    assert copy != text or kind == "shuffled sentences"
    if kind != "wrong decoding":
        assert is_chinese(copy) == (name[:2] == "zh")
