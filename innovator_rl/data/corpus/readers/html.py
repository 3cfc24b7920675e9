r"""Read web pages into Markdown with LaTeX.

Formulas are taken out first, because extraction deletes `<math>`: MathML waits as a numbered place for
`mathml.convert_pending`, and LaTeX that a page carries already (annotations of MathML, `alttext`, scripts of MathJax, `\(..\)`
in the text) stays as it is. trafilatura then finds the main text and drops navigation, banners and footers. Captions of
figures and reference lists stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.optional import require
from innovator_rl.data.corpus.readers.mathml import PENDING, etree, placeholder, strip_marks
from innovator_rl.data.corpus.readers.rows import Read, make_document

if TYPE_CHECKING:
    from innovator_rl.data.corpus.recipe import Source

_ESCAPE = re.compile(r"(?<![\\`])(`+)(?!`).+?(?<!`)\1(?!`)|(?<!\\)(\\(?:\\\\)*)([*_`~\[\]<])")
"""Code in a line, or a character with the backslashes that extraction adds: 2 n + 1 where the page has n."""
_ESCAPED_START = re.compile(
    r"^((?:> ?|[-+*] |\d+\. | )*(?:\d{1,9})?)\\(?=(?:#{1,6}|[-+]|(?<=\d\\)[.)])(?:[ \t]|$)|>)", re.M
)
"""What extraction escapes at the start of a line: marks of headings, quotations and lists."""
_TEX_TYPE = re.compile(r"^math/tex(;\s*mode=display)?$", re.I)
_IN_TEXT = re.compile(r"\\\(.+?\\\)|\\\[.+?\\\]|\$\$.+?\$\$", re.DOTALL)
_STYLE = re.compile(r"^\{\\(?:display|text)style\s*(.*)\}$", re.DOTALL)
_HEADING = re.compile(r"(?<=[^\n])\n(?=#{1,6} )")
_FENCE = re.compile(r"(^```[^\n]*\n.*?^```[ \t]*\n?)", re.DOTALL | re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")
_PLACE = re.compile(r"zqformula(\d+)qz")
"""Word that stands for a formula during extraction: letters and digits only, so that nothing escapes or drops it."""
_TOUCHING = re.compile(r"(?<=\dqz)(?=zqformula\d|\$)|(?<=\$)(?=zqformula\d)")


def read_html(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield the main text of a page as one document, with its MathML pending."""
    content = stream.read(source.max_document_bytes + 1)
    if len(content) > source.max_document_bytes:
        yield RowError(file=name, row=1, reason="too long", detail=f"over {source.max_document_bytes} bytes")
        return
    trafilatura = require("trafilatura", "trafilatura", "reading HTML")
    tree = trafilatura.load_html(content) if content.strip() else None
    if tree is None:
        yield RowError(
            file=name, row=1, reason="not HTML", detail="no elements" if content.strip() else "the file is empty"
        )
        return
    title = " ".join("".join(tree.xpath("//head/title[1]//text()")).split())
    strip_marks(tree)
    formulas = _Formulas()
    formulas.take_out(tree)
    # Fallbacks compare several extractions, which takes most of the time and can lose tables; the main one is kept.
    text = trafilatura.extract(
        tree, output_format="markdown", include_tables=True, include_formatting=True, include_comments=False, fast=True
    )
    if not text or not text.strip():
        yield RowError(file=name, row=1, reason="no text", detail="the page has no main text")
        return
    text, pending = formulas.put_back(_unescaped(text))
    info: dict[str, Any] = {"title": title}
    if pending:
        info[PENDING] = pending
    yield make_document(_BLANK_LINES.sub("\n\n", text).strip() + "\n", name, 1, source, info)


def _unescaped(text: str) -> str:
    """Return extracted Markdown without the backslashes that extraction adds, and with empty lines around headings and code.

    Those of the page itself stay, and so does the backslash of a bar in a table, which would end its cell.
    """

    def plain(match: re.Match[str]) -> str:
        return match[0] if match[1] else match[2][: len(match[2]) // 2] + match[3]

    parts = _FENCE.split(text)
    for place in range(0, len(parts), 2):
        parts[place] = _ESCAPED_START.sub(r"\1", _ESCAPE.sub(plain, parts[place]))
        parts[place] = _HEADING.sub("\n\n", parts[place])
    return "".join(f"{part.rstrip()}\n\n" if place % 2 else part for place, part in enumerate(parts))


class _Formulas:
    """The formulas of a page while its text is extracted: LaTeX, or MathML that waits for conversion."""

    def __init__(self) -> None:
        self._found: list[tuple[str, bool, bool]] = []  # (content, is MathML, is displayed)

    def take_out(self, tree: Any) -> None:
        """Replace every formula of the page by a word, and what extraction would drop or double by plain elements."""
        # What a renderer shows next to the formula would appear a second time.
        for element in tree.xpath("//*[contains(@class, 'katex-html') or contains(@class, 'MathJax_Preview')]"):
            element.drop_tree()
        for element in tree.xpath("//*[contains(@class, 'mwe-math-fallback')]"):
            element.drop_tree()
        for math in list(tree.iter("math")):
            self._replace(math, *_source(math))
        for script in list(tree.iter("script")):
            kind = _TEX_TYPE.match(script.get("type") or "")
            if kind:
                self._replace(script, (script.text or "").strip(), False, bool(kind[1]))
        for element in tree.iter(etree().Element):
            if element.tag not in ("script", "style", "code", "pre"):
                element.text = self._in_text(element.text)
            element.tail = self._in_text(element.tail)
        # Extraction drops figures with their captions.
        for element in list(tree.iter("figcaption", "figure")):
            element.tag = "p" if element.tag == "figcaption" else "div"

    def _in_text(self, text: str | None) -> str | None:
        if not text or ("\\" not in text and "$$" not in text):
            return text
        return _IN_TEXT.sub(lambda m: self._word(m[0][2:-2].strip(), False, m[0][:2] in ("\\[", "$$")), text)

    def _word(self, content: str, mathml: bool, display: bool) -> str:
        self._found.append((content, mathml, display))
        return f"zqformula{len(self._found) - 1}qz"

    def _replace(self, element: Any, content: str, mathml: bool, display: bool) -> None:
        parent = element.getparent()
        if parent is None:
            return
        if content:
            replacement = etree().Element("span")
            replacement.text = self._word(content, mathml, display)
            replacement.tail, element.tail = element.tail, None
            parent.replace(element, replacement)
        else:
            element.drop_tree()

    def put_back(self, text: str) -> tuple[str, list[str]]:
        """Return the text with its formulas, and the MathML that waits behind the numbers in it."""
        pending: dict[str, int] = {}

        def formula(match: re.Match[str]) -> str:
            if int(match[1]) >= len(self._found):
                return match[0]
            content, mathml, display = self._found[int(match[1])]
            mark = "$$" if display else "$"
            if not mathml:
                return f"{mark}{content}{mark}"
            return placeholder(pending.setdefault(content, len(pending)), mark)

        return _PLACE.sub(formula, _TOUCHING.sub(" ", text)), list(pending)


def _source(math: Any) -> tuple[str, bool, bool]:
    """Return the content of a formula, whether it is MathML, and whether it is displayed."""
    display = math.get("display") == "block" or math.get("mode") == "display"
    latex = next(_annotations(math), "") or (math.get("alttext") or "").strip()
    if latex:
        if styled := _STYLE.match(latex):
            latex = styled[1].strip()
        return latex, False, display
    if not "".join(math.itertext()).strip():
        return "", False, display
    return etree().tostring(math, encoding="unicode", with_tail=False), True, display


def _annotations(math: Any) -> Iterator[str]:
    for annotation in math.iter("annotation"):
        if "tex" in (annotation.get("encoding") or "").lower() and (annotation.text or "").strip():
            yield annotation.text.strip()
