"""Physics, mathematics, choices and properties on answers as models write them; each pair once as a bare answer and
once boxed.
"""

import pytest

from innovator_rl.scoring import Score
from rewards.choice import Choice
from rewards.equivalence.compare import is_equivalent
from rewards.extraction import boxed, find_answer
from rewards.mathematics import Mathematics
from rewards.molecules.property import PropertyChoice
from rewards.physics import Physics

SAME = [
    (r"1.38\times 10^{-23}\ \mathrm{J/K}", "1.381e-23 J/K"),
    (r"72\ \mathrm{km/h}", r"20\,\text{m}\,\text{s}^{-1}"),
    ("2.5 mm", "2.5e-3 m"),
    (r"\sqrt{2gh}", r"(2 g h)^{1/2}"),
    (r"v = \sqrt{2gh}", r"v=\sqrt{2 h g}"),
    (r"\frac{GMm}{r^2}", r"G M m r^{-2}"),
    (r"\frac{1}{2}\left(a+b\right)", "0.5(b+a)"),
    (r"\cos 2\theta", r"1-2\sin^2\theta"),
    (r"\frac{\hbar\omega}{2}", r"\tfrac12 \hbar \omega"),
    (r"J_0(2)", r"J_{0}(2)"),
    (r"(1,-2,3)", r"\begin{pmatrix}1\\-2\\3\end{pmatrix}"),
    (r"\pm 3", "-3, 3"),
    ("F = ma", r"ma - F = 0"),
    (r"25^\circ\mathrm{C}", "298.15 K"),
    (r"180^\circ", r"\pi"),
    (r"\text{decreases}", "Decreases"),
]
DIFFERENT = [
    ("5 m/s", "5 km/s"),
    ("5 J", "5 W"),
    (r"1.6\times 10^{-19}", r"1.6\times 10^{-25}"),
    ("MR^2", "mR^2"),
    ("R", "r"),
    ("7", "7 or 8"),
    ("7", "x = 8 = 7"),
    ("7", "8 = 7"),
    ("7", "7, 8"),
    ("x^2+1", "x^2+1+10^{-20}"),
    ("(1,2)", "(2,1)"),
    ("a=2, b=3", "a=3, b=2"),
    ("[0,1)", "[0,1]"),
    ("2", "9^{9^9}"),
    ("2", ""),
    ("9.81", "12"),
    (r"\frac{mv^2}{2}", "mv^2"),
]


@pytest.mark.parametrize(("gold", "said"), SAME)
def test_same(gold: str, said: str) -> None:
    assert Physics()(said, gold, {}).correct
    assert Physics()(f"<think>42</think>So we get \\boxed{{{said}}}.", gold, {}).correct
    assert is_equivalent(gold, gold)


@pytest.mark.parametrize(("gold", "said"), DIFFERENT)
def test_different(gold: str, said: str) -> None:
    score = Physics()(said, gold, {})
    assert not score.correct
    assert score.value == 0.0


def test_several_physics_answers_go_by_box_and_all_must_hold() -> None:
    info = {"final_answers": ["3 m", r"\omega^2"]}
    assert Physics()(r"\boxed{3\,\mathrm{m}} and \boxed{\omega\omega}", "", info).correct
    half = Physics()(r"\boxed{3\,\mathrm{m}} and \boxed{\omega}", "", info)
    assert (half.correct, half.value, half.terms) == (False, 0.0, {"share": 0.5})
    assert Physics()(r"\boxed{3 m}", "", info).reason == "malformed_answer"
    assert Physics()(r"\boxed{3 m, \omega\omega}", "", info).correct
    assert not Physics()(r"\boxed{\omega\omega, 3 m}", "", info).correct
    assert Physics()("(a) 3 m\n(b) $\\omega^2$", "", info).correct
    assert Physics()("We add.\n(a) 3 m\n(b) $\\omega^2$", "", info).correct
    assert not Physics()("(a) 3 m\n(b) $\\omega^3$", "", info).correct
    assert Physics()("The answers are 3 m and 5 s.", "", {"final_answers": ["3 m", "5 s"]}).correct
    assert not Physics()("The answers are 3 m and 6 s.", "", {"final_answers": ["3 m", "5 s"]}).correct


def test_where_the_answer_stands() -> None:
    assert find_answer("<think>\\boxed{1}</think>thus \\boxed{2}").text == "2"  # type: ignore[union-attr]
    assert find_answer("<think>\\boxed{1}") is None
    assert find_answer("<answer> 7 </answer>").text == "7"  # type: ignore[union-attr]
    assert find_answer("Reason.\n**Final answer:** 12 m/s.\n").text == "12 m/s"  # type: ignore[union-attr]
    assert find_answer("The answer is $x=3.5$ m.").text == "$x=3.5$ m"  # type: ignore[union-attr]
    assert boxed(r"\boxed{\frac{1}{2}} then \boxed{\{1,2\}}") == r"\{1,2\}"
    assert find_answer(r"\boxed{\frac{1}{2}") is None


MATH = [
    ("18", "18", True),
    ("18", "$18.00", True),
    ("1,234", "The answer is 1234 apples.", True),
    ("18", "<think>19</think>#### 18", True),
    ("18", "She has 3 bags of 6.\nSo 3*6 = 18", True),
    ("18", "It is 18 or 19", False),
    ("18", "It is either 17 or 18", False),
    ("18", "The answer is perhaps 18", False),
    ("18", "17", False),
    (r"\frac{1}{2}", r"\boxed{0.5}", True),
    (r"2\sqrt{3}", r"\boxed{\sqrt{12}}", True),
    (r"(1,2)", r"\boxed{(2,1)}", False),
    ("7", r"\boxed{8=7}", False),
    ("7", "", False),
    ("-3", "−3", True),
]


@pytest.mark.parametrize(("gold", "said", "right"), MATH)
def test_mathematics(gold: str, said: str, right: bool) -> None:
    assert Mathematics()(said, gold).correct is right


def choice(response: str, answer: str, prompt: str = "") -> Score:
    return Choice()(response, answer, prompt)


def test_choice() -> None:
    listed = "Which gas?\nA. oxygen\nB. argon\nC. helium"
    for said in (
        "B",
        "(B)",
        "b",
        "B.",
        "The answer is B.",
        r"\boxed{\text{B}}",
        "Option B",
        "B. argon",
        "<think>A</think>B",
    ):
        assert choice(said, "B", listed).correct, said
    assert choice("argon", "B", listed).correct
    assert choice("The correct option is (B) because A is wrong.", "B", listed).correct
    for said in ("A or B", "A and B", "B, C", "A/B"):
        assert choice(said, "B", listed).reason == "ambiguous_answer", said
    assert choice("C", "B").reason == "wrong"
    assert choice("", "B").reason == "no_answer"
    assert choice("Yes", "True").correct
    assert choice("not true", "False").correct
    assert choice("12.5", "12.5 m").correct
    assert not choice("12 or 13", "12").correct


def test_property() -> None:
    reward = PropertyChoice()
    for said in (
        "True",
        "true.",
        "**True**",
        "The answer is True",
        "<think>False?</think>True",
        r"\boxed{\text{True}}",
    ):
        assert reward(said, "True").correct, said
        assert reward(said, "1").correct
        assert not reward(said, "False").correct
    assert reward("True or False", "True").reason == "ambiguous_answer"
    assert reward("Perhaps", "True").reason == "ambiguous_answer"
    assert reward("True", "maybe").reason == "bad_reference"
