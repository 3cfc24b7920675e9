"""Tell running heads, page numbers and stamps from the body: they repeat at the same edge of many pages.

Used on blocks with boxes (`mark_furniture`) and on plain text whose pages a form feed ends (`pages.repair_page_breaks`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

EDGE = 0.15
"""Share of the page's height in which heads and feet stand."""

SHARE = 0.4
"""Share of the pages on which a line must repeat, three pages at least; two where a document has two or three."""

_NUMBER = re.compile(r"\d+|\b[ivxlcdm]{1,7}\b")
PAGE_NUMBER = re.compile(
    r"\W*(?:(?:page|p\.|seite|第)\s*)?(?:\d{1,4}|[ivxlc]{1,6})(?:\s*(?:页|/|of|von|\|)\s*\d{0,4})?\W*", re.I
)


def is_page_number(text: str) -> bool:
    """Return whether a line is a page number and nothing else."""
    return not text.lstrip().startswith("|") and bool(PAGE_NUMBER.fullmatch(text.strip()))


def normalized(text: str) -> str:
    """Return a line with its numbers taken out, so that heads of different pages are equal."""
    return " ".join(_NUMBER.sub("#", text.lower()).split())


def repeated_lines(pages: Sequence[Sequence[str]]) -> frozenset[str]:
    """Return the normalized lines that stand on so many pages that they belong to none.

    Args:
        pages: The lines at the edges of each page.
    """
    counts = Counter(line for lines in pages for line in {normalized(text) for text in lines})
    least = max(2 if len(pages) < 4 else 3, SHARE * len(pages))
    return frozenset(line for line, count in counts.items() if count >= least and len(line) < 200 and line.strip("# "))


def mark_furniture(blocks: Sequence[dict[str, Any]], pages: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks, those at a page's edge that repeat or are page numbers as `page_header` or `page_footer`."""
    edges = [_edge(block, pages) for block in blocks]
    by_page: dict[str, list[str]] = {str(number): [] for number in pages}
    for block, edge in zip(blocks, edges, strict=True):
        if edge:
            by_page[str(block["page"])].append(str(block.get("text") or ""))
    repeated = repeated_lines(list(by_page.values()))
    result = []
    for block, edge in zip(blocks, edges, strict=True):
        text = str(block.get("text") or "")
        if edge and (normalized(text) in repeated or is_page_number(text)):
            block = {**block, "type": edge}
        result.append(block)
    return result


def _edge(block: Mapping[str, Any], pages: Mapping[str, Any]) -> str:
    """Return `page_header` or `page_footer` for a text block at an edge, else nothing."""
    if block.get("type") in ("picture", "table", "formula", "code"):
        return ""
    height = pages[str(block["page"])]["height"]
    _, top, _, bottom = block["bbox"]
    if bottom <= EDGE * height:
        return "page_header"
    return "page_footer" if top >= (1 - EDGE) * height else ""
