"""Prose is repaired where it is damaged for certain; formulas, code, names of substances and other languages stay."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.data.documents.irrelevant import remove_irrelevant
from innovator_rl.data.documents.ocr import misread, repair_text
from innovator_rl.data.documents.spans import protected_spans
from innovator_rl.data.documents.symbols import recover_symbols
from innovator_rl.data.documents.vocabulary import join_word

pytest.importorskip("wordfreq")
pytest.importorskip("ftfy")


@pytest.mark.parametrize(
    ("damaged", "right", "changes"),
    [
        (
            "The e\ufb03ciency of the rea-\nction is cornplete.",
            "The efficiency of the reaction is complete.",
            {"encoding": 1, "line-end hyphens": 1, "misread words": 1},
        ),
        ("SchrÃ¶dinger’s cafÃ©", "Schrödinger’s café", {"encoding": 1}),
        (
            "The grou\ufffeping and the state-of-the-\nart.",
            "The grouping and the state-of-the-art.",
            {"line-end hyphens": 2},
        ),
        (
            "The rnass of the systern is 1eft as it was.",
            "The mass of the system is left as it was.",
            {"misread words": 3},
        ),
        ("It is D\uf061 at 25 oC, 3 x 10^5 +/- 2, na¨ıve.", "It is Dα at 25 °C, 3 × 10^5 ± 2, naïve.", {"symbols": 5}),
    ],
)
def test_damage_is_repaired_and_counted(damaged: str, right: str, changes: dict[str, int]) -> None:
    done = repair_text(damaged)
    assert (done.text, done.changes) == (right, changes)
    assert repair_text(right).text == right


@pytest.mark.parametrize(
    "text",
    [
        "The `systern` and $systern$ of the\n\n```\nthe systern is\n```\n\n| systern | of the |\n|---|---|\n",
        "The rnethyl group of the 2,3-dirnethylbutane is in the C6H12O6.",  # a substance is not guessed
        "Die Masse der Teilchen wird hier gernessen und ist sehr klein.",
        "La rnasse de la particule est très petite dans ce cas.",
        "该系统的质量为 5 kg，rnass 不变。",
        "The work of Comer and of Bames is in the systern.py file of the example.com/rnass page.",
        "The blorn of the plant; the blorn is the part that the blorn has.",  # a term of this text
        "It was in the 1990s that the 5th of the 10min runs was with TiO2.",
    ],
)
def test_what_may_be_right_stays(text: str) -> None:
    assert repair_text(text).text == text


PIECES = [
    "The e\ufb03cient ",
    "rnass- \n",
    "cafÃ© ",
    "$cafÃ©_{rn}$",
    "`e\ufb03`",
    "25 oC ",
    "\n\n",
    "$$\nrnass-\nrn\n$$",
    "a\ufffeb ",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=15).map("".join))
def test_protected_parts_are_byte_equal_after_the_repair(text: str) -> None:
    done = repair_text(text)
    for span in protected_spans(text):
        assert text[span.start : span.end] in done.text


def test_a_rule_that_is_off_changes_nothing() -> None:
    text = "The e\ufb03ciency of the rea-\nction at 25 oC is cornplete."
    assert repair_text(text, encoding=False, hyphens=False, symbols=False, words=False).text == text
    assert "cornplete" in repair_text(text, words=False).text


def test_a_misread_word_has_exactly_one_common_reading() -> None:
    assert misread("cornplete") == "complete"
    assert misread("Systern") == "System"
    assert misread("carn") == ""  # earn or cam
    assert misread("xqzvt") == ""


@pytest.mark.parametrize(
    ("first", "hyphen", "second", "whole"),
    [
        ("reac", "-", "tion", "reaction"), ("wave", "-", "packet", "wave-packet"), ("non", "-", "linear", "nonlinear"),
        ("X", "-", "Ray", "X-Ray"), ("zir", "\ufffe", "qonium", "zirqonium"), ("fluo", "\u00ad", "rescent", "fluorescent"),
    ],
)  # fmt: skip
def test_a_word_goes_on_behind_a_hyphen(first: str, hyphen: str, second: str, whole: str) -> None:
    assert join_word(first, hyphen, second) == whole


def test_symbols_of_old_fonts_and_a_plain_x_are_told_apart() -> None:
    assert recover_symbols("\uf044E = \uf0b1\uf0e5 r´esum´e 20 º") == ("ΔE = ±∑ résumé 20 °", 6)
    assert recover_symbols("The value of x 10 times, f(x) = 2x, sp3 C and 3 x 100.")[1] == 0


RAW = """# Springs

Downloaded from https://example.org on 3 May 2020 by guest

The mass of a spring is small. Copyright law is not our topic, and the text of this paragraph goes on.

© 2020 A Publisher. All rights reserved.

1 Introduction ........................ 3
2 Methods ............................. 7

Figure 1: © of a mass. All rights reserved by $E = mc^2$.

We use cookies to improve this site.
弹簧的质量很小。
未经许可不得转载

## References

[1] R. Hooke, Lectures, 1678. https://example.org/hooke
"""


def test_irrelevant_lines_go_and_are_counted_by_reason() -> None:
    done = remove_irrelevant(RAW)
    assert done.text == (
        "# Springs\n\nThe mass of a spring is small. Copyright law is not our topic, and the text of this paragraph goes on.\n\n"
        "Figure 1: © of a mass. All rights reserved by $E = mc^2$.\n\n弹簧的质量很小。\n\n"
        "## References\n\n[1] R. Hooke, Lectures, 1678. https://example.org/hooke\n"
    )
    assert done.reasons == {"download stamps": 1, "copyright lines": 2, "tables of contents": 2, "page controls": 1}
    assert remove_irrelevant(done.text).text == done.text
