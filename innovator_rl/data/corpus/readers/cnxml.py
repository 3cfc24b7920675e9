"""Read CNXML modules, the source of OpenStax textbooks, into Markdown with LaTeX.

A module becomes one document: title, learning objectives, text, examples, exercises with solutions, captions, tables and
glossary. Formulas wait as numbered places in the text until `mathml.convert_pending` converts them in one batch. Images are
left out; their captions stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.readers.mathml import CLOSE, OPEN, PENDING, etree, placeholder, strip_marks
from innovator_rl.data.corpus.readers.rows import Read, make_document

if TYPE_CHECKING:
    from innovator_rl.data.corpus.recipe import Source

MATHML = "{http://www.w3.org/1998/Math/MathML}math"
TARGETS = {"figure": "figure", "table": "table", "equation": "equation", "example": "example", "exercise": "exercise"}
INLINE = {
    "emphasis",
    "term",
    "sub",
    "sup",
    "link",
    "newline",
    "footnote",
    "cite",
    "cite-title",
    "foreign",
    "code",
    "math",
    "span",
}
BREAK = OPEN + CLOSE
_BREAK = re.compile(rf" *{BREAK} *")
_SPACE = re.compile(r"[ \t\r\n]+")
_SCRIPTS = re.compile(r"(?<=\})\$\$(?=[_^]\{)")
"""Between a subscript and a superscript of one symbol, which are one formula."""


def read_cnxml(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield the module of a file as one document, with its formulas pending."""
    content = stream.read(source.max_document_bytes + 1)
    if len(content) > source.max_document_bytes:
        yield RowError(file=name, row=1, reason="too long", detail=f"over {source.max_document_bytes} bytes")
        return
    try:
        root = etree().fromstring(content, etree().XMLParser(resolve_entities=False, no_network=True))
    except etree().XMLSyntaxError as error:
        yield RowError(file=name, row=1, reason="not XML", detail=str(error)[:200])
        return
    strip_marks(root)
    walker = _Walker(root)
    text = walker.module(root)
    title = _child(root, "title")
    info: dict[str, Any] = {"title": _SPACE.sub(" ", "".join(title.itertext())).strip() if title is not None else ""}
    if walker.formulas:
        info[PENDING] = walker.formulas
    yield make_document(text, name, 1, source, info)


def _name(element: Any) -> str:
    return etree().QName(element).localname if isinstance(element.tag, str) else ""


def _child(element: Any, name: str) -> Any:
    return next((child for child in element if _name(child) == name), None)


class _Walker:
    """Turn the elements of one module into Markdown."""

    def __init__(self, root: Any) -> None:
        self.formulas: list[str] = []
        self._numbers: dict[str, int] = {}
        self._targets = {
            element.get("id"): _name(element) for element in root.iter(etree().Element) if element.get("id")
        }
        self._blocks: dict[str, Callable[[Any, int], Iterator[str]]] = {
            "section": self._section,
            "note": self._titled,
            "example": self._example,
            "exercise": self._exercise,
            "equation": self._equation,
            "figure": self._figure,
            "table": self._table,
            "list": self._list,
            "definition": self._definition,
            "glossary": self._glossary,
            "quote": self._quote,
            "media": self._nothing,
            "metadata": self._nothing,
            "title": self._nothing,
            "label": self._nothing,
            "iframe": self._nothing,
        }

    def module(self, root: Any) -> str:
        parts = [f"# {self._inline(title)}" for title in root if _name(title) == "title"]
        for abstract in root.iter("{*}abstract"):
            parts += self._flow(abstract, 2)
        for name in ("content", "glossary"):
            for child in root:
                if _name(child) == name:
                    parts += self._blocks["glossary"](child, 2) if name == "glossary" else self._flow(child, 2)
        text = "\n\n".join(part for part in parts if part.strip())
        return _BREAK.sub("\n", _SCRIPTS.sub("", text)) + "\n"

    def _flow(self, element: Any, level: int) -> Iterator[str]:
        """Yield the paragraphs of an element that mixes text, inline elements and blocks."""
        run = element.text or ""
        for child in element:
            name = _name(child)
            if name in INLINE or not name:
                run += self._inline_element(child) if name else ""
            else:
                if run.strip():
                    yield _clean(run)
                run = ""
                yield from self._block(child, level)
            run += child.tail or ""
        if run.strip():
            yield _clean(run)

    def _block(self, element: Any, level: int) -> Iterator[str]:
        handler = self._blocks.get(_name(element))
        if handler is not None:
            yield from handler(element, level)
            return
        title = _child(element, "title")
        if title is not None:
            yield f"**{self._inline(title)}**"
        yield from self._flow(element, level)

    def _nothing(self, element: Any, level: int) -> Iterator[str]:
        yield from ()

    def _section(self, element: Any, level: int) -> Iterator[str]:
        title = _child(element, "title")
        if title is not None:
            yield f"{'#' * min(level, 6)} {self._inline(title)}"
        yield from self._flow(element, level + 1)

    def _titled(self, element: Any, level: int) -> Iterator[str]:
        title = _child(element, "title")
        if title is not None and self._inline(title):
            yield f"**{self._inline(title)}**"
        yield from self._flow(element, level)

    def _example(self, element: Any, level: int) -> Iterator[str]:
        title = _child(element, "title")
        yield f"**Example{f': {self._inline(title)}' if title is not None else ''}**"
        yield from self._flow(element, level)

    def _exercise(self, element: Any, level: int) -> Iterator[str]:
        for child in element:
            label = {"problem": "Exercise", "solution": "Solution"}.get(_name(child))
            if label:
                yield f"**{label}.** " + "\n\n".join(self._block(child, level))
            elif _name(child):
                yield from self._block(child, level)

    def _equation(self, element: Any, level: int) -> Iterator[str]:
        formulas = [self._formula(math, "$$") for math in element.iter(MATHML)]
        yield "\n\n".join(formulas) if formulas else self._inline(element)

    def _figure(self, element: Any, level: int) -> Iterator[str]:
        for caption in element.iter("{*}caption"):
            if text := self._inline(caption):
                yield f"Figure: {text}"

    def _table(self, element: Any, level: int) -> Iterator[str]:
        title = _child(element, "title")
        if title is not None and self._inline(title):
            yield f"Table: {self._inline(title)}"
        rows = [
            [
                self._inline(entry).replace("|", r"\vert ").replace(BREAK, " ")
                for entry in row
                if _name(entry) == "entry"
            ]
            for row in element.iter("{*}row")
        ]
        width = max(map(len, rows), default=0)
        if width:
            lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
            yield "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])
        for caption in element.iter("{*}caption"):
            if text := self._inline(caption):
                yield f"Table: {text}"

    def _list(self, element: Any, level: int) -> Iterator[str]:
        title = _child(element, "title")
        if title is not None:
            yield f"**{self._inline(title)}**"
        numbered = element.get("list-type") == "enumerated"
        lines = []
        for number, item in enumerate((child for child in element if _name(child) == "item"), start=1):
            mark = f"{number}." if numbered else "-"
            lines.append(f"{mark} " + "\n\n".join(self._flow(item, level)).replace("\n", "\n  "))
        yield "\n".join(lines)

    def _definition(self, element: Any, level: int) -> Iterator[str]:
        term = _child(element, "term")
        meanings = [" ".join(self._flow(child, level)) for child in element if _name(child) == "meaning"]
        yield f"**{self._inline(term) if term is not None else ''}**: {'; '.join(meanings)}"

    def _glossary(self, element: Any, level: int) -> Iterator[str]:
        yield f"{'#' * level} Glossary"
        yield from self._flow(element, level)

    def _quote(self, element: Any, level: int) -> Iterator[str]:
        for paragraph in self._flow(element, level):
            yield "> " + paragraph.replace("\n", "\n> ")

    def _inline(self, element: Any) -> str:
        """Return an element's content as one line of inline Markdown."""
        text = element.text or ""
        for child in element:
            text += (self._inline_element(child) if _name(child) else "") + (child.tail or "")
        return _clean(text)

    def _inline_element(self, element: Any) -> str:
        name = _name(element)
        if name == "math":
            return self._formula(element, "$")
        if name == "newline":
            return BREAK
        if name == "link":
            return self._link(element)
        if name in ("media", "iframe", "title", "label", "image"):
            return ""
        text = self._inline(element)
        if not text or name not in ("emphasis", "term", "sub", "sup", "footnote"):
            return text if name in INLINE else f" {text} "
        if name in ("sub", "sup"):
            return f"${'_' if name == 'sub' else '^'}{{{_in_formula(text)}}}$"
        if name == "footnote":
            return f" ({text})"
        mark = "**" if name == "term" or element.get("effect") == "bold" else "*"
        return text if element.get("effect") in ("normal", "smallcaps", "underline") else f"{mark}{text}{mark}"

    def _link(self, element: Any) -> str:
        text = self._inline(element)
        if text:
            return text
        target = self._targets.get(element.get("target-id"))
        if target is None:
            return "another section" if element.get("document") else (element.get("url") or "")
        return f"the {TARGETS.get(target, 'section')}"

    def _formula(self, math: Any, mark: str) -> str:
        xml = etree().tostring(math, encoding="unicode", with_tail=False)
        number = self._numbers.setdefault(xml, len(self.formulas))
        if number == len(self.formulas):
            self.formulas.append(xml)
        return placeholder(number, mark)


def _in_formula(text: str) -> str:
    """Return inline text as part of a formula: words upright, formulas as they are."""
    text = text.replace("$", "").strip("*")
    return text if OPEN in text or not any(c.isalpha() for c in text) or len(text) == 1 else rf"\text{{{text}}}"


def _clean(text: str) -> str:
    return _SPACE.sub(" ", text).strip()
