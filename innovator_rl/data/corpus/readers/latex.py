r"""Read LaTeX source into Markdown with pandoc: sections, lists, tables, footnotes and citations; macros are expanded.

Formulas stay LaTeX. A construct that pandoc cannot read does not cost the document: where the whole cannot be parsed, it is
cut at blank lines into halves until the part that fails is one paragraph, and that paragraph stays LaTeX. Pandoc runs
in its sandbox, so that `\input` reads no file, with bounded time and memory.
"""

from __future__ import annotations

import re
import subprocess
from typing import IO, TYPE_CHECKING

from innovator_rl.data.corpus.manifest import RowError
from innovator_rl.data.corpus.optional import require
from innovator_rl.data.corpus.readers.rows import Read, make_document, read_text

if TYPE_CHECKING:
    from innovator_rl.data.corpus.recipe import Source

SECONDS = 60.0
"""Time of one call of pandoc, at most."""

CALLS = 64
"""Calls of pandoc for one document, at most; what is not converted then stays LaTeX."""

_FORMAT = "markdown-raw_attribute-fenced_divs-bracketed_spans-header_attributes-link_attributes-simple_tables"
_FORMAT += "-multiline_tables-grid_tables-smart+pipe_tables+raw_tex+tex_math_dollars"
_DEFINITION = re.compile(
    r"^[ \t]*\\(?:(?:re)?newcommand|providecommand|def|DeclareMathOperator|newenvironment)\b.*$", re.M
)
_BODY = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|\Z)", re.DOTALL)
_TITLE = re.compile(r"\\title\s*(?:\[[^\]]*\])?\{((?:[^{}]|\{[^{}]*\})*)\}")
_COMMENT = re.compile(r"(?<!\\)%.*$", re.M)
_LABEL = re.compile(r"\s*\{#[^{}]*\}|\[\]\{#[^{}]*\}")
_DISPLAY = re.compile(r"\s*\$\$(.+?)\$\$[ \t]*\n*", re.DOTALL)
_NUMBERING = re.compile(r"\s*\\(?:label\{[^{}]*\}|nonumber(?![A-Za-z])|notag(?![A-Za-z]))")
_ROWS = {"align": "aligned", "eqnarray": "aligned", "flalign": "aligned", "gather": "gathered", "multline": "gathered"}
_ENVIRONMENT = re.compile(
    r"\\begin\{(equation|displaymath|align|eqnarray|flalign|gather|multline)\*?\}(.*)\\end\{\1\*?\}", re.DOTALL
)
_RAW = re.compile(
    r"^\\(?:maketitle|tableofcontents|newpage|clearpage|bibliographystyle\{.*\}|bibliography\{.*\})\s*$", re.M
)


def read_latex(stream: IO[bytes], name: str, source: Source) -> Read:
    """Yield a LaTeX file as one document; `info` counts paragraphs that stay LaTeX."""
    for item in read_text(stream, name, source):
        if isinstance(item, RowError):
            yield item
            continue
        if "\\" not in item.text:
            yield RowError(file=name, row=1, reason="not LaTeX", detail="the file has no command")
            continue
        conversion = _Conversion()
        text = conversion.document(item.text)
        if not text.strip():
            yield RowError(file=name, row=1, reason="no text", detail="the document body is empty")
            continue
        info = {"title": conversion.title} | ({"raw_paragraphs": conversion.raw} if conversion.raw else {})
        yield make_document(text, name, 1, source, info)


def _display(match: re.Match[str]) -> str:
    """Return a displayed formula in a paragraph of its own, without numbering; rows stay in an environment."""
    body = _NUMBERING.sub("", match[1]).strip()
    environment = _ENVIRONMENT.fullmatch(body)
    if environment:
        inner = environment[2].strip()
        plain = environment[1] in ("equation", "displaymath")
        body = inner if plain else f"\\begin{{{_ROWS[environment[1]]}}}\n{inner}\n\\end{{{_ROWS[environment[1]]}}}"
    return f"\n\n$$\n{body}\n$$\n\n"


class _Conversion:
    """One document on its way through pandoc."""

    def __init__(self) -> None:
        self.raw = 0
        self.title = ""
        self._calls = 0

    def document(self, latex: str) -> str:
        title = _TITLE.search(latex)
        body = _BODY.search(latex)
        whole = self._pandoc(latex)
        if title:
            self.title = " ".join((self._pandoc(title[1]) or title[1]).replace("*", "").split())
        if whole is None:
            definitions = "\n".join(m[0] for m in _DEFINITION.finditer(latex[: body.start()] if body else ""))
            whole = self._parts(_COMMENT.sub("", body[1] if body else latex).strip(), definitions)
        text = _DISPLAY.sub(_display, _RAW.sub("", _LABEL.sub("", whole)).strip())
        return (f"# {self.title}\n\n" if self.title else "") + text + "\n"

    def _parts(self, latex: str, definitions: str) -> str:
        """Convert what can be converted: a part that fails is halved at a blank line."""
        converted = self._pandoc(f"{definitions}\n\n{latex}")
        if converted is not None:
            return converted.strip()
        paragraphs = [p for p in re.split(r"\n[ \t]*\n\s*", latex) if p.strip()]
        if len(paragraphs) < 2 or self._calls >= CALLS:
            self.raw += len(paragraphs)
            return latex.strip()
        half = len(paragraphs) // 2
        parts = [self._parts("\n\n".join(p), definitions) for p in (paragraphs[:half], paragraphs[half:])]
        return "\n\n".join(part for part in parts if part)

    def _pandoc(self, latex: str) -> str | None:
        """Return the Markdown of LaTeX, or None when pandoc cannot parse it within its bounds."""
        if self._calls >= CALLS:
            return None
        self._calls += 1
        program = require("pypandoc", "pypandoc-binary", "reading LaTeX").get_pandoc_path()
        command = [
            program,
            "--sandbox",
            "-f",
            "latex+raw_tex",
            "-t",
            _FORMAT,
            "--wrap=none",
            "--shift-heading-level-by=1",
        ]
        try:
            done = subprocess.run(
                [*command, "+RTS", "-M1g", "-RTS"], input=latex.encode(), capture_output=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return None
        return None if done.returncode else done.stdout.decode()
