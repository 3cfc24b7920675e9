r"""Take off commands that only dress an answer: fonts, colors and sizes, and text that holds a value.

`\mathbf{42}` is 42, while `\mathbf{F}` names a vector. `\text{5 m/s}` is a quantity, while `\text{increases}` is a word.
"""

from __future__ import annotations

import re

MAX_LAYERS = 6
_FONT = re.compile(
    r"\\(?:mathbf|boldsymbol|bm|pmb|underline|mathit|mathsf|mathtt|mathcal|textit|emph)(?![A-Za-z])\s*(?=\{)"
)
_TEXT = re.compile(r"\\(?:text|textbf|textrm|textnormal|textsf|texttt|mbox|mathrm)(?![A-Za-z])\s*(?=\{)")
_COLORED = re.compile(r"\\(?:textcolor|colorbox|color)\s*(?:\[[A-Za-z]+\])?\s*\{[^{}]*\}\s*")
_SIZED = re.compile(
    r"\\(?:tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge|bf|bfseries)(?![A-Za-z])\s*"
)
_STOP = re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*(?:[.,;]\s*)?\}\s*$")
_OPTION = re.compile(
    r"^\s*(?:\\(?:text|textbf|textrm|mathrm|mathbf)\s*\{\s*)?(?:\(\s*[A-H]\s*\)[.:]?|[A-H]\s*[.:)])"
    r"(?:\s*\}|(?=[\s~\\]))(?:\s|~|\\[,;: ]|\\q?quad(?![A-Za-z]))*(?=[-+\d.(\[$\\])"
)
_TITLE = re.compile(
    r"^\\(?:text|textbf|textrm|mathrm)\s*\{\s*(?!(?:[A-Za-z ]*\b)?(?:not|no|never|except|wrong|incorrect|false|half|twice|double|"
    r"triple|minus|negative|less|more|fewer|above|below|over|under|excluding|complement|reciprocal|inverse|opposite|guess|maybe|perhaps|between|or)\b)"
    r"[A-Za-z][A-Za-z '’-]{1,40}(?::|\s(?:is|are|equals|=))\s*\}\s*(?=[-+\d.(\[$\\])",
    re.IGNORECASE,
)
_NAME = re.compile(r"\s*\\?[A-Za-z]+(?:_(?:\w|\{[^{}]*\}))?'*\s*")
_NUMBER = re.compile(r"\s*[-+]?\s*\.?\d")
# A number with a letter right behind it may be a formula or a name: 2H_2O, 2-butanol.
_VALUE = re.compile(
    r"\s*(?:[-+]?\s*(?:\\?\$\s*)?[\d.,/]*\d[.,]?(?![\d.,/A-Za-z]|-[A-Za-z])|[(\[][^()\[\]]*,[^()\[\]]*[)\]]|"
    r"\([A-H]\)\s|\\\{|[A-Za-z](?:_\w)?\s*=)"
)


def without_mark(text: str) -> str:
    r"""Return a value without an option's mark or a title before it: `(D) 42`, `\textbf{D. }42`, `\text{Distance: }42`."""
    return _TITLE.sub("", _OPTION.sub("", text, count=1), count=1)


def undressed(text: str) -> str:
    """Return an answer without the commands that only change how it looks.

    Args:
        text: An answer in TeX.
    """
    if "\\" not in text:
        return text
    if "color" in text or _SIZED.search(text):
        text = _SIZED.sub("", _COLORED.sub("", text)).strip()
        text = _without_braces(text)
    text = _STOP.sub("", text)
    for _ in range(MAX_LAYERS):
        shorter = _without_layer(text)
        if shorter == text:
            break
        text = shorter
    return text


def _without_layer(text: str) -> str:
    """Take off one text around the beginning, and one font around the whole or around numbers."""
    text = text.strip()
    start = _TEXT.match(text)
    if start and (end := _closing(text, start.end())) and _VALUE.match(text, start.end() + 1):
        return _joined(text[start.end() + 1 : end - 1], text[end:])
    for match in _FONT.finditer(text):
        end = _closing(text, match.end())
        if not end:
            break
        inner = text[match.end() + 1 : end - 1]
        whole = match.start() == 0 and end == len(text) and not _NAME.fullmatch(inner)
        if whole or _NUMBER.match(inner):
            return text[: match.start()] + inner + text[end:]
    return text


def _joined(inner: str, rest: str) -> str:
    """Return the content of a text with what follows: a power belongs to the content's last unit."""
    return inner.strip() + rest if rest.startswith(("^", "_")) else f"{inner} {rest}".strip()


def _closing(text: str, start: int) -> int:
    """Return the place behind the group that opens at `start`, 0 where it never closes."""
    depth = 0
    for index in range(start, len(text)):
        if index and text[index - 1] == "\\":
            continue
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index + 1
    return 0


def _without_braces(text: str) -> str:
    while text[:1] == "{" and _closing(text, 0) == len(text):
        text = text[1:-1].strip()
    return text
