"""Read the text of a PDF as blocks with boxes, in a process of its own.

    document = read_layout(content, timeout=120)    # {"pages": {...}, "blocks": [...]} for `pages.assemble_pages`

PDFium gives characters with boxes and font sizes. Characters become lines, lines become blocks, and a block is a title, a
heading, a caption, a footnote, a list item or text by its size, its place and how it begins. PDFium is a C++ library that
reads hostile input: it runs in a child process (`python -m innovator_rl.data.documents.pdf`), so that a file that makes it
crash, hang or eat memory is an error of that file alone. Formulas come out as the characters of their fonts, not as LaTeX.
"""

from __future__ import annotations

import ctypes
import json
import re
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

MEMORY = 4 * 2**30
"""Bytes of address space of the child process, at most."""

_CAPTION = re.compile(r"(?:figure|fig\.?|table|tab\.?|scheme|chart|图|表)\s*\d", re.I)
_LIST = re.compile(r"(?:[•▪◦–*]|\(?\d{1,3}[.)]|\[\d{1,3}\])\s+\S")
_BOLD = re.compile(rb"bold|black|heavy|demi|cmbx", re.I)
_NOTE = re.compile(r"(?:\d{1,2}|[*†‡§¶])\s*\S")


class PdfError(Exception):
    """A PDF that cannot be read; `reason` is the category under which it is counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass
class Line:
    """One line of text on a page, box from the top left in points."""

    page: int
    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    upright: bool = True
    bold: bool = False


@dataclass
class Group:
    """Lines that belong together."""

    lines: list[Line] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Left edge in points."""
        return min(line.left for line in self.lines)

    @property
    def right(self) -> float:
        """Right edge in points."""
        return max(line.right for line in self.lines)


def read_layout(content: bytes, timeout: float) -> dict[str, Any]:
    """Return the pages and blocks of a PDF.

    Args:
        content: The file.
        timeout: Seconds after which reading ends.

    Raises:
        PdfError: when it is not a PDF, encrypted, empty, or too much for the time or the memory.
    """
    command = [sys.executable, "-m", "innovator_rl.data.documents.pdf"]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise PdfError("timed out", f"not read within {timeout:g} s") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise PdfError("broken file", f"the PDF reader ended with status {done.returncode}: {last[:150]}")
    result = json.loads(done.stdout)
    if "reason" in result:
        raise PdfError(result["reason"], result["detail"])
    return dict(result)


def extract_layout(content: bytes) -> dict[str, Any]:
    """Return the pages and blocks of a PDF; this is what the child process does."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(content)
        count = len(document)
    except pypdfium2.PdfiumError as error:
        message = str(error)
        if "password" in message.lower():
            raise PdfError("encrypted", "the file needs a password") from None
        raise PdfError("not PDF", message) from None
    pages: dict[str, Any] = {}
    lines: list[Line] = []
    for number in range(1, count + 1):
        page = document[number - 1]
        width, height = page.get_size()
        pages[str(number)] = {"width": width, "height": height}
        lines += page_lines(page, number, height)
        page.close()
    if not any(line.text.strip() for line in lines):
        raise PdfError("no text", f"{count} pages without text: scanned pages need recognition first")
    return {"pages": pages, "blocks": classify(lines, pages)}


def page_lines(page: Any, number: int, height: float) -> Iterator[Line]:
    """Yield the lines of a page; text on one baseline with a wide gap is two lines, as in two columns."""
    import pypdfium2.raw as raw

    text = page.get_textpage()
    box = raw.FS_RECTF()
    run: list[str] = []
    edges: list[float] = []
    style = (0.0, True, False)
    for index in range(text.count_chars()):
        code = raw.FPDFText_GetUnicode(text, index)
        hyphen = code in (0x02, 0xFFFE) or raw.FPDFText_IsHyphen(text, index) == 1
        char = "\ufffe" if hyphen else chr(code) if code not in (0,) and not 0xD800 <= code < 0xE000 else ""
        if char in "\r\n" and char:
            if run:
                yield _line(number, run, edges, style, height)
            run, edges = [], []
            continue
        raw.FPDFText_GetLooseCharBox(text, index, ctypes.byref(box))
        if run and char.strip() and box.left - edges[2] > 1.6 * max(style[0], 1.0) and style[1]:
            yield _line(number, run, edges, style, height)
            run, edges = [], []
        if not run:
            if not char.strip():
                continue
            size = raw.FPDFText_GetFontSize(text, index)
            upright = abs(raw.FPDFText_GetCharAngle(text, index)) < 0.1
            bold = raw.FPDFText_GetFontWeight(text, index) >= 600 or bool(_BOLD.search(_font(text, index)))
            style = (size if size > 1.5 else box.top - box.bottom, upright, bold)
            edges = [box.left, box.top, box.right, box.bottom]
        run.append(char)
        if hyphen:  # PDFium leaves out the line end behind it
            yield _line(number, run, edges, style, height)
            run, edges = [], []
        elif char.strip():
            edges = [
                min(edges[0], box.left), max(edges[1], box.top), max(edges[2], box.right), min(edges[3], box.bottom)
            ]  # fmt: skip
    if run:
        yield _line(number, run, edges, style, height)
    text.close()


def _font(text: Any, index: int) -> bytes:
    import pypdfium2.raw as raw

    name = ctypes.create_string_buffer(128)
    raw.FPDFText_GetFontInfo(text, index, name, 128, ctypes.byref(ctypes.c_int()))
    return name.value


def _line(page: int, run: list[str], edges: list[float], style: tuple[float, bool, bool], height: float) -> Line:
    left, top, right, bottom = edges
    return Line(page, "".join(run).strip(), left, height - top, right, height - bottom, *style)


def _pitches(lines: Sequence[Line]) -> dict[float, float]:
    """Return the usual distance between the tops of neighboring lines, by font size in half points."""
    found: dict[float, list[float]] = {}
    for one, other in pairwise(lines):
        down = other.top - one.top
        if one.page == other.page and abs(one.left - other.left) < 3 * one.size and 0.8 < down / one.size < 3:
            found.setdefault(round(2 * one.size), []).append(down)
    return {size: median(steps) for size, steps in found.items()}


def group_lines(lines: Sequence[Line]) -> list[Group]:
    """Return the blocks of lines: equal size, one below the other, without the gap or indent of a new paragraph."""
    groups: list[Group] = []
    pitches = _pitches(lines)
    for line in lines:
        if not line.text:
            continue
        owner = next((group for group in reversed(groups[-12:]) if _belongs(group, line, pitches)), None)
        if owner is None:
            groups.append(Group([line]))
        else:
            owner.lines.append(line)
    return groups


def _belongs(group: Group, line: Line, pitches: dict[float, float]) -> bool:
    last = group.lines[-1]
    if last.page != line.page or last.upright != line.upright or abs(last.size - line.size) > 0.12 * last.size:
        return False
    if last.bold != line.bold and len(group.lines) == 1:
        return False  # a heading above its text; a bold word at the start of a later line is emphasis
    pitch = pitches.get(round(2 * last.size), 1.25 * last.size)
    if not 0.3 * pitch < line.top - last.top < 1.25 * pitch:
        return False
    if min(group.right, line.right) - max(group.left, line.left) < 0.5 * min(
        group.right - group.left, line.right - line.left
    ):
        return False
    listed = bool(_LIST.match(group.lines[0].text))
    if _LIST.match(line.text) and (listed or len(group.lines) > 1):
        return False
    indent = line.left - group.left
    ended = last.right < group.right - 1.5 * line.size or last.text.endswith((".", ":", "。"))
    return listed or len(group.lines) < 2 or not (0.7 * line.size < indent < 5 * line.size and ended)


def classify(lines: Sequence[Line], pages: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of all lines with their type."""
    from innovator_rl.data.documents.pages import join_lines

    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size, 1)] += len(line.text)
    body = sizes.most_common(1)[0][0]
    blocks = []
    for group in group_lines(lines):
        first, last = group.lines[0], group.lines[-1]
        box = [group.left, first.top, group.right, max(last.bottom, first.bottom)]
        text = join_lines([line.text for line in group.lines])
        kind = _kind(text, first, body, box, pages[str(first.page)]["height"])
        blocks.append({"page": first.page, "bbox": [round(x, 2) for x in box], "type": kind, "text": text})
        if not first.upright:
            blocks[-1]["layer"] = "furniture"
    return blocks


def _kind(text: str, line: Line, body: float, box: Sequence[float], height: float) -> str:
    words = len(text.split())
    if _CAPTION.match(text) and words < 200:
        return "caption"
    if line.size >= 1.35 * body and line.page == 1 and box[1] < 0.5 * height and words < 40:
        return "title"
    if (line.size >= 1.08 * body or line.bold) and words < 25 and not text.endswith((".", ",", ";")):
        return "section_header"
    if line.size <= 0.92 * body and box[1] > 0.6 * height and _NOTE.match(text):
        return "footnote"
    return "list_item" if _LIST.match(text) else "text"


def main() -> None:
    """Read a PDF from standard input and write its layout, or why there is none, as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        result = extract_layout(sys.stdin.buffer.read())
    except PdfError as error:
        result = {"reason": error.reason, "detail": str(error)}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
