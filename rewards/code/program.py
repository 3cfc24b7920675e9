"""Find the program in a response: a fenced block, or all of the final part."""

from __future__ import annotations

import re

from rewards.extraction import final_part

PYTHON = ("python", "python3", "py", "")
_OPENING = re.compile(r"^([ \t]*)(?:[>*-][ \t]+)?(`{3,}|~{3,})[ \t]*([A-Za-z0-9_+.#-]*)[^`]*$")
_LOOKS_LIKE_CODE = re.compile(
    r"^\s*(?:def |class |import |from \w+ import |print\(|for |while |\w+\s*=|async def )", re.MULTILINE
)
_NAME = re.compile(r"([A-Za-z_]\w*)\W*$")


def program_of(response: str, entry_point: str = "") -> str | None:
    """Return the program; None where there is none.

    Of several Python blocks the last counts, and where an `entry_point` such as `Solution().f` is wanted the last that
    defines it: what follows is often an example of its use. A block that the response never closed counts if no other
    does.
    """
    text = final_part(response, limit=max(1, len(response)))  # a cut program would be another program
    blocks = fenced(text)
    python = [body for language, body, closed in blocks if language in PYTHON and closed]
    python = python or [body for language, body, _ in blocks if language in PYTHON]
    if python:
        defining = [body for body in python if entry_point and _defines(body, entry_point)]
        return (defining or python)[-1]
    return text if not blocks and _LOOKS_LIKE_CODE.search(text) else None


def fenced(text: str) -> list[tuple[str, str, bool]]:
    """Return every fenced block as (language, body, whether closed), in order.

    Fences are those of CommonMark: a block ends with a fence of the same character that is at least as long.
    """
    blocks: list[tuple[str, str, bool]] = []
    opening: tuple[str, str, str] | None = None
    body: list[str] = []
    for line in text.splitlines():
        if opening is None:
            match = _OPENING.match(line)
            if match:
                opening, body = (match[1], match[2], match[3].lower()), []
            continue
        indent, fence, language = opening
        stripped = line.strip()
        if stripped.startswith(fence) and not stripped.strip(fence[0]):
            blocks.append((language, "\n".join(body) + "\n", True))
            opening = None
        else:
            body.append(line[len(indent) :] if indent and line.startswith(indent) else line)
    if opening is not None:
        blocks.append((opening[2], "\n".join(body) + "\n", False))
    return blocks


def _defines(program: str, entry_point: str) -> bool:
    """Is the last name of the entry point defined in the program?"""
    name = _NAME.search(entry_point)
    return name is not None and re.search(rf"\b(?:def|class)\s+{name[1]}\b|^{name[1]}\s*=", program, re.M) is not None
