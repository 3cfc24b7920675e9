"""Find the prose of a file.

Each extractor returns text with the line structure of its file, in which everything that is not prose is masked. So a
phrase may continue on the next line, and every match has a line number. Prose is Markdown outside of code; docstrings,
comments and messages of Python; comments and strings of JavaScript; the text of HTML; and comments of YAML.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable

MASK = "\0"  # stands for code: it is neither white space nor a word character
SQL = re.compile(r"[\s\"]*(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|WITH|COPY|FROM|WHERE|AND|DROP|EXISTS)\b")
INLINE_CODE = re.compile(r"(`+)(?:(?!\1).)+?\1|\]\([^)]*\)|https?://\S+", re.DOTALL)


def masked(text: str) -> str:
    """Replace everything but white space."""
    return re.sub(r"\S", MASK, text)


def markdown(source: str, _: bool = False) -> str:
    """Return Markdown without code, link targets and `prose: off` parts."""
    hide = re.compile(
        r"<!-- prose: off -->.*?<!-- prose: on -->|^ *(```|~~~).*?^ *\1 *$|<!--.*?-->", re.DOTALL | re.MULTILINE
    )
    text = hide.sub(lambda found: masked(found.group()), source)
    return INLINE_CODE.sub(lambda found: masked(found.group()), text)


def python(source: str, docstrings_only: bool = False) -> str:
    """Return the docstrings, comments and messages of a Python file."""
    lines = source.split("\n")
    text = [re.sub(r"\S", MASK, line) for line in lines]
    starts_statement = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            _reveal(text, token.start, token.string.replace("#", " "))
        elif token.type == tokenize.STRING:
            if starts_statement or (not docstrings_only and _is_message(token.string)):
                _reveal(text, token.start, _unquoted(token.string))
            starts_statement = False
        elif token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING):
            starts_statement = True
        elif token.type != tokenize.NL:
            if not docstrings_only and tokenize.tok_name[token.type] == "FSTRING_MIDDLE" and " " in token.string:
                _reveal(text, token.start, token.string)
            starts_statement = False
    return INLINE_CODE.sub(lambda found: masked(found.group()), "\n".join(text))


def _is_message(literal: str) -> bool:
    """Return whether a literal is text for people: two words, or like a title."""
    prefix, quote, body = re.split("([\"'])", literal, maxsplit=1)
    if "r" in prefix.lower() or SQL.match(body):
        return False
    return bool(re.search(r"[\w}][,;:.]? [\w{]", body) or re.match(rf"[A-Z][a-z]+{quote}", body))


def _unquoted(literal: str) -> str:
    """Blank a literal's prefix, quotes, escapes and f-string expressions."""
    text = re.sub(r"^\w*(\"\"\"|'''|\"|')|(\"\"\"|'''|\"|')$", lambda found: " " * len(found.group()), literal)
    text = re.sub(r"\\[nt]", "  ", text)
    return re.sub(r"\{[^{}\n]*\}", lambda found: MASK * len(found.group()), text)


def _reveal(text: list[str], start: tuple[int, int], string: str) -> None:
    """Put a token back at its place in the masked text."""
    row, column = start
    for offset, part in enumerate(string.split("\n")):
        line = text[row - 1 + offset]
        text[row - 1 + offset] = line[:column] + part + line[column + len(part) :]
        column = 0


JS_TOKEN = re.compile(
    r"""(?P<prose>//[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | `(?:\\.|[^`\\])*`)
      | (?P<regex>(?<=[=(,:\[!&|?{};\n])\s*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*)""",
    re.DOTALL | re.VERBOSE,
)


def javascript(source: str, docstrings_only: bool = False) -> str:
    """Return the comments and strings of a JavaScript file."""
    text, end = [], 0
    for found in JS_TOKEN.finditer(source):
        text.append(masked(source[end : found.start()]))
        token, end = found.group(), found.end()
        comment = token.startswith(("//", "/*"))
        shown = found.group("prose") and (
            comment or (not docstrings_only and re.search(r"[\w}] [\w$]|^.[A-Z][a-z]+.$", token))
        )
        bare = re.sub(
            r"^(//|/\*+|[\"'`])|\*/$|[\"'`]$|^\s*\*", lambda m: " " * len(m.group()), token, flags=re.MULTILINE
        )
        bare = bare if comment else re.sub(r"\$\{[^{}]*\}", lambda m: masked(m.group()), bare)
        text.append(bare if shown else masked(token))
    text.append(masked(source[end:]))
    return INLINE_CODE.sub(
        lambda found: masked(found.group()) if "\n" not in found.group() else found.group(), "".join(text)
    )


def html(source: str, _: bool = False) -> str:
    """Return the text of an HTML file, without tags, scripts and styles."""
    hide = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
    return hide.sub(lambda found: masked(found.group()), source)


def comments(source: str, _: bool = False) -> str:
    """Return the comments of a YAML file."""
    lines = source.split("\n")
    found = (re.search(r"(?:^|\s)#(.*)$", line) for line in lines)
    return "\n".join(
        masked(line[: comment.start()]) + "  " + comment.group(1) if comment else masked(line)
        for line, comment in zip(lines, found, strict=True)
    )


EXTRACTORS: dict[str, Callable[[str, bool], str]] = {
    ".md": markdown,
    ".py": python,
    ".js": javascript,
    ".html": html,
    ".yaml": comments,
    ".yml": comments,
}
