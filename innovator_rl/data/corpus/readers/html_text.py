"""Read all text of an HTML page, with an empty line between blocks and without another package.

The reader `html` finds the main text of a page and its formulas; this one, `html-text`, keeps everything.

As in a browser, `<` begins a tag only before a letter, so that "a < b and b > c" is text.
A "tag" that HTML does not know, as in "x<y", is kept as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import IO, TYPE_CHECKING

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.readers.rows import make_document, read_text

if TYPE_CHECKING:
    from innovator_rl.data.corpus.recipe import Source


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


DROPPED = frozenset({"script", "style", "nav", "head", "template", "noscript"})
BLOCKS = _names(
    "address article aside blockquote br caption dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr li main "
    "ol p pre section table tbody tfoot thead tr ul"
)
KNOWN = (
    DROPPED
    | BLOCKS
    | _names(
        "a abbr area audio b base bdi bdo body button canvas center cite code col colgroup data datalist del details dfn dialog "
        "em embed fieldset font hgroup html i iframe img input ins kbd label legend link map mark math menu meta meter object "
        "optgroup option output param picture progress q rp rt ruby s samp search select slot small source span strike strong "
        "sub summary sup svg td textarea th time title track tt u var video wbr "
        "mi mn mo ms mtext mrow mfrac msqrt mroot msub msup msubsup munder mover munderover mtable mtr mtd mstyle mspace "
        "semantics annotation g path rect circle line use defs"
    )
)
CELLS = frozenset({"td", "th"})
_LESS_THAN = re.compile(r"<(?=[A-Za-z][^<>\"']*<)")
"""A "<" whose "tag" meets another one before it is closed."""
_BLANK_LINES = re.compile(r"\n\s*\n\s*")


def read_html_text(stream: IO[bytes], name: str, source: Source) -> Iterator[Document | RowError]:
    """Yield the page as one document."""
    for item in read_text(stream, name, source):
        yield item if isinstance(item, RowError) else make_document(page_text(item.text), name, 1, source)


def page_text(markup: str) -> str:
    """Return the text of an HTML page."""
    page = _Page()
    page.feed(_LESS_THAN.sub("&lt;", markup))
    page.close()
    return _BLANK_LINES.sub("\n\n", "".join(page.parts)).strip()


class _Page(HTMLParser):
    """Collects the text between tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._dropped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DROPPED:
            self._dropped.append(tag)
        elif tag not in KNOWN and "-" not in tag:
            self.handle_data(self.get_starttag_text() or "")
        elif tag in BLOCKS:
            self.handle_data("\n\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:
            self.handle_data("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._dropped:
            del self._dropped[self._dropped.index(tag) :]
        elif tag in BLOCKS:
            self.handle_data("\n\n")
        elif tag in CELLS:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        if not self._dropped:
            self.parts.append(data)
