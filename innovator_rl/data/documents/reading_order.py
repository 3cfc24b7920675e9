"""Put the blocks of a document's pages in reading order.

    innovator data layout FILE.json --out OUT.json

A document is `{name, pages, blocks: [{page, bbox, type, text, ...}]}` with boxes as (left, top, right, bottom) in points from the
top left corner. The geometry is docling's rule-based predictor, which needs neither torch nor weights: columns, captions,
footnotes, and running heads and page numbers apart from the body. It places a float (a picture, table, caption or footnote)
where it stands on the page, also in the middle of a paragraph. `rejoin_paragraphs` moves the second half of such a
paragraph next to its first half, because a reader and a language model need the sentence whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from innovator_rl.errors import UserError

Block = dict[str, Any]

FURNITURE = frozenset({"page_header", "page_footer"})
FLOATS = frozenset({"picture", "table", "caption", "footnote", "chart"})
PARAGRAPHS = frozenset({"text", "paragraph", "list_item"})
SENTENCE_ENDS = ".!?:;。！？：；"
CLOSERS = "\"'”’)]}»"
HYPHENS = "-\u00ad\u2010\ufffe"
"""Hyphens at a line end; PDFium writes U+FFFE for one."""

REPEATED_CHARS = 60
"""Two blocks with the same text of at least this length are one paragraph cut by a float: some layout files store the whole
paragraph in both halves. Shorter text repeats honestly."""

REACH = 14
"""Blocks between the halves of a paragraph, at most."""


def order_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with its blocks in reading order.

    Args:
        document: `pages` maps page numbers to `{width, height}` in points; every block has `page` and `bbox`. The order of the
            blocks does not influence the result, except between blocks with equal boxes.

    Returns:
        A copy whose `blocks` are reordered; every field of the document and of each block is kept as it is.

    Raises:
        UserError: for a document without pages or blocks, and for a block with an unknown page or a malformed box.
    """
    blocks = checked_blocks(document)
    ordered = [blocks[i] for i in predict_order(blocks, document["pages"])]
    return {**document, "blocks": rejoin_paragraphs(ordered)}


def checked_blocks(document: Mapping[str, Any]) -> list[Block]:
    """Return the blocks of a document after a check of what ordering needs.

    Raises:
        UserError: with the index of the first malformed block.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("pages"), Mapping):
        raise UserError("the document must be an object with `pages` and `blocks`")
    blocks, pages = document.get("blocks"), document["pages"]
    if not isinstance(blocks, list):
        raise UserError(f"`blocks` must be a list, found {type(blocks).__name__}")
    for number, size in pages.items():
        if not isinstance(size, Mapping) or not all(
            _is_number(size.get(key)) and size[key] > 0 for key in ("width", "height")
        ):
            raise UserError(f"pages[{number!r}] must have a positive width and height, found {size!r}")
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise UserError(f"blocks[{index}] must be an object, found {type(block).__name__}")
        if str(block.get("page")) not in map(str, pages):
            raise UserError(
                f"blocks[{index}].page is {block.get('page')!r}, expected one of {', '.join(map(str, pages))}"
            )
        box = block.get("bbox")
        if not isinstance(box, Sequence) or isinstance(box, str) or len(box) != 4 or not all(map(_is_number, box)):
            raise UserError(f"blocks[{index}].bbox must be four numbers (left, top, right, bottom), found {box!r}")
    return list(blocks)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_furniture(block: Mapping[str, Any]) -> bool:
    """Return whether a block is a running head, a page number or the like."""
    return block.get("layer") == "furniture" or block.get("type") in FURNITURE


def predict_order(blocks: Sequence[Block], pages: Mapping[str, Any]) -> list[int]:
    """Return the indices of the blocks in the order that the page geometry gives.

    Furniture comes first on its page when it lies above the middle or at the side of the text, and last when it lies below.
    """
    from docling.models.postprocessing.reading_order_rb import PageElement, ReadingOrderPredictor
    from docling_core.types.doc.base import CoordOrigin, Size
    from docling_core.types.doc.labels import DocItemLabel

    sizes = {str(number): size for number, size in pages.items()}
    numbers = {number: place for place, number in enumerate(sorted(sizes, key=_page_key), start=1)}
    known = {label.value for label in DocItemLabel}
    # Equal input in any order must give equal output, so elements enter sorted by place.
    order = sorted(range(len(blocks)), key=lambda i: _place(blocks[i], numbers))
    elements = []
    for rank, index in enumerate(order):
        block = blocks[index]
        size = sizes[str(block["page"])]
        left, top, right, bottom = block["bbox"]
        kind = str(block.get("type") or "text")
        if is_furniture(block):
            kind = "page_footer" if top > size["height"] / 2 and kind != "page_header" else "page_header"
        elements.append(
            PageElement(
                cid=2
                * rank,  # the predictor takes neighboring numbers as a hint to the order, which input in any order must not give
                text=str(block.get("text") or ""),
                page_no=numbers[str(block["page"])],
                page_size=Size(width=size["width"], height=size["height"]),
                label=DocItemLabel(kind if kind in known else "text"),
                l=left,
                r=right,
                t=size["height"] - top,
                b=size["height"] - bottom,
                coord_origin=CoordOrigin.BOTTOMLEFT,
            )
        )
    predictor = ReadingOrderPredictor()  # type: ignore[no-untyped-call]
    found = [order[element.cid // 2] for element in predictor.predict_reading_order(page_elements=elements)]
    return _with_lost(found, order)


def _with_lost(found: Sequence[int], order: Sequence[int]) -> list[int]:
    """Return an order with the blocks that the predictor lost: those of no height in one place stand before each other."""
    complete, known = list(found), set(found)
    for rank, index in enumerate(order):
        if index not in known:
            complete.insert(complete.index(order[rank - 1]) + 1 if rank else 0, index)
            known.add(index)
    return complete


def _place(block: Block, numbers: Mapping[str, int]) -> tuple[Any, ...]:
    """Return a key under which equal blocks enter the predictor in one order."""
    return (numbers[str(block["page"])], *block["bbox"], str(block.get("text") or ""), str(block.get("type") or ""))


def _page_key(number: str) -> tuple[int, str]:
    return (int(number), "") if number.isdecimal() else (2**31, number)


def rejoin_paragraphs(blocks: Sequence[Block]) -> list[Block]:
    """Join the halves of a paragraph that a float or a page end cuts.

    Args:
        blocks: Blocks in the order of the page geometry.

    Returns:
        The same blocks. Only second halves move, each directly behind its first half.
    """
    left, done = list(blocks), []
    while left:
        block = left.pop(0)
        done.append(block)
        if block.get("type") in PARAGRAPHS and not is_furniture(block):
            second = _second_half(block, left)
            if second is not None:
                left.insert(0, left.pop(second))
    return done


def _second_half(first: Block, rest: Sequence[Block]) -> int | None:
    """Return where the rest of a cut paragraph stands in `rest`.

    None when the paragraph is whole or goes on at once.
    """
    crossed = False
    for place, block in enumerate(rest[:REACH]):
        if is_furniture(block) or block.get("type") in FLOATS:
            crossed = True
            continue
        if block.get("type") not in PARAGRAPHS:
            return None
        across = crossed or block["page"] != first["page"] or _in_another_column(first, block)
        if across and continues(str(first.get("text") or ""), str(block.get("text") or "")):
            return place
        # A caption may be labeled as text: look one paragraph further, but only behind a float.
        if not crossed:
            return None
    return None


def _in_another_column(first: Block, second: Block) -> bool:
    return bool(second["bbox"][0] >= first["bbox"][2] or second["bbox"][1] < first["bbox"][1])


def continues(first: str, second: str) -> bool:
    """Return whether `second` continues the sentence that `first` leaves open."""
    first, second = first.strip(), second.strip()
    if len(first) >= REPEATED_CHARS and first == second:
        return True
    if not first or not second:
        return False
    if first[-1] in HYPHENS:
        return second[0].islower()
    return first.rstrip(CLOSERS)[-1:] not in SENTENCE_ENDS and second[0].islower()


def neighbor_share(ordered: Sequence[Block], gold: Sequence[Block]) -> float:
    """Return the share of gold neighbor pairs that are neighbors in `ordered`.

    The pair must have the same order.

    Args:
        ordered: The blocks to measure, the same objects as in `gold`.
        gold: The blocks in checked reading order.
    """
    places = {id(block): place for place, block in enumerate(ordered)}
    pairs = list(pairwise(gold))
    right = sum(places[id(second)] == places[id(first)] + 1 for first, second in pairs)
    return right / len(pairs) if pairs else 1.0
