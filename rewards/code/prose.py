"""Take a program without a fence out of the sentences around it.

    source = without_prose(text)

A line is dropped only where it reads like a sentence, a heading or an item of a list, and only where what remains
parses. Any other text is returned as it is: a program with a mistake stays a program with a mistake.
"""

from __future__ import annotations

import ast
import keyword
import re
import warnings

MAX_CHARS = 100_000
MAX_PARSES = 64  # each passes over the text at most once
_STARTS = re.compile(
    r"(?:async |class |def |for |from |if |import |try:|while |with |@\w|#|'''|\"\"\"|[\w.]+\(|\w[\w., \[\]]*[ \t]*[-+*/%&|^]?=)"
)
_WORD = re.compile(r"[A-Za-z][A-Za-z'’]*")
_TWO_WORDS = re.compile(r"[A-Za-z'’][,:;.!?]? [A-Za-z(]")
_MARKS = "-*>#`|•"


def without_prose(text: str) -> str:
    """Return the program in a text, the whole text where it is none with sentences around it."""
    if len(text) > MAX_CHARS:
        return text
    lines, parses = text.split("\n"), [MAX_PARSES]
    kept: list[str] = []
    dropped: list[str] = []
    at = 0
    while at < len(lines):
        end = _end_of_code(lines, at, parses) if _STARTS.match(lines[at]) else at
        if end > at:
            kept += lines[at:end]
        else:
            dropped.append(lines[at])
            end = at + 1
        at = end
    if not kept or parses[0] < 0 or not all(map(_is_prose, dropped)) or not any(line.strip() for line in dropped):
        return text
    return "\n".join(kept) + "\n"


def _end_of_code(lines: list[str], start: int, parses: list[int]) -> int:
    """Return the number of the line behind the longest code that begins at `start`; `start` where there is none."""
    end = len(lines)
    while end > start:
        parses[0] -= 1
        if parses[0] < 0:
            return start
        try:
            tree = _parse("\n".join(lines[start:end]))
        except SyntaxError as error:
            cut = min(start + (error.lineno or 1), end) - 1
            while cut > start and (not lines[cut].strip() or lines[cut][0] in " \t)]}"):
                cut -= 1
            end = cut
        except (ValueError, RecursionError, MemoryError):
            return start
        else:
            return _without_labels(tree, lines, start, end)
    return start


def _parse(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _without_labels(tree: ast.Module, lines: list[str], start: int, end: int) -> int:
    """Return the end without the last lines that happen to parse and do nothing (`Complexity: O(1)`)."""
    for node in reversed(tree.body):
        idle = isinstance(node, ast.Expr) and isinstance(node.value, ast.Name)
        label = isinstance(node, ast.AnnAssign) and node.value is None
        place = start + node.lineno - 1
        if not (idle or label) or not lines[place][:1].isupper():
            break
        end = place
    return end


def _is_prose(line: str) -> bool:
    stripped = line.strip()
    words = _WORD.findall(stripped)
    if not stripped or (stripped[0] in _MARKS and words):
        return True
    if not words:
        return not stripped.strip("-=*_")
    if keyword.iskeyword(words[0]) or words[0] == "print":
        return len(words) >= 4 and stripped[-1] in ".!?"
    ends = stripped[-1] in ".:!?" or stripped == words[0]
    titled = stripped[0].isupper() or re.match(r"\d{1,3}[.)] ", stripped) is not None
    return (titled and (ends or _TWO_WORDS.search(stripped) is not None)) or (
        len(words) >= 4 and _TWO_WORDS.search(stripped) is not None
    )
