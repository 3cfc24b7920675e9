"""Make one continuous text of pages: join what page ends, column ends and floats cut, and set page furniture apart.

    assembled = assemble_pages({"pages": {...}, "blocks": [...]})
    assembled.text, assembled.changes

Blocks are put in reading order first. Then halves of a paragraph, of a table and of a displayed formula are joined, a caption
goes to its table or picture, footnotes go to the end, and running heads, page numbers and tables of contents are left out and
counted. References are list items and stay. `repair_page_breaks` does the same for plain text with form feeds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from innovator_rl.data.documents.furniture import is_page_number, mark_furniture, normalized, repeated_lines
from innovator_rl.data.documents.reading_order import (
    FLOATS,
    HYPHENS,
    PARAGRAPHS,
    Block,
    continues,
    is_furniture,
    order_document,
)
from innovator_rl.data.documents.vocabulary import join_word

_CJK = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")
_LAST_WORD = re.compile(r"([^\W\d_]+)([-\u00ad\u2010\ufffe])\s*\Z")
_LOST_HYPHEN = re.compile(r"(?<![^\W\d_])([^\W\d_]+)\ufffe\s*([^\W\d_]+)")
_FIRST_WORD = re.compile(r"\s*([^\W\d_]+)")
_MARKER = re.compile(r"(?:[-•*▪◦–]|\(?\d{1,3}[.)]|\[\d{1,3}\]|\(?[a-z][.)])\s")
_OPEN_FORMULA = re.compile(r"(?:[=+\-−,<>(]|\\(?:times|cdot|leq|geq|approx|pm|left\(|\\))\s*\Z")
_RELATION = re.compile(r"\s*(?:[=+\-−<>)]|\\(?:times|cdot|leq|geq|approx|pm|right))")
_CONTINUED = re.compile(r"\((?:continued|cont\.?|cont['’]d|续表?)\)|^续表", re.I)
EDGE_LINES = 2
"""Lines at each end of a page of plain text among which heads and feet are looked for."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """The text of a document's pages, and how much of each kind was joined, moved or left out."""

    text: str
    changes: dict[str, int] = field(default_factory=dict)


def join_halves(first: str, second: str) -> str:
    """Return two parts of a sentence as one, without a hyphen or a space that the cut put there."""
    first, second = first.rstrip(), second.lstrip()
    cut, word = _LAST_WORD.search(first), _FIRST_WORD.match(second)
    if cut and word and (cut[2] != "-" or word[1][0].islower()):
        return first[: cut.start()] + join_word(cut[1], cut[2], word[1]) + second[word.end() :]
    if first[-1:] in HYPHENS and first[-1:] != "-":
        return first[:-1] + second
    gap = "" if first.endswith("-") or (_CJK.match(first[-1:]) and _CJK.match(second[:1])) else " "
    return first + gap + second


def join_lines(lines: Sequence[str]) -> str:
    """Return the lines of one paragraph as one."""
    text = ""
    for line in lines:
        text = join_halves(text, line) if text else line.strip()
    return _LOST_HYPHEN.sub(lambda m: join_word(m[1], "\ufffe", m[2]), text)


def assemble_pages(document: Mapping[str, Any], *, ordered: bool = False) -> Assembled:
    """Return the text of a document of blocks with boxes, as Markdown.

    Args:
        document: `{pages, blocks}` as `reading_order.order_document` takes it.
        ordered: The blocks are in reading order already.

    Raises:
        UserError: for a malformed document.
    """
    changes: Counter[str] = Counter()
    blocks = list(document["blocks"]) if ordered else order_document(_with_furniture(document))["blocks"]
    body, notes = [], []
    for block in blocks:
        if is_furniture(block) or block.get("type") == "document_index":
            changes["tables of contents removed" if not is_furniture(block) else "page heads and numbers removed"] += 1
        elif block.get("type") == "footnote":
            notes.append(block)
        else:
            body.append(block)
    body = _captions_to_floats(_joined(body, changes), changes)
    parts = [_markdown(block) for block in body]
    if notes:
        changes["footnotes set apart"] += len(notes)
        parts.append("\n\n".join(_markdown({**note, "type": "text"}) for note in notes))
    return Assembled("\n\n".join(part for part in parts if part.strip()) + "\n", dict(changes))


def _with_furniture(document: Mapping[str, Any]) -> Mapping[str, Any]:
    pages = document.get("pages")
    blocks = document.get("blocks")
    if not isinstance(pages, Mapping) or not isinstance(blocks, list):
        return document  # the check of the order names what is wrong
    pages = {str(number): size for number, size in pages.items()}
    try:
        return {**document, "pages": pages, "blocks": mark_furniture(blocks, pages)}
    except (KeyError, TypeError, ValueError):
        return document


def _joined(blocks: Sequence[Block], changes: Counter[str]) -> list[Block]:
    """Join halves that stand next to each other, or with floats between them."""
    result: list[Block] = []
    last: dict[str, Block] = {}  # by kind: the block that may go on
    for block in blocks:
        kind, text = _kind(block), str(block.get("text") or "")
        before = last.get(kind)
        if before is not None and kind != "other" and (whole := _whole(kind, before, block)) is not None:
            before["text"] = whole
            before["page"] = block["page"]
            changes[f"{kind}s joined"] += 1
            continue
        block = {**block, "text": text}
        result.append(block)
        # A float does not end the paragraph that it interrupts; everything else does.
        if kind in ("other", "paragraph", "formula"):
            last = {key: value for key, value in last.items() if key == "table" and kind != "other"}
        last[kind] = block
    return result


def _kind(block: Block) -> str:
    kind = block.get("type") or "text"
    if kind in PARAGRAPHS:
        return "paragraph"
    if kind in ("table", "formula"):
        return str(kind)
    return "float" if kind in FLOATS else "other"


def _whole(kind: str, first: Block, second: Block) -> str | None:
    """Return the text of two halves, or None when they are not halves of one thing."""
    one, other = str(first["text"]), str(second.get("text") or "")
    if kind == "paragraph":
        if not continues(one, other) or _MARKER.match(other):
            return None
        return one if one.strip() == other.strip() else join_halves(one, other)
    if kind == "table" and str(first["page"]) != str(second["page"]):
        return join_tables(one, other)
    if kind == "formula" and (_OPEN_FORMULA.search(one) or _RELATION.match(other)):
        return f"{one.rstrip()} {other.lstrip()}" if str(first["page"]) != str(second["page"]) else None
    return None


def join_tables(first: str, second: str) -> str | None:
    """Return two parts of a pipe table as one, its header once; None when they are different tables."""
    one, other = (
        [line.strip() for line in text.strip().split("\n") if line.strip().startswith("|")] for text in (first, second)
    )
    if not one or not other or len({_columns(line) for line in (*one, *other)}) != 1:
        return None
    if len(one) > 1 and other[:2] == one[:2]:
        return "\n".join([*one, *other[2:]])
    # Without its header repeated, the second part has no row of dashes, or it is another table.
    return None if any(_is_dashes(line) for line in other) else "\n".join([*one, *other])


def _columns(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line))


def _is_dashes(line: str) -> bool:
    return bool(re.fullmatch(r"[|:\s-]+", line)) and "-" in line


def _captions_to_floats(blocks: Sequence[Block], changes: Counter[str]) -> list[Block]:
    """Put each caption before the table or behind the picture that is nearest on its page."""
    floats = [block for block in blocks if block.get("type") in ("table", "picture", "chart")]
    owned: dict[int, list[Block]] = {}
    moved: set[int] = set()
    for caption in (block for block in blocks if block.get("type") == "caption"):
        if _CONTINUED.search(caption["text"]) and len(caption["text"]) < 80:
            moved.add(id(caption))  # its table was joined with the first part
            changes["captions of continued tables removed"] += 1
            continue
        near = [block for block in floats if str(block["page"]) == str(caption["page"])]
        if near:
            owner = min(near, key=lambda block: _distance(block["bbox"], caption["bbox"]))
            owned.setdefault(id(owner), []).append(caption)
            moved.add(id(caption))
    result: list[Block] = []
    for block in blocks:
        if id(block) in moved:
            continue
        captions = owned.get(id(block), [])
        result += [*captions, block] if block.get("type") == "table" else [block, *captions]
    return result


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    across = max(0.0, one[0] - other[2], other[0] - one[2])
    down = max(0.0, one[1] - other[3], other[1] - one[3])
    return across + down


def _markdown(block: Block) -> str:
    kind, text = block.get("type") or "text", str(block.get("text") or "").strip()
    if not text:
        return ""
    if kind == "title":
        return f"# {text}"
    if kind == "section_header":
        return f"## {text}"
    if kind == "list_item":
        return text if _MARKER.match(text) else f"- {text}"
    if kind == "formula":
        return text if "$" in text or "\\[" in text else f"$$\n{text}\n$$"
    if kind == "code":
        return text if text.startswith("```") else f"```\n{text}\n```"
    return text


def repair_page_breaks(text: str) -> Assembled:
    """Return plain text with its form feeds taken out: heads and numbers removed, cut sentences and tables joined."""
    if "\f" not in text:
        return Assembled(text)
    changes: Counter[str] = Counter()
    pages = [page.strip("\n").split("\n") for page in text.split("\f")]
    repeated = repeated_lines([[*page[:EDGE_LINES], *page[-EDGE_LINES:]] for page in pages])
    result = ""
    for page in pages:
        lines = _without_edges(page, repeated, changes)
        body = "\n".join(lines).strip("\n")
        if not body.strip():
            continue
        result = _page_joined(result, body, changes) if result else body
    changes["page breaks removed"] = len(pages) - 1
    return Assembled(result + "\n", dict(changes))


def _without_edges(lines: list[str], repeated: frozenset[str], changes: Counter[str]) -> list[str]:
    kept = list(lines)
    for end in (0, -1):
        for _ in range(EDGE_LINES + 1):
            if not kept:
                break
            line = kept[end]
            if line.strip() and normalized(line) not in repeated and not is_page_number(line):
                break
            changes["page heads and numbers removed"] += bool(line.strip())
            kept.pop(end)
    return kept


def _page_joined(before: str, after: str, changes: Counter[str]) -> str:
    first, _, rest = after.partition("\n\n")
    start = before.rfind("\n\n") + 2 if "\n\n" in before else 0
    table = join_tables(before[start:], first)
    if table is not None and before[start:].lstrip().startswith("|"):
        changes["tables joined"] += 1
        return before[:start] + table + (f"\n\n{rest}" if rest else "")
    line = after.split("\n", 1)[0]
    if continues(before[start:], line) and not _MARKER.match(line) and not line.startswith(("|", "#", "$$")):
        changes["paragraphs joined"] += 1
        return join_halves(before, after)
    return f"{before.rstrip()}\n\n{after.lstrip(chr(10))}"
