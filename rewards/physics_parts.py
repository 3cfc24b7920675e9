"""Match the statements of a response to the parts of a problem.

The parts of a response are its last boxes, or the lines of its last box, gathered under their marks `(a)`, `(b)`. Without a
box they are its last lines with such marks, and a list of as many members as there are parts is one member each. The
references are met in order. A part may state more than is asked, but not two values for one thing: `x = 1, x = 2`
answers nothing.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace

from rewards.degenerate_answers import degenerate_reason
from rewards.equivalence.compare import is_equivalent
from rewards.equivalence.containers import items
from rewards.equivalence.equations import name_of
from rewards.equivalence.normalize import split_top, tidy
from rewards.equivalence.numeric_equivalence import EquivalenceConfig
from rewards.extraction import all_boxed, final_part, find_answer

MAX_STATEMENTS, MAX_BOX_CHARS = 60, 8_000
_ENVIRONMENT = re.compile(
    r"\\(?:begin|end)\{(?:aligned|align\*?|gathered|array|split|cases|enumerate|itemize|tabular)\}(?:\{[a-z|]*\})?|\\item\b"
)
_LINE = re.compile(r"\\\\(?:\[[^\]]*\])?|\n\s*\n")
_MARK = re.compile(
    r"\s*(?:\\(?:text|textbf|mathrm)\s*\{\s*)?\(\s*(?:[a-h]|i{1,3}|iv|v|\d)\s*\)\s*(?:\([ivx]+\)\s*)?:?\s*\}?\s*"
)
_BREAK = re.compile(r"\\(?:q?quad|implies|Longrightarrow|Rightarrow|text\s*\{\s*(?:and|or)\s*\})(?![A-Za-z])|\\q?quad")
_COLON = re.compile(r"\\text\s*\{[^{}]*[:,]\s*\}|^\s*\\text\s*\{[^{}]*\}\s*(?=\S)")

_DENIES = re.compile(
    r"\b(?:not|no|never|less|more|most|least|half|twice|minus|unless|except|wrong|incorrect|below|above)\b"
)


@dataclass(frozen=True)
class PartStatement:
    """One statement of a part.

    Its text, the part's number, and the name on its left-hand side.
    """

    text: str
    part: int
    name: str | None


def statements_of(response: str, count: int) -> list[PartStatement]:
    """Return the statements of a response to a problem in `count` parts, in order."""
    text = final_part(response)
    boxes = all_boxed(text)
    if not boxes:
        found = find_answer(response)
        boxes = [_marked_lines(text) or found.text] if found else []
    if len(boxes) >= count:
        return [_statement(box, part) for part, box in enumerate(boxes[-count:])]
    found_parts: list[PartStatement] = []
    for box in boxes:
        for part in _parts(box[:MAX_BOX_CHARS]):
            number = found_parts[-1].part + 1 if found_parts else 0
            found_parts += [_statement(piece, number) for piece in _pieces(part)]
    if len(found_parts) == count and found_parts[-1].part == 0:
        found_parts = [replace(statement, part=number) for number, statement in enumerate(found_parts)]
    return found_parts[:MAX_STATEMENTS]


def _marked_lines(text: str) -> str:
    """Return the last lines of a text where each has a mark, two or more; else nothing."""
    lines = [line for line in text[-MAX_BOX_CHARS:].splitlines() if line.strip()]
    marked = list(itertools.takewhile(_MARK.match, reversed(lines)))
    return "\n\n".join(reversed(marked)) if len(marked) > 1 else ""


def _parts(box: str) -> list[str]:
    lines = [line for line in _LINE.split(_ENVIRONMENT.sub("", box).replace("&", " ")) if line.strip(" ,.;")]
    if not any(_MARK.match(line) for line in lines):
        return lines
    parts: list[str] = []
    for line in lines:
        mark = _MARK.match(line)
        if mark or not parts:
            parts.append(line[mark.end() :] if mark else line)
        else:
            parts[-1] += " ; " + line
    return parts


def _pieces(part: str) -> list[str]:
    pieces = [piece for piece in items(_BREAK.sub(" ; ", part)).parts if piece.strip(" ,.;:")]
    return pieces if len(pieces) <= 1 or all(map(str.strip, pieces)) else [part]


def _statement(text: str, part: int) -> PartStatement:
    text = _unlabeled(text)
    sides = split_top(tidy(text), "=")
    return PartStatement(text, part, name_of(sides[0]) if len(sides) > 1 else None)


def _unlabeled(text: str) -> str:
    """Return a statement without the words before it (`Ground state: E_0`), unless they deny or limit it."""
    label = _COLON.search(text)
    plain = _COLON.sub("", text)
    if label is None or _DENIES.search(label.group()) or len(plain.strip(" ,.;")) <= 1:
        return text
    return plain


def met(golds: list[str], stated: list[PartStatement], config: EquivalenceConfig, prompt: str = "") -> int:
    """Return how many references the statements meet, in order."""
    place = count = 0
    for gold in golds:
        for index in range(place, len(stated)):
            said = stated[index].text
            if (
                is_equivalent(gold, said, config) or is_equivalent(_unlabeled(gold), said, config)
            ) and not degenerate_reason(stated[index].text, gold, prompt):
                count += _is_only(stated[index], stated)
                place = index + 1
                break
    return count


def _is_only(statement: PartStatement, stated: list[PartStatement]) -> bool:
    """Return whether a part states nothing else under the same name."""
    rivals = [
        other
        for other in stated
        if other.part == statement.part and other is not statement and other.name == statement.name
    ]
    if statement.name is None:
        rivals = [other for other in rivals if not re.search(r"\\text|[<>=]|\\le|\\ge", other.text)]
    return all(is_equivalent(statement.text, other.text) for other in rivals)
