"""What the ends of pages and columns cut is joined, and page furniture, footnotes and captions find their places."""

import pytest

from innovator_rl.data.documents.furniture import is_page_number, repeated_lines
from innovator_rl.data.documents.pages import assemble_pages, join_halves, join_lines, join_tables, repair_page_breaks

pytest.importorskip("wordfreq")
PAGES = {str(n): {"width": 600, "height": 800} for n in (1, 2, 3)}


def block(
    page: int, top: float, text: str, kind: str = "text", left: float = 60, height: float = 20
) -> dict[str, object]:
    return {"page": page, "bbox": [left, top, left + 200, top + height], "type": kind, "text": text}


def assemble(*blocks: dict[str, object]) -> tuple[str, dict[str, int]]:
    pytest.importorskip("docling")
    done = assemble_pages({"pages": PAGES, "blocks": list(reversed(blocks))})
    return done.text, done.changes


def test_a_sentence_is_joined_over_columns_pages_and_floats_and_heads_go() -> None:
    text, changes = assemble(
        block(1, 20, "A Journal 1"), block(1, 100, "On springs", "section_header"),
        block(1, 140, "The period of the oscil-"),
        block(1, 140, "lation is long and does not depend on the", left=320),
        block(1, 300, "", "picture", left=320, height=100), block(1, 410, "Figure 1: A spring.", "caption", left=320),
        block(1, 700, "1 At rest.", "footnote"), block(1, 780, "17"),
        block(2, 20, "A Journal 2"), block(2, 100, "amplitude. It is constant."), block(2, 140, "A new paragraph."), block(2, 780, "18"),
    )  # fmt: skip
    assert text == (
        "## On springs\n\nThe period of the oscillation is long and does not depend on the amplitude. It is constant.\n\n"
        "Figure 1: A spring.\n\nA new paragraph.\n\n1 At rest.\n"
    )
    assert changes == {"page heads and numbers removed": 4, "paragraphs joined": 2, "footnotes set apart": 1}


def test_a_table_and_a_formula_go_on_over_a_page_end() -> None:
    text, changes = assemble(
        block(1, 500, "Table 1: Springs.", "caption"),
        block(1, 600, "| A | B |\n|---|---|\n| 1 | 2 |", "table", height=100),
        block(2, 80, "Table 1 (continued)", "caption"),
        block(2, 110, "| A | B |\n|---|---|\n| 3 | 4 |", "table", height=100),
        block(2, 300, "The force is"),
        block(2, 700, "F = ma +", "formula"),
        block(3, 100, "kx", "formula"),
        block(3, 200, "References", "section_header"),
        block(3, 240, "[1] R. Hooke, 1678.", "list_item"),
        block(3, 270, "and then", "list_item"),
    )
    assert text == (
        "Table 1: Springs.\n\n| A | B |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nThe force is\n\n$$\nF = ma + kx\n$$\n\n"
        "## References\n\n[1] R. Hooke, 1678.\n\n- and then\n"
    )
    assert (changes["tables joined"], changes["formulas joined"]) == (1, 1)


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        ("the oscil-", "lation", "the oscillation"),
        ("the oscil\ufffe", "lation is", "the oscillation is"),
        ("a well-", "known fact", "a well-known fact"),
        ("the X-", "Ray", "the X-Ray"),
        ("弹簧的", "质量", "弹簧的质量"),
        ("and the", "mass", "and the mass"),
    ],
)
def test_halves_are_joined_without_what_the_cut_put_there(first: str, second: str, whole: str) -> None:
    assert join_halves(first, second) == whole
    assert join_lines([first, second]) == whole


@pytest.mark.parametrize(
    ("first", "second"),
    [("| a | b |\n|---|---|", "| c | d | e |"), ("| a |\n|---|\n| 1 |", "| b |\n|---|\n| 2 |"), ("text", "| a |")],
)
def test_different_tables_stay_apart(first: str, second: str) -> None:
    assert join_tables(first, second) is None


TEXT = (
    "On Springs                 page 1\n\nThe period of the oscil-\f"
    "On Springs                 page 2\n\nlation is long.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- 2 -\f"
    "On Springs                 page 3\n\n| a | b |\n|---|---|\n| 3 | 4 |\n\nThe end of this\n\n3\f\f"
    "On Springs                 page 4\n\nNew York is a city.\n"
)


def test_plain_text_loses_its_form_feeds_and_heads_and_nothing_else() -> None:
    done = repair_page_breaks(TEXT)
    assert done.text == (
        "The period of the oscillation is long.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nThe end of this\n\n"
        "New York is a city.\n"
    )
    assert done.changes == {
        "page heads and numbers removed": 6, "paragraphs joined": 1, "tables joined": 1, "page breaks removed": 4,
    }  # fmt: skip
    assert repair_page_breaks(done.text) == type(done)(done.text)


def test_what_repeats_is_furniture_and_what_does_not_is_text() -> None:
    assert repeated_lines([["Head 1", "a"], ["Head 2", "b"], ["Head 3", "c"]]) == {"head #"}
    assert repeated_lines([["Head 1"], ["Other"]]) == frozenset()
    assert all(map(is_page_number, ["12", "- 3 -", "xiv", "Page 4 of 9", "第 3 页"]))
    assert not any(map(is_page_number, ["12 apples", "x = 4", "", "1990s"]))
