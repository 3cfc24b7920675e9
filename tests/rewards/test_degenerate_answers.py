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


NOBLE = "Which metal is a noble one?\nA. gold\nB. iron\nC. copper\nD. lead"
LIKELY_TRUE = [
    "True",
    "It is true",
    "likely true",
    "probably true",
    "True.",
    "The claim is accurate",
    "The claim is valid",
    "the statement is accurate.",
    "This statement is valid",
    "definitely true",
    "True!",
    "Answer: True",
    "\\boxed{True}",
    "The statement is supported",
    "not false",
    "it's true",
    "that's true",
    "The claim is indeed correct",
    "not untrue",
    "It is likely true",
    "True, because it is toxic",
    "Yes.",
    "Answer: True. No nitrogen is present.",
    "not likely false",
    "The claim is sound",
    "the claim is factual",
]
LIKELY_FALSE = [
    "False",
    "not likely true",
    "The claim fails",
    "The claim is inaccurate",
    "The claim is invalid",
    "the statement is not accurate",
    "The statement is not valid",
    "unlikely to be true",
    "not true",
    "The claim does not hold",
    "the claim is mistaken",
    "isn't likely true",
    "It is probably false",
    "not very likely true",
    "the claim is erroneous",
    "The claim is unsupported",
    "hardly likely to be true",
    "not really true",
    "it's false",
    "The assertion is flawed",
    "not likely to be true",
]
IN_PART = [
    "partly true",
    "half true",
    "sort of true",
    "True?!",
    "Answer: True. No wait, False.",
    "partially true",
    "mostly true?",
    "kind of true",
    "somewhat true",
    "True-ish",
    "true in part",
    "half-true",
    "true to some extent",
    "a half truth, true",
    "almost true",
    "nearly true",
    "true and false",
    "True?",
    "partially correct is true",
    "Answer: True?",
    "sometimes true",
    "rarely true",
    "often true",
    "in some cases true",
    "Answer: True. Actually, False.",
    "quasi true",
    "more or less true",
    "not fully true",
    "Answer: False. No, wait, True.",
    "true only if heated",
    "half false",
    "partly false",
    "The claim is partly accurate",
    "True for some molecules",
    "usually true",
    "neither accurate nor valid",
]


@pytest.mark.parametrize(
    ("said", "side"), [*((one, "True") for one in LIKELY_TRUE), *((one, "False") for one in LIKELY_FALSE)]
)
def test_a_truth_value_in_other_words(said: str, side: str) -> None:
    for gold in ("True", "False"):
        assert PropertyChoice()(said, gold).correct is (gold == side)
        assert Choice()(said, gold, "").correct is (gold == side)


@pytest.mark.parametrize("said", IN_PART)
def test_a_truth_value_in_part_or_taken_back(said: str) -> None:
    for gold in ("True", "False"):
        assert not PropertyChoice()(said, gold).correct
        assert not Choice()(said, gold, "").correct


@pytest.mark.parametrize(
    "said",
    [
        "A→B",
        "If A were wrong, B",
        "A -> B",
        "A \\to B",
        "A\\rightarrow B",
        "A => B",
        "If A is wrong, B",
        "If not A, B",
        "B if A is wrong",
        "If A is false then B",
        "Assuming A is wrong, B",
        "Unless A, B",
        "B unless A",
        "A vs B",
        "A > B",
        "A < B",
        "A≠B",
        "A = B",
        "Either A or B",
        "B?",
        "Answer: B?",
        "Answer: B. No wait, A.",
        "Answer: B. Actually, A.",
        "B, assuming that A is wrong",
        "B would be right if A were wrong",
        "\\boxed{A \\to B}",
        "Were A wrong, B",
        "Provided A is wrong, B",
        "B, if iron were noble",
        "A&B",
        "A/B",
        "A before B",
    ],
)
def test_a_letter_under_a_condition_or_on_the_way_to_another(said: str) -> None:
    assert not Choice()(said, "B", NOBLE).correct
    assert not Choice()(said, "B", "").correct


@pytest.mark.parametrize(
    "said",
    [
        "B",
        "B.",
        "(B)",
        "The answer is B",
        "Not A but B",
        "A is wrong, B is right",
        "B, not A",
        "Answer: B. No other option fits.",
        "B because A is wrong",
        "If iron is heated it rusts, so the answer is B",
        "The answer is B, since A is wrong",
        "\\boxed{B}",
        "**B**",
        "B → iron",
        "B. iron",
    ],
)
def test_a_letter_that_stands(said: str) -> None:
    assert Choice()(said, "B", NOBLE).correct


@pytest.mark.parametrize(
    ("said", "right"),
    [
        *(
            (one, True)
            for one in (
                "[A, C]",
                "\\{A,C\\}",
                "\\boxed{\\{A,C\\}}",
                "A. gold\nC. copper",
                "A, C",
                "AC",
                "A and C",
                "{A, C}",
                "(A), (C)",
                "(A,C)",
                "\\boxed{A, C}",
                "\\boxed{[A, C]}",
                "\\boxed{\\text{A, C}}",
                "A. gold, C. copper",
                "A) gold\nC) copper",
                "(A) gold\n(C) copper",
                "- A. gold\n- C. copper",
                "**A** and **C**",
                "\\boxed{A}, \\boxed{C}",
                "\\boxed{A} and \\boxed{C}",
                "Answer: [A, C]",
                "Answer: A. gold\nC. copper",
                "<answer>[A, C]</answer>",
                "['A', 'C']",
                '["A","C"]',
                "\\boxed{\\text{A and C}}",
                "\\boxed{AC}",
                "Answers: A and C",
                "options A and C",
            )
        ),
        *(
            (one, False)
            for one in (
                "[A, B]",
                "\\{A,B,C\\}",
                "A. gold\nB. iron\nC. copper\nD. lead",
                "A. gold\nB. iron",
                "A or C",
                "[A]",
                "A → C",
                "[A or C]",
                "not A, C",
                "A. iron\nC. copper",
                "A. gold\nC. copper\nD. lead",
                "[A, C]?",
                "\\{A\\}",
                "A. gold is wrong\nC. copper",
                "A. gold\nC. copper is wrong",
                "If A then C",
                "[C]",
                "A, maybe C",
                "Neither A nor C",
                "A. gold\nC. copper\nNone of these.",
            )
        ),
    ],
)
def test_several_letters(said: str, right: bool) -> None:
    assert Choice()(said, "A, C", NOBLE).correct is right
