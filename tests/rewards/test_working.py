"""Short answers that show their working: the result counts, a wrong step and the question in other words do not."""

import pytest

from rewards.equivalence.compare import is_equivalent
from rewards.equivalence.working import product
from rewards.mathematics import Mathematics
from rewards.physics import Physics

PRODUCT = "What is 7 x 5? Answer with a number."
CURRENT = "What is 3 A + 4 A? Answer with a number."
TIME = "Convert 71 minutes to s. Answer with a number and its unit."
MASS = "How many mg are 28 g?"
POWER = "Convert 96 kW to W."
WORK = "A force of 6 N acts along 6 m. How much work is done, in J?"

NUMBERS = [
    (PRODUCT, "35", "7 x 5 = 35", True),
    (PRODUCT, "35", "7 x 5 is 35.", True),
    (PRODUCT, "35", "7x5=35", True),
    (PRODUCT, "35", "7 X 5 = 35.", True),
    (PRODUCT, "35", "7 times 5 is 35.", True),
    (PRODUCT, "35", "7 x 5 equals 35, which is the product of both.", True),
    (PRODUCT, "35", "The product of 7 x 5 is 35.", True),
    (PRODUCT, "35", "7 x 5", False),
    (PRODUCT, "35", "7 x 5 = 36", False),
    (PRODUCT, "35", "7 x 6 = 35", False),
    (PRODUCT, "35", "7 x 5 = 35 = 36", False),
    (PRODUCT, "35", "7 x 5 is not 35.", False),
    (PRODUCT, "35", "7 x 5 = 35 or 36", False),
    (PRODUCT, "36", "6 x 2 x 3 = 36", True),
    ("What is 12 + 9?", "21", "12 + 9 is 21.", True),
    ("What is 12 + 9?", "21", "12 + 9 is 22.", False),
    (CURRENT, "7", "3 A + 4 A is 7 A.", True),
    (CURRENT, "7", "3 A + 4 = 7 A", False),
    ("Expand", "2x", "x 2", True),
    ("Solve 2 x + 3 = 7 for x.", "2", "2 x + 3 = 7", False),
    ("Simplify.", "2x^3", "2x3", False),
    ("How many?", "300000000", "3 x 10^8", True),
    ("Which byte is it?", "0x10", "0x10", True),
]
QUANTITIES = [
    (TIME, "4260 s", "4260 seconds", True),
    (TIME, "4260 s", "71 minutes = 4260 s", True),
    (TIME, "4260 s", "4.26 ks", True),
    (TIME, "4260 s", "71 minutes in s.", False),
    (TIME, "4260 s", "71 minutes to s.", False),
    (TIME, "4260 s", "71 min", False),
    (TIME, "4260 s", "71 minutes is equal to 71 minutes.", False),
    (POWER, "96000 W", "96 kW = 96 * kW", False),
    (POWER, "96000 W", "96 kilowatts (kW) to W.", False),
    (POWER, "96000 W", "96 * 1000 = 96000 W", True),
    ("What is 0 °C in K?", "273.15 K", "0 °C", False),
    ("The beam is 2 m long. How long is it in cm?", "200 cm", "2 m", False),
    (MASS, "28000 mg", "28 g to mg is 28 * 1000 = 28000 mg.", True),
    (MASS, "28000 mg", "28 g = 28 * 1000 = 28000 mg", True),
    (MASS, "28000 mg", "28 * 100 = 28000 mg", False),
    (WORK, "36 J", "6 N * 6 m = 36 J", True),
    (WORK, "36 J", "6 N * 6 m", False),
    (WORK, "36 J", "6 N * 5 m = 36 J", False),
    (WORK, "36 J", "6 N * 6 m = 36 N * 6 m = 36 J", False),
    (WORK, "36 J", "6 N * 6 kg = 36 J", False),
    (WORK, "36 J", "6 N * 6 m = 36 W", False),
    ("", "60 N", "10 m/s^2 * 6 kg = 60 N", True),
    ("", "12 m", "4 m/s x 3 s = 12 m.", True),
    ("", "12 m", r"4 m/s \times 3 s = 12 m", True),
    ("", "12 m", "(4 m/s)(3 s) = 12 m", True),
    ("", "12 m", "4 m/s * 3 s = 12", True),
    ("", "12 m", "4 * 3 = 12 m", True),
    ("", "12 m", "4 m/s * 3 s = 13 m", False),
    ("", "4 m/s", "12 m / 3 s = 4 m/s", True),
    ("", "20 kg*m/s", "10 kg * 2 m/s = 20 kg*m/s", True),
    ("", "70 m", "10 m/s * 7 s = 70 m/s", False),
    ("A car drives 60 km in 1 hour. How fast is it, in m/s?", "16.67 m/s", "60 km/h", True),
]


@pytest.mark.parametrize(("prompt", "gold", "said", "right"), NUMBERS)
def test_numbers_with_their_working(prompt: str, gold: str, said: str, right: bool) -> None:
    assert Mathematics()(said, gold, prompt).correct == right


@pytest.mark.parametrize(("prompt", "gold", "said", "right"), QUANTITIES)
def test_quantities_with_their_working(prompt: str, gold: str, said: str, right: bool) -> None:
    assert Physics()(said, gold, {}, prompt).correct == right


def test_a_product_has_the_unit_of_its_factors() -> None:
    made = product("10 m/s^2 * 6 kg")
    assert made
    assert made.unit
    assert (made.value, made.unit.dimension) == (60.0, (1, 1, -2, 0, 0, 0, 0))
    for text in ("10 m/s^2", "10 * 6", "10 m / 0 s", "3 x + 2 m", "20 °C * 2 m", ""):
        assert product(text) is None


def test_a_number_in_words_that_breaks_off_is_no_error() -> None:
    assert not is_equivalent("2", "two and three and")
    assert Mathematics()("two and three and", "5").reason == "wrong"
