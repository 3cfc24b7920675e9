"""Blocks in any order come out in reading order, whole, and with every field kept."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import real

from innovator_rl.data.documents.reading_order import (
    continues,
    is_furniture,
    neighbor_share,
    order_document,
)
from innovator_rl.errors import UserError

Block = dict[str, Any]
PAGES = {"1": {"width": 600.0, "height": 800.0}, "2": {"width": 600.0, "height": 800.0}}


def block(page: int, box: tuple[float, float, float, float], text: str, kind: str = "text") -> Block:
    return {"page": page, "bbox": list(box), "type": kind, "text": text, "extra": {"kept": text}}


def two_columns() -> list[Block]:
    """A page with a title over two columns, a figure inside a paragraph, and a second page that goes on."""
    return [
        block(1, (250, 20, 350, 32), "Journal of Tests", "page_header"),
        block(1, (60, 60, 540, 90), "A title over both columns", "section_header"),
        block(1, (60, 110, 290, 200), "The first paragraph is complete."),
        block(1, (60, 210, 290, 400), "The second paragraph is cut by a figure, which is why its sentence"),
        block(1, (310, 280, 540, 420), "continues behind the figure. It ends here."),
        block(1, (310, 110, 540, 250), "", "picture"),
        block(1, (310, 255, 540, 272), "Figure 1: a figure.", "caption"),
        block(1, (310, 430, 540, 700), "The last paragraph of the page is hyphen-"),
        block(2, (60, 60, 290, 200), "ated over the page end."),
        block(1, (290, 760, 310, 772), "1", "page_footer"),
        block(2, (60, 210, 290, 300), "The end."),
    ]


def test_columns_floats_and_pages() -> None:
    gold = two_columns()
    for seed in range(20):
        blocks = copy.deepcopy(gold)
        random.Random(seed).shuffle(blocks)
        found = order_document({"name": "x", "pages": PAGES, "blocks": blocks})["blocks"]
        assert [b["text"] for b in found if not is_furniture(b)] == [b["text"] for b in gold if not is_furniture(b)]
        assert found[0]["text"] == "Journal of Tests"


def test_repeated_filler_text_is_not_a_cut_paragraph() -> None:
    filler = "Lorem ipsum is written here at a length that is beyond sixty characters."
    blocks = [
        block(1, (60, 60 + 50 * i, 540, 100 + 50 * i), filler if i % 2 == 0 else f"Paragraph {i}.") for i in range(6)
    ]
    found = order_document({"pages": PAGES, "blocks": blocks[::-1]})["blocks"]
    assert [b["bbox"][1] for b in found] == [b["bbox"][1] for b in blocks]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2]),
            st.integers(0, 500),
            st.integers(0, 700),
            st.integers(0, 100),
            st.integers(0, 100),
            st.sampled_from(["text", "picture", "caption", "table", "page_footer", "formula", "nobody knows", None]),
            st.text(max_size=20),
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_the_result_is_a_permutation_that_ignores_the_order_of_the_input(
    rows: list[Any], shuffle: random.Random
) -> None:
    blocks = [
        {"page": page, "bbox": [x, y, x + w, y + h], "type": kind, "text": text, "id": i}
        for i, (page, x, y, w, h, kind, text) in enumerate(rows)
    ]
    mixed = list(blocks)
    shuffle.shuffle(mixed)
    one, two = (order_document({"pages": PAGES, "blocks": found})["blocks"] for found in (blocks, mixed))
    key = [(b["page"], b["bbox"], b["type"], b["text"]) for b in one]
    assert key == [(b["page"], b["bbox"], b["type"], b["text"]) for b in two]
    assert sorted(b["id"] for b in one) == list(range(len(blocks)))


def test_every_field_is_kept_and_the_input_is_not_changed() -> None:
    document = {"name": "x", "pages": PAGES, "blocks": two_columns()[::-1], "license": "CC0"}
    before = copy.deepcopy(document)
    found = order_document(document)
    assert document == before
    assert {**found, "blocks": None} == {**before, "blocks": None}
    text = json.dumps
    assert sorted(map(text, found["blocks"])) == sorted(map(text, before["blocks"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pages": None}, "must be an object with `pages`"),
        ({"blocks": "none"}, "`blocks` must be a list"),
        ({"blocks": [3]}, r"blocks\[0\] must be an object"),
        ({"blocks": [{"page": 9, "bbox": [0, 0, 1, 1]}]}, r"blocks\[0\].page is 9, expected one of 1, 2"),
        ({"blocks": [{"page": 1, "bbox": [0, 0, 1]}]}, r"blocks\[0\].bbox must be four numbers"),
        ({"blocks": [{"page": 1, "bbox": [0, 0, 1, float("nan")]}]}, r"blocks\[0\].bbox must be four numbers"),
        ({"blocks": [{"page": 1}]}, r"blocks\[0\].bbox must be four numbers"),
        ({"pages": {"1": {"width": 0, "height": 5}}}, "positive width and height"),
    ],
)
def test_a_malformed_document_is_a_mistake_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        order_document({"pages": PAGES, "blocks": [], **change})


def test_equal_blocks_without_height_are_not_lost() -> None:
    blocks = [
        {"id": place, "page": page, "bbox": [0, top, 1, top], "type": "text", "text": ""}
        for place, (page, top) in enumerate([("1", 0), ("2", 0), ("2", 0), ("2", 5)])
    ]
    found = order_document({"pages": PAGES, "blocks": blocks})["blocks"]
    assert [block["id"] for block in found] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("the sentence is", "open and goes on", True),
        ("the sentence ends.", "and this does not belong", False),
        ("he said “it ends.”", "and went", False),
        ("a hyphen-", "ated word", True),
        ("a line end of PDFium\ufffe", "mod", True),
        ("the sentence is", "A new one starts", False),
        ("", "text", False),
        ("x" * 60, "x" * 60, True),
        ("Repeat", "Repeat", False),
    ],
)
def test_open_sentences_continue(first: str, second: str, expected: bool) -> None:
    assert continues(first, second) is expected


@pytest.mark.parametrize(
    "name", ["2203.01017v2", "2305.03393v1", "amt_handbook_sample", "code_and_formula", "multi_page", "normal_4pages"]
)
def test_pages_of_real_papers(name: str) -> None:
    document = json.loads(Path(real(f"layout/{name}.json")).read_text())
    gold = sorted(document["blocks"], key=lambda b: b["order"])
    blocks = list(document["blocks"])
    random.Random(0).shuffle(blocks)
    found = order_document({**document, "blocks": blocks})["blocks"]
    body = [[b for b in part if not is_furniture(b)] for part in (found, gold)]
    assert neighbor_share(*body) >= 0.98
