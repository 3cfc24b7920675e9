"""Which letters are labels: prose commits to none, and every clear way to name an option is read."""

import json
from pathlib import Path

import pytest

from rewards.choice import Choice, options

PROMPTS = {
    "none": "",
    "gases": "Which gas is lightest?\nA. oxygen\nB. argon\nC. helium\nD. neon",
    "vitamins": "Which vitamin prevents scurvy?\nA. vitamin A\nB. vitamin B\nC. vitamin C\nD. vitamin D",
}
ROWS = [json.loads(line) for line in Path(__file__).with_name("option_letters.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("right", [True, False])
def test_letters_in_prose_and_in_answers(right: bool) -> None:
    rows = [row for row in ROWS if row["right"] is right]
    assert len(rows) > 150
    missed = [row for row in rows if Choice()(row["response"], row["answer"], PROMPTS[row["options"]]).correct != right]
    assert not missed


def test_options_run_on_from_a() -> None:
    assert options("In J. Smith's view, which holds?\n(A) one (B) two (C) three") == {
        "A": "one",
        "B": "two",
        "C": "three",
    }
    assert options("Which?\n(a) one\n(b) two") == {"A": "one", "B": "two"}
    assert options("Is X. older than Y. or not?") == {}


def test_a_small_reference_label_is_one_where_the_options_are_listed() -> None:
    for said in ("(b)", "B", "b) two", "The answer is (B)."):
        assert Choice()(said, "b", "Which?\n(a) one\n(b) two").correct, said
    assert not Choice()("(a)", "b", "Which?\n(a) one\n(b) two").correct
