"""Damage lowers the score in the dimension that it damages, in English and in Chinese."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.data.quality.rubric import score_text

pytest.importorskip("wordfreq")
ENGLISH = """A mass on a spring moves back and forth because the spring pulls it towards its position of rest. The force grows
with the distance from that position, and its direction is always opposite to the displacement. If the mass is released at
rest, it gains speed until it passes the middle, and then it slows down again.

The energy of the system is the sum of two parts, $E = \\frac{1}{2} m v^2 + \\frac{1}{2} k x^2$. When the spring is at
its longest, all of the energy is stored in the spring, and when the mass passes the middle, all of it is kinetic. Without
friction the sum does not change, so that the motion would go on forever. In a real laboratory a small part of the energy is
lost as heat in every period, and the amplitude becomes smaller with time.

The period of this motion depends on the mass and on the stiffness of the spring, but it does not depend on the amplitude.
This property was used to build accurate clocks long before electronic oscillators were available to engineers.
"""
CHINESE = """弹簧上的物体来回运动，因为弹簧总是把它拉向静止的位置。力的大小与物体到这个位置的距离成正比，而方向总是与位移相反。
如果物体从静止开始运动，它的速度会逐渐增加，直到经过中间的位置，然后又慢慢减小。

系统的能量是两部分的和，$E = \\frac{1}{2} m v^2 + \\frac{1}{2} k x^2$。当弹簧最长的时候，全部的能量都储存在弹簧之中；
当物体经过中间的位置时，全部的能量都是动能。没有摩擦的时候，总能量不会改变，所以运动可以一直进行下去。

这种运动的周期由物体的质量和弹簧的劲度系数决定，但是与振幅的大小没有关系。人们利用这个性质制造了精确的时钟。
"""


def noisy(text: str) -> str:
    source = random.Random(0)
    return "".join("qzx1|"[source.randrange(5)] if c.isalpha() and source.random() < 0.06 else c for c in text)


def shuffled(text: str) -> str:
    parts = text.split() if " the " in text else list(text)
    random.Random(0).shuffle(parts)
    return " ".join(parts) if " the " in text else "".join(parts)


def undecoded(text: str) -> str:
    return text.replace("spring", "sprïng’s").encode().decode("latin-1")


BOILERPLATE = (
    "We use cookies on this site.\n\nSign in\n\n© 2024 A Publisher. All rights reserved.\n\n"
    "https://example.org/a\n\nNext article\n"
)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_good_prose_scores_high(text: str) -> None:
    score = score_text(text)
    assert score.language == ("zh" if text is CHINESE else "en")
    assert score.total > 8
    assert min(score.cleanliness, score.coherence, score.content) > 6


@pytest.mark.parametrize(
    ("damage", "dimension", "text"),
    [
        (noisy, "cleanliness", ENGLISH),
        (undecoded, "cleanliness", ENGLISH),
        (undecoded, "cleanliness", CHINESE),
        (lambda text: text.replace("\\frac{1}{2} m", "\\frac{1{2} m"), "cleanliness", ENGLISH),
        (lambda text: text + BOILERPLATE * 3, "cleanliness", CHINESE),
        (lambda text: (text[:70] + "\n") * 12, "cleanliness", ENGLISH),
        (shuffled, "coherence", ENGLISH),
        (shuffled, "coherence", CHINESE),
        (lambda text: text.replace(" is ", " is\n\n").replace(". ", " "), "coherence", ENGLISH),
        (lambda text: text[:60], "content", ENGLISH),
        (lambda text: text[:20], "content", CHINESE),
        (lambda text: "the energy is the energy of the energy and " * 40, "content", ENGLISH),
    ],
)
def test_damage_costs_points_in_its_dimension(damage: Callable[[str], str], dimension: str, text: str) -> None:
    before, after = score_text(text), score_text(damage(text))
    assert getattr(after, dimension) < getattr(before, dimension) - 0.8
    assert after.total < before.total


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300) | st.just(BOILERPLATE))
def test_every_text_has_a_score_between_0_and_10(text: str) -> None:
    score = score_text(text)
    assert score == score_text(text)
    assert all(0 <= value <= 10 for value in (score.total, score.cleanliness, score.coherence, score.content))
    assert not text.strip() or all(value >= 0 for value in score.signals.values())


def test_nothing_and_boilerplate_score_low() -> None:
    assert score_text(" \n").total == 0
    assert score_text(BOILERPLATE).total < 4
