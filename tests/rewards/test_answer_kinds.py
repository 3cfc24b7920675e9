"""Answers by kind: each spelling that means the same is accepted, each that looks alike is refused."""

import pytest
from answer_forms import FORMS
from answer_habits import HABITS
from answer_kinds import CHOICES, KINDS, OPTIONS, UNLISTED
from answer_spellings import SPELLINGS

from rewards.choice import Choice
from rewards.mathematics import Mathematics
from rewards.physics import Physics

ROWS = KINDS | SPELLINGS | FORMS | HABITS


@pytest.mark.parametrize("kind", sorted(ROWS))
def test_kind(kind: str) -> None:
    wrong = []
    for rewards, gold, said, right in ROWS[kind]:
        for reward in "pm" if rewards == "b" else rewards:
            response = f"\\boxed{{{said}}}"
            score = Physics()(response, gold, {}) if reward == "p" else Mathematics()(response, gold)
            if score.correct != right:
                wrong.append((reward, gold, said, score.reason))
    assert not wrong


def test_choices() -> None:
    assert not [row for row in CHOICES if Choice()(row[1], row[0], OPTIONS).correct != row[2]]


def test_choices_without_listed_options() -> None:
    assert not [row for row in UNLISTED if Choice()(row[1], row[0], "").correct != row[2]]


@pytest.mark.parametrize(
    "phrase",
    [
        "答案是24。",
        "答案：24",
        "答案为 $24$。",
        "最终答案是 24",
        "结果等于24",
        "Answer: `$24$`",
        r"\fbox{24}",
        "答：一共有24个。",
        "【答案】24",
        "【正确答案】 $24$",
        "答：需要24天。",
    ],
)
def test_where_the_answer_stands_in_other_words(phrase: str) -> None:
    assert Mathematics()(phrase, "24").correct
    assert not Mathematics()(phrase, "25").correct


@pytest.mark.parametrize(
    ("asked", "gold", "said", "right"),
    [
        ("Give the answer in $10^{-9} N$.", r"4.1 \times 10^{-9} N", "4.1", True),
        ("Give the answer in $10^{-9} N$.", r"4.1 \times 10^{-9} N", "4.3", False),
        ("Give the answer in $10^{-9} N$.", r"4.1 \times 10^{-9} N", "4.1 N", False),
        ("Give the answer in $10^{-9} N$.", r"4.1 \times 10^{-9} N", r"4.1 \times 10^{-9}", True),
        ("Express your answer in km.", "3000 m", "3", True),
        ("Express your answer in km.", "3000 m", "3000 km", False),
    ],
)
def test_a_bare_number_is_in_the_unit_asked_for(asked: str, gold: str, said: str, right: bool) -> None:
    assert Physics()(f"\\boxed{{{said}}}", gold, {}, prompt=f"Find it.\n{asked}").correct is right


@pytest.mark.parametrize(
    ("asked", "gold", "said", "right"),
    [
        ("A rope of 12,5 m is cut into pieces of 1,5 m. Find the number.", "8,3", "8.3", True),
        ("A rope of 12,5 m is cut into pieces of 1,5 m. Find the number.", "8,3", "8.4", False),
        ("Pour 0,5 L of water at 20,5 °C.", "2,5", "2.5", True),
        ("List the two roots of the equation.", "8,3", "8.3", False),
        ("A rope of 12,500 m has knots at 3, 5 and 7 m.", "8,3", "8.3", False),
        ("The points (2,5) and [3,7] are given.", "8,3", "8.3", False),
    ],
)
def test_a_prompt_with_decimal_commas_has_them_in_its_answer(asked: str, gold: str, said: str, right: bool) -> None:
    assert Mathematics()(f"\\boxed{{{said}}}", gold, asked).correct is right
    assert Physics()(f"\\boxed{{{said}}}", gold, {}, prompt=asked).correct is right


@pytest.mark.parametrize(
    "gold", [r"x = \frac{a}{b} \left( \frac{1}{\sqrt{1 - v^2}}", r"\frac{1}{0}", r"\sqrt{\frac{a}{b}", r"{a}}{b} \pi"]
)
def test_a_reference_that_cannot_be_met_abstains(gold: str) -> None:
    for score in (Physics()(f"\\boxed{{{gold}}}", gold, {}), Mathematics()(r"\boxed{x^2}", gold)):
        assert (score.outcome, score.reason) == ("abstained", "bad_reference")
    assert Physics()("x", "[0, 1)", {}).reason == "wrong"


@pytest.mark.parametrize(
    ("said", "right"),
    [
        (r"The probability is $\frac34$, or 75%.", True),
        (r"The probability is $\frac34$, or 74%.", False),
        (r"The probability is $\frac34$ or maybe 75%.", False),
    ],
)
def test_one_value_in_two_forms_is_no_hedge(said: str, right: bool) -> None:
    assert Mathematics()(said, r"\frac34").correct is right
    assert Physics()(said, r"\frac34", {}).correct is right


@pytest.mark.parametrize(
    ("question", "right"), [("What percent of the items are defective?", True), ("What share of them is it?", False)]
)
def test_a_percentage_below_one_where_percent_is_asked_for(question: str, right: bool) -> None:
    assert Mathematics()(r"\boxed{0.5\%}", "0.5", question).correct is right
    assert Physics()(r"\boxed{0.5\%}", "0.5", {}, prompt=question).correct is right
