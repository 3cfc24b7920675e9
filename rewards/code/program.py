"""Find the program in a response: a fenced block, or all of the final part.

Everything is linear in the length of the response. Nothing inside a block is read as a mark of the response: a program
may contain `</think>`, a stop token or a fence of its own.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import warnings
from collections.abc import Callable
from functools import partial

from rewards.code.prose import without_prose

PYTHON = ("python", "sage", "tool_code")  # `_tag` spells versions and short forms as `python`
CPP = ("cpp", "c++", "cc", "cxx", *(f"{name}{year}" for name in ("c++", "cpp") for year in (11, 14, 17, 20, 23)))
LANGUAGES = {"python": PYTHON, "cpp": CPP}
MAX_PARSED_CHARS = 100_000
# Possessive, so that a long line which is no fence is left after one pass.
_OPENING = re.compile(r"([ \t]*+)(?:(?:[>*+-]|\d{1,9}[.)])[ \t]++)?+(`{3,}+|~{3,}+)[ \t]*+([A-Za-z0-9_+.#-]*+)[^`]*+")
_PYTHON_TAG = re.compile(r"i?(?:python|py|pypy)[0-9.]*")
_QUOTES = re.compile(r"'''|\"\"\"")
_LOOKS_LIKE_CODE = re.compile(
    r"[ \t]*(?:def |class |import |from \w+ import |print\(|for |while |\w+[ \t]*=|async def |if __name__)"
)
_INCLUDES = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[<\"]", re.MULTILINE)
_NAMES = re.compile(r"[A-Za-z_]\w*")
_LINE_ENDS = re.compile(r"\r\n?|\n")
_MARKS = ("<think>", "</think>")
_STOPS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|return|>",
    "<end_of_turn>",
    "<｜end▁of▁sentence｜>",
    "</s>",
)
_TAGS = ("<answer>", "</answer>")


@dataclasses.dataclass(frozen=True)
class Program:
    """The program of a response.

    Attributes:
        source: Its text.
        language: `python`, `cpp`, or the tag of a block in another language.
    """

    source: str
    language: str = "python"


def program_of(response: str, entry_point: str = "") -> str | None:
    """Return the Python program; None where there is none."""
    found = find_program(response, entry_point)
    return found.source if found is not None and found.language == "python" else None


def find_program(response: str, entry_point: str = "", language: str = "") -> Program | None:
    """Return the program; None where there is none.

    Blocks tagged as Python come before those tagged as C++, then untagged ones, then others. Of several the last
    counts, and where an `entry_point` such as `Solution().f` is wanted the last that defines it: what follows is often
    an example of its use. A block that the response never closed counts if no other does.

    Args:
        response: What the model wrote.
        entry_point: What a program in Python has to define.
        language: `python` or `cpp` where the task asks for it: its blocks come first, and text without a tag is in it.
    """
    text = _final_part(response)
    blocks = [block for block in fenced(text) if block[1].strip()]
    closed = [block for block in blocks if block[2]]
    wanted = [language] if language else list(LANGUAGES)
    for among in (closed, blocks):
        for name in wanted:
            tagged = [_clean(body) for tag, body, _ in among if tag in LANGUAGES[name]]
            if tagged:
                return Program(_last_defining(tagged, entry_point), name)
        untagged = [_clean(body) for tag, body, _ in among if not tag]
        if untagged:
            return _untagged(untagged, entry_point, language)
    if blocks:
        programs = [block for block in blocks if block[0] not in _NO_PROGRAMS]
        return Program(programs[-1][1], _name_of(programs[-1][0])) if programs else None
    text = _clean(_inside_tags(text))
    if _is_cpp(text) and language != "python":
        return Program(text, "cpp")
    if not any(_LOOKS_LIKE_CODE.match(line) for line in text.split("\n")):
        return None
    return Program(text if language == "cpp" else without_prose(text), language or "python")


def _untagged(blocks: list[str], entry_point: str, language: str) -> Program:
    """Return the program among blocks without a tag, some of which may be examples of input and output."""
    cpp = [body for body in blocks if _is_cpp(body)]
    if language == "cpp" or (cpp and not language):
        return Program((cpp or blocks)[-1], "cpp")
    code = [body for body in blocks if _parses(body)]
    return Program(_last_defining([body for body in code if not _is_data(body)] or code or blocks, entry_point))


def _name_of(tag: str) -> str:
    """Return the language that a tag stands for, the tag itself where it is not offered."""
    return next((name for name, tags in LANGUAGES.items() if tag in tags), tag)


def _is_cpp(text: str) -> bool:
    """Return whether a text without a tag is a program in C++: it includes a header, which is a comment of Python."""
    return _INCLUDES.search(text) is not None and not _parses(text)


_NO_PROGRAMS = (
    "text",
    "txt",
    "plaintext",
    "output",
    "input",
    "json",
    "bash",
    "sh",
    "shell",
    "console",
    "markdown",
    "md",
)


def _clean(text: str) -> str:
    """Return a program without a byte order mark and without an answer's tags around it."""
    return _inside_tags(text).lstrip("\ufeff\u200b")


def _inside_tags(text: str) -> str:
    stripped = text.strip().lstrip("\ufeff")
    if not stripped.startswith(_TAGS[0]):
        start, end = text.rfind(_TAGS[0]), text.rfind(_TAGS[1])
        outside = start < 0 or end < start or "\n" in text[:start].strip()
        return text if outside else text[start + len(_TAGS[0]) : end]
    end = stripped.rfind(_TAGS[1])
    return stripped[len(_TAGS[0]) : end if end >= 0 else len(stripped)].strip("\r\n")


def _final_part(response: str) -> str:
    """Return what follows the thinking and comes before a stop token, neither of which is looked for in a program."""
    lines, opening = _LINE_ENDS.split(response), ""
    start, thinking = 0, False
    kept: list[str] = []
    for line in lines:
        if not opening:
            if line.lstrip().startswith(_MARKS[0]) and len(kept) == start:
                thinking = True
            place = line.rfind(_MARKS[1])
            if place >= 0:
                thinking, line = False, line[place + len(_MARKS[1]) :]
                start = len(kept)
            elif _MARKS[0] in line:
                thinking = True
            if _stop(line) < len(line) and not thinking:
                kept.append(line[: _stop(line)])
                break
            match = _OPENING.fullmatch(line)
            if match and not thinking:
                opening = match[2]
        elif _closes(line, opening):
            opening = ""
        elif line.lstrip().startswith(opening) and _closes(line[: _stop(line)], opening):
            kept.append(line[: _stop(line)])
            break
        kept.append(line)
    if thinking:
        head = "\n".join(kept[start:])
        return head[: head.find(_MARKS[0])] if _MARKS[0] in head else ""
    return "\n".join(kept[start:]).strip("\n").lstrip("\ufeff")


def _stop(line: str) -> int:
    """Return the place of the first stop token, the length of the line where there is none."""
    return min((found for token in _STOPS if (found := line.find(token)) >= 0), default=len(line))


def _closes(line: str, fence: str) -> bool:
    stripped = line.strip().removeprefix("> ").strip()  # a block in a quotation
    return stripped.startswith(fence) and not stripped.strip(fence[0])


def fenced(text: str) -> list[tuple[str, str, bool]]:
    """Return every fenced block as (language, body, whether closed), in order.

    Fences are those of CommonMark: a block ends with a fence of the same character that is at least as long. A block
    that ends with the fence behind its last line of code is closed, too. A fence inside a string of a Python program
    is part of the program.
    """
    blocks: list[tuple[str, str, bool]] = []
    lines = _LINE_ENDS.split(text)
    ahead = _Ahead(lines)
    number = 0
    while number < len(lines):
        match = _OPENING.fullmatch(lines[number])
        number += 1
        if not match:
            continue
        indent = "> " if ">" in match[0][: match.start(2)] else match[1] or " " * match.start(2)  # of a list's item
        body, number, closed = _block(lines, number, indent, match[2], ahead)
        blocks.append((_tag(match[3].lower()), body, closed))
    return blocks


def _tag(tag: str) -> str:
    """Return the language of a tag; a version is no part of it, and `code` names none."""
    return "python" if _PYTHON_TAG.fullmatch(tag) else "" if tag == "code" else tag


def _holds(mark: str, line: str) -> bool:
    return mark in line


class _Ahead:
    """What is searched for ahead of a line, shared by all blocks so that the text is passed over once."""

    def __init__(self, lines: list[str]) -> None:
        self.opening = _Next(lines, lambda line: (found := _OPENING.fullmatch(line)) is not None and found[3] != "")
        self.quotes = {mark: _Next(lines, partial(_holds, mark)) for mark in ("'''", '"""')}
        self._lines, self._closing = lines, dict[str, _Next]()

    def closing(self, fence: str) -> _Next:
        """Return the search for what closes a fence."""
        return self._closing.setdefault(fence, _Next(self._lines, partial(_closes, fence=fence)))


def _block(lines: list[str], start: int, indent: str, fence: str, ahead: _Ahead) -> tuple[str, int, bool]:
    """Return the body of a block, the number of the line behind it, and whether it is closed."""
    body: list[str] = []
    quote = ""
    closing, opening, quotes = ahead.closing(fence), ahead.opening, ahead.quotes
    for number in range(start, len(lines)):
        line = lines[number]
        if _closes(line, fence):
            if not quote or quotes[quote].after(number) == len(lines):
                return "\n".join(body) + "\n", number + 1, True
        elif not quote and line.rstrip().endswith(fence) and opening.after(number) <= closing.after(number):
            inner = line.rstrip().rstrip(fence[0])  # no fence that stands alone closes the block later
            return "\n".join([*body, inner.removeprefix(indent)]) + "\n", number + 1, True
        quote = _quote_after(line, quote)
        body.append(line[len(indent) :] if indent and line.startswith(indent) else line)
    return "\n".join(body) + "\n", len(lines), False


class _Next:
    """The next line that has a property, found in one pass over the lines."""

    def __init__(self, lines: list[str], holds: Callable[[str], bool]) -> None:
        self.lines, self.holds, self.found = lines, holds, -1

    def after(self, number: int) -> int:
        """Return the number of the first such line behind `number`, which never falls; how many there are if none."""
        if self.found <= number:
            rest = range(number + 1, len(self.lines))
            self.found = next((at for at in rest if self.holds(self.lines[at])), len(self.lines))
        return self.found


def _quote_after(line: str, quote: str) -> str:
    """Return the triple quotes that are open after a line."""
    comment = line.find("#")
    for found in _QUOTES.finditer(line):
        if quote:
            quote = "" if found[0] == quote else quote
        elif 0 <= comment < found.start():
            return ""
        else:
            quote = found[0]
    return quote


def _parses(program: str) -> bool:
    if len(program) > MAX_PARSED_CHARS:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _is_data(program: str) -> bool:
    """Return whether a text that parses does nothing: an example of input or output."""
    return not any(_LOOKS_LIKE_CODE.match(line) or "(" in line for line in program.split("\n"))


def _last_defining(programs: list[str], entry_point: str) -> str:
    """Return the last program that defines the most of the entry point's names: a class and its method, a function."""
    names = _NAMES.findall(entry_point)
    wanted = dict.fromkeys(names[:1] + names[-1:])
    most = max(sum(_defines(body, name) for name in wanted) for body in programs)
    return [body for body in programs if sum(_defines(body, name) for name in wanted) == most][-1]


def _defines(program: str, name: str) -> bool:
    return re.search(rf"\b(?:def|class)[ \t]+{name}\b|^{name}[ \t]*=", program, re.MULTILINE) is not None
