"""Where the final answer stands in a response: the part after the thinking, the last box, an answer tag, a phrase, or
a bare answer.

Plain string scanning, linear in the length of the response: a regular expression over 30,000 characters of reasoning
costs more than the judgement itself, and a nested quantifier over a model's text is a way to hang.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["tag", "boxed", "phrase", "bare", "tail"]

_PHRASE = re.compile(
    r"(?:final\s+answer|correct\s+(?:answer|option|choice)|answer)\s*(?:\*\*)?\s*(?:is|are|:|=|：)\s*(?:\*\*)?\s*:?\s*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[^\s])[.!?](?:\s|$)|\n")
MAX_TAIL_CHARS = 4_000
MAX_BARE_CHARS = 2_000


@dataclass(frozen=True)
class Found:
    """An answer's text and how it was marked. `bare` is a response that is nothing but the answer, `tail` an unmarked
    last line.
    """

    text: str
    kind: Kind


def final_part(response: str) -> str:
    """What follows the thinking. A response that never leaves its `<think>` part has no final part."""
    end = response.rfind("</think>")
    if end >= 0:
        return response[end + len("</think>") :].strip()
    start = response.find("<think>")
    return response[:start].strip() if start >= 0 else response.strip()


def boxed(text: str, position: int | None = None) -> str | None:
    """The content of the last `\\boxed{...}` or `\\fbox{...}`, braces matched; None when there is none or it is never
    closed.
    """
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox")) if position is None else position
    if start < 0:
        return None
    rest = text[start:].split("boxed" if text.startswith("\\boxed", start) else "fbox", 1)[1].lstrip()
    if not rest.startswith("{"):
        return rest.split()[0].rstrip(".$") if rest.split() else None
    depth = 0
    escaped = False
    for index, char in enumerate(rest):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                inner = rest[1:index].strip()
                return boxed(inner) if inner.startswith("\\boxed{") and inner.endswith("}") else inner
    return None


def all_boxed(text: str) -> list[str]:
    """Every box outside other boxes, in order."""
    found: list[str] = []
    position = text.find("\\boxed")
    while position >= 0:
        content = boxed(text, position)
        if content is not None:
            found.append(content)
        position = text.find("\\boxed", position + 6 + len(content or ""))
    return found


def find_answer(response: str) -> Found | None:
    """The final answer of a response; None when its final part is empty or its last box is cut off."""
    text = final_part(response)
    if not text:
        return None
    close = text.rfind("</answer>")
    opening = text.rfind("<answer>", 0, close if close >= 0 else len(text))
    if opening >= 0:
        inner = text[opening + len("<answer>") : close if close > opening else len(text)].strip()
        content = boxed(inner) if "\\boxed" in inner else inner
        return Found(content, "tag") if content else None
    if "\\boxed" in text or "\\fbox" in text:
        content = boxed(text)
        return Found(content, "boxed") if content else None
    tail = text[-MAX_TAIL_CHARS:]
    if "####" in tail:
        line = tail.rsplit("####", 1)[1].strip().split("\n")[0].strip()
        if line:
            return Found(line, "phrase")
    phrases = list(_PHRASE.finditer(tail))
    if phrases:
        said = _first_sentence(tail[phrases[-1].end() :])
        if said:
            return Found(said, "phrase")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and len(text) <= MAX_BARE_CHARS:
        return Found(text, "bare")
    return Found(lines[-1][-MAX_TAIL_CHARS:], "tail")


def _first_sentence(text: str) -> str:
    """Up to the end of the sentence or line; a display formula or a box that follows on the next line belongs to
    it.
    """
    text = text.lstrip()
    for opening, closing in (("$$", "$$"), ("\\[", "\\]"), ("$", "$"), ("\\(", "\\)")):
        if text.startswith(opening):
            end = text.find(closing, len(opening))
            if end > 0:
                rest = _SENTENCE_END.split(text[end + len(closing) :], maxsplit=1)[0]
                return text[: end + len(closing)] + rest
    end_of = _SENTENCE_END.search(text)
    return (text[: end_of.start()] if end_of else text).strip().strip("*").strip().rstrip(".").strip()


def unmarked(text: str) -> str:
    """Without the dollar signs, emphasis and final full stop around an answer."""
    text = text.strip().strip("*").strip()
    for opening, closing in (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$")):
        if len(text) > len(opening) + len(closing) - 1 and text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)]
            if opening not in inner:
                text = inner.strip()
                break
    return text[:-1].strip() if text.endswith(".") and not text.endswith("..") else text
