"""Read golden cases, responses with a known score next to their rewarder.

The file has one JSON object per line. `case` names what must hold, the other fields are the arguments of the rewarder:

    {"case": "full", "prompt": "2 + 2?", "response": "So it is 4.", "answer": "4"}

| case        | must hold                                                                  |
|-------------|----------------------------------------------------------------------------|
| `full`      | scored, correct, value at least 0.999                                      |
| `partial`   | scored, value between 0.02 and 0.999                                       |
| `zero`      | scored, not correct, value at most 0.02: readable, plausible, wrong        |
| `malformed` | scored or abstained, not correct, value at most 0.02: empty, cut, hedged   |
| `abstain`   | abstained: a row that cannot be scored                                     |

A group rewarder has cases with `responses` and one kind for each of them, and a list for each further expectation:

    {"case": ["full", "zero"], "responses": ["The sum is 4.", "4"], "answer": "4"}

An `answer` that is not text is read as a data set's is: 4 and "4" are one answer.

`value` ([low, high]) replaces the bounds; `reason` and `extracted`, where given, must be met exactly; `note` is a
comment. The file is `golden/NAME.jsonl` or `golden.jsonl` in the folder of the rewarder's module or of a package above.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.scoring.api import Score, ScoreRequest, answer_text

NOTHING, FULL = 0.02, 0.999
KINDS: dict[str, tuple[tuple[str, ...], bool | None, float, float]] = {
    "full": (("scored",), True, FULL, float("inf")),
    "partial": (("scored",), None, NOTHING, FULL),
    "zero": (("scored",), False, float("-inf"), NOTHING),
    "malformed": (("scored", "abstained"), False, float("-inf"), NOTHING),
    "abstain": (("abstained",), False, float("-inf"), NOTHING),
}
"""Kind of case -> outcomes allowed, `correct` (None: either), least and greatest value."""

_INPUTS = ("response", "answer", "prompt", "info", "data_source")
_EXPECTED = ("value", "reason", "extracted")


@dataclasses.dataclass(frozen=True)
class Case:
    """One golden case; `line` is its line number in the file."""

    kind: str
    line: int
    inputs: dict[str, Any]
    value: tuple[float, float] | None = None
    reason: str | None = None
    extracted: str | None = None

    def request(self, rewarder: str) -> ScoreRequest:
        """Return the request for a rewarder; of a group it has all responses, and as `response` the one of this case."""
        return ScoreRequest(rewarder, **self.inputs)

    def faults(self, score: Score) -> Iterator[str]:
        """Yield each respect in which a score is not as this case requires."""
        outcomes, correct, low, high = KINDS[self.kind]
        if score.outcome not in outcomes:
            yield f"outcome {score.outcome} ({score.reason}), expected {' or '.join(outcomes)}"
            return
        if correct is not None and score.correct != correct:
            yield f"correct is {score.correct} ({score.reason}), expected {correct}"
        low, high = self.value or (low, high)
        if not low <= score.value <= high:
            yield f"value {score.value:g}, expected {low:g} to {high:g}"
        if self.reason is not None and score.reason != self.reason:
            yield f"reason {score.reason}, expected {self.reason}"
        if self.extracted is not None and score.extracted != self.extracted:
            yield f"extracted {score.extracted!r}, expected {self.extracted!r}"


def read(path: Path) -> list[Case]:
    """Return the cases of a file.

    Raises:
        UserError: A line cannot be used; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read golden cases {path}: {error}") from error
    return [case for number, line in enumerate(lines, 1) if line.strip() for case in _cases(path, number, line)]


def _cases(path: Path, number: int, line: str) -> Iterator[Case]:
    """Yield the case of a line, or one for each response of a group."""
    where = f"{path}:{number}"
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict) or "responses" not in row:
        yield _case(where, number, row)
        return
    responses, lists = row["responses"], {name: row[name] for name in ("case", *_EXPECTED) if name in row}
    size = len(responses) if isinstance(responses, list) else 0
    if not size or any(not isinstance(values, list) or len(values) != size for values in lists.values()):
        raise UserError(f"{where}: `responses` must be a list, and {', '.join(lists)} lists of the same length")
    shared = {name: value for name, value in row.items() if name not in lists and name != "responses"}
    for position, response in enumerate(responses):
        own = {name: values[position] for name, values in lists.items()}
        yield _case(where, number, {**shared, **own, "response": response}, tuple(responses))


def _case(where: str, number: int, row: Any, responses: tuple[str, ...] = ()) -> Case:
    kind = row.get("case") if isinstance(row, dict) else row
    if isinstance(row, dict) and isinstance(kind, list):
        raise UserError(f"{where}: `case` = {kind!r}: a list of cases needs `responses`, a list of the same length")
    if not isinstance(row, dict) or not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f"{where}: `case` is {kind!r}, expected one of {', '.join(KINDS)}")
    unknown = sorted(set(row) - {"case", "note", *_INPUTS, *_EXPECTED})
    if unknown:
        raise UserError(f"{where}: unknown fields {', '.join(unknown)}; known: {', '.join((*_INPUTS, *_EXPECTED))}")
    if "response" not in row:
        raise UserError(f"{where}: `response` is required")
    inputs = {name: row[name] for name in _INPUTS if name in row}
    if "answer" in inputs:
        inputs["answer"] = answer_text(inputs["answer"])
    for name, value in inputs.items():
        if not isinstance(value, dict if name == "info" else str):
            raise UserError(f"{where}: `{name}` = {value!r:.80}: must be {'an object' if name == 'info' else 'text'}")
    if responses:
        inputs["responses"] = responses
    bounds = row.get("value")
    if bounds is not None and not (isinstance(bounds, list) and len(bounds) == 2):
        raise UserError(f"{where}: `value` must be a range [low, high], got {bounds!r}")
    return Case(kind, number, inputs, tuple(bounds) if bounds else None, row.get("reason"), row.get("extracted"))


def find(name: str, source: Path) -> Path | None:
    """Return the golden file of a rewarder, or None where there is none.

    Args:
        name: The rewarder's name.
        source: The file of its code.
    """
    folder = source.parent
    while True:
        for candidate in (folder / "golden" / f"{name}.jsonl", folder / "golden.jsonl"):
            if candidate.is_file():
                return candidate
        if not (folder / "__init__.py").is_file():
            return None
        folder = folder.parent
