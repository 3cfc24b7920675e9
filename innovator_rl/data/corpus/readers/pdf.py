"""Read PDFs: text with boxes and font sizes, reading order, and one continuous text over pages and columns."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.optional import require
from innovator_rl.data.corpus.readers.rows import Read, make_document
from innovator_rl.data.documents.pages import assemble_pages
from innovator_rl.data.documents.pdf import PdfError, read_layout

if TYPE_CHECKING:
    from innovator_rl.data.corpus.recipe import Source

SECONDS = 300.0
"""Time to read one PDF, at most."""


def read_pdf(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield a PDF as one document; `info` counts its pages and what was joined or set apart."""
    content = stream.read(source.max_document_bytes + 1)
    if len(content) > source.max_document_bytes:
        yield RowError(file=name, row=1, reason="too long", detail=f"over {source.max_document_bytes} bytes")
        return
    if not content:
        yield RowError(file=name, row=1, reason="not PDF", detail="the file is empty")
        return
    require("pypdfium2", "pypdfium2", "reading PDF")
    try:
        layout = read_layout(content, SECONDS)
    except PdfError as error:
        yield RowError(file=name, row=1, reason=error.reason, detail=str(error)[:200])
        return
    assembled = assemble_pages(layout)
    info: dict[str, Any] = {"pages": len(layout["pages"]), **{k: n for k, n in assembled.changes.items() if n}}
    yield make_document(assembled.text, name, 1, source, info)
