"""What agrees with a reference and is no answer: the question repeated, arithmetic left undone, an answer denied or
half taken back; and what looks like one of these and counts.
"""

import pytest

from rewards.choice import Choice
from rewards.mathematics import Mathematics
from rewards.molecules.generation import Caption2Mol
from rewards.molecules.property import PropertyChoice
from rewards.physics import Physics

ASKED = [
    ("Convert 4 m to mm.", "4 m", "4000 mm"),
    (r"What is $\log_2 4096$?", r"\log_2 4096", "12"),
    (r"Evaluate $\int_0^2 3x^2\,dx$.", r"\int_0^2 3x^2\,dx", "8"),
    (r"Simplify $\sqrt{72}+\sqrt{8}$.", r"\sqrt{72} + \sqrt{8}", r"8\sqrt{2}"),
    ("Expand $(x+1)(x-1)$.", "(x+1)(x-1)", "x^2-1"),
]
GASES = "Which gas is lightest?\nA. oxygen\nB. argon\nC. helium"
ASPIRIN = "[C][C][=Branch1][C][=O][O][C][=C][C][=C][C][=C][Ring1][=Branch1][C][=Branch1][C][=O][O]"


@pytest.mark.parametrize(("prompt", "piece", "gold"), ASKED)
def test_the_question_is_no_answer(prompt: str, piece: str, gold: str) -> None:
    for said in (prompt, piece, f"\\boxed{{{piece}}}", f"The answer is ${piece}$."):
        assert not Mathematics()(said, gold, prompt).correct, said
        assert not Physics()(said, gold, {}, prompt).correct, said
    assert Mathematics()(f"\\boxed{{{piece}}}", gold, prompt).reason in ("echo", "wrong")
    assert Physics()(f"\\boxed{{{gold}}}", gold, {}, prompt).correct


@pytest.mark.parametrize(
    ("prompt", "said", "gold"),
    [
        ("A ball at 2.0 m/s meets a wall. How fast does it return?", "2.0 m/s", "2 m/s"),
        ("The pole is 2 m high. How long is its shadow?", "2 m", "2 meters"),
        ("What is 1/2 of 1?", "1/2", r"\frac{1}{2}"),
        (r"Show that $S = f(H/T)$.", "S = f(H/T)", r"S = f\left(\frac{H}{T}\right)"),
        (r"With $\lambda = e^{\mu/kT}$, what is it here?", r"\lambda = e^{\mu/kT} = nV_Q", r"\lambda = nV_Q"),
    ],
)
def test_what_stands_in_the_question_may_be_the_answer(prompt: str, said: str, gold: str) -> None:
    assert Physics()(f"\\boxed{{{said}}}", gold, {}, prompt).correct


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("7*12", "84"),
        (r"7\cdot 12", "84"),
        ("(7)(12)", "84"),
        ("7 12", "84"),
        ("90 - 6", "84"),
        (r"\frac{7 \cdot 24}{2}", "84"),
        ("12/2+1", "7"),
        (r"\sum_{k=1}^{100} k", "5050"),
        ("(4+3) J", "7 J"),
        ("x = 5+2", "7"),
    ],
)
def test_arithmetic_left_undone(said: str, gold: str) -> None:
    score = Physics()(f"\\boxed{{{said}}}", gold, {})
    assert (score.reason, score.value) == ("unevaluated", 0.0)
    assert not Mathematics()(said, gold).correct
    parts = Physics()(f"\\boxed{{{said}}} and \\boxed{{3}}", "", {"final_answers": [gold, "3"]})
    assert parts.terms == {"share": 0.5}


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("4 J + 3 J = 7 J", "7 J"),
        ("7*12 = 84", "84"),
        (r"7\times 10^2", "700"),
        (r"\frac{168}{2}", "84"),
        ("2^{10}", "1024"),
        (r"\frac{\sqrt5-1}{2}", "0.618034"),
        (r"1+\sqrt2", r"\sqrt2+1"),
        (r"5\ \mathrm{kg\cdot m\cdot s^{-2}}", "5 N"),
        ("1 000 000", "1000000"),
        ("2.0 m (or 200 cm)", "2 m"),
    ],
)
def test_written_out_or_exact(said: str, gold: str) -> None:
    assert Physics()(f"\\boxed{{{said}}}", gold, {}).correct


def test_a_chain_of_quantities_is_added_up() -> None:
    assert not Physics()("4 J + 4 J = 7 J", "7 J", {}).correct


@pytest.mark.parametrize("said", ["84 (or 85)", r"84 \text{ (or 85)}", "84 [or 85]", "84 (maybe 85)", "not 84"])
def test_a_number_half_taken_back(said: str) -> None:
    for form in (said, f"\\boxed{{{said}}}", f"<answer>{said}</answer>"):
        assert not Mathematics()(form, "84").correct, form
        assert not Physics()(form, "84", {}).correct, form


def test_two_numbers_are_not_one() -> None:
    for said, gold in (("12 34", "1234"), ("7 % 8", "7")):
        assert not Mathematics()(said, gold).correct
        assert not Physics()(said, gold, {}).correct


@pytest.mark.parametrize(
    "said",
    [
        "Not C",
        "The answer is not C",
        "C is wrong",
        "all except C",
        "anything but C",
        "C: but maybe A",
        "C) A) B)",
        "It isn't C",
        "maybe C",
        "C can be excluded",
        "A. oxygen\nB. argon\nC. helium",
        GASES,
    ],
)
def test_a_letter_denied(said: str) -> None:
    assert not Choice()(said, "C", GASES).correct
    assert not Choice()(said, "C", "").correct


@pytest.mark.parametrize(
    "said",
    [
        "C because A is not light",
        "It is not oxygen, so the answer is C",
        "A and B are wrong, so C",
        "C. A gas that is light",
        "(C) helium",
        "The gas is helium, C",
    ],
)
def test_a_letter_with_its_reason(said: str) -> None:
    assert Choice()(said, "C", GASES).correct


@pytest.mark.parametrize(
    "said",
    [
        "isn't true",
        "This isn't correct",
        "never true",
        "far from true",
        "It is not the case that this is true",
        "The claim that it is true is wrong",
        "True or not",
        "hardly true",
        "True unless it isn't",
        "The opposite is true",
        "unlikely to be true",
        "true... not",
        "I deny that it is true",
    ],
)
def test_a_truth_value_denied(said: str) -> None:
    assert not Choice()(said, "True", "").correct
    assert not PropertyChoice()(said, "True").correct


@pytest.mark.parametrize("said", ["not (b)", "It isn't (b)", "(b) is wrong", "all but (b)", "(a) or (b)"])
def test_an_option_denied(said: str) -> None:
    assert not Physics()(said, "(b)", {}).correct
    assert Physics()("(b), since it does not move", "(b)", {}).correct


@pytest.mark.parametrize("form", ["{} or [C]", "[C] or {}", "not {}", "The answer is not {}", "{} (or [C])"])
def test_a_molecule_denied_or_hedged(form: str) -> None:
    assert Caption2Mol()(form.format(ASPIRIN), ASPIRIN).value == 0
