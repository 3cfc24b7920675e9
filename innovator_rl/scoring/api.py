"""The plugin API of rewards: what a rewarder is handed and what it gives back (`calling.py`: how it is called).

A judgement has one of three outcomes, which are kept apart from here to the record of a run:

- `scored`: the response was read and judged; `value` and `correct` count;
- `abstained`: the rewarder declines, with a reason; the response teaches nothing and counts for nobody;
- `error`: the infrastructure failed (a crash, a time-out, an exception), after a second try where one may help. Like
  an abstention it is no verdict, and it is never a silent 0.

Everything that crosses a process border is plain data (`to_dict`, `from_dict`): an object of a computer-algebra
system may take for ever to print or pickle, a string cannot.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

Outcome = Literal["scored", "abstained", "error"]
Rewarder = Callable[..., Any]

TURN_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "</s>")
"""Tokens with which chat templates end a response; no rewarder sees them."""

REQUEST_ARGUMENTS = ("prompt", "response", "answer", "info", "data_source")

ENGINE_REASONS: dict[str, str] = {
    "correct": "the response agrees with the reference answer",
    "wrong": "an answer was read and it differs from the reference",
    "partial": "not the reference, but close enough for part of the value",
    "no_answer": "no final answer could be found in the response",
    "malformed_answer": "something stands where the answer belongs, but it cannot be read",
    "ambiguous_answer": "several different answers are offered at once",
    "echo": "a piece of the question is repeated where the answer belongs",
    "unevaluated": "the arithmetic that would give the answer is left undone",
    "too_long": "the answer or the response exceeds the rewarder's input cap and was not parsed",
    "bad_reference": "the reference answer of the data row cannot be used",
    "bad_info": "the row's info does not have the form the rewarder documents",
    "abstained": "the rewarder returned None: it does not judge this response",
    "unsafe_code_refused": "the rewarder would run the response as a program and was not allowed to",
    "timeout": "the rewarder ran past its deadline and its process was killed",
    "crashed": "the rewarder's process died, twice",
    "memory": "the rewarder asked for more memory than it may have",
    "raised": "the rewarder raised an exception",
    "bad_result": "the rewarder returned something that is no score, or a value that is not finite",
    "unknown_rewarder": "no rewarder of that name is installed",
    "load_failed": "the rewarder is installed but could not be imported or constructed",
    "engine_failed": "the scoring processes could not be started",
}
"""Reason codes with a fixed meaning. A rewarder may add codes of its own: lower-case words joined by underscores."""

ERROR_REASONS = (
    "timeout",
    "crashed",
    "memory",
    "raised",
    "bad_result",
    "unknown_rewarder",
    "load_failed",
    "engine_failed",
)
"""The engine's reasons with outcome `error`: they say nothing about the response, so nothing should learn from them. A
rewarder may return an `error` with a reason of its own (`sandbox_failure`).
"""
FINAL_ERRORS = ("timeout", "bad_result", "unknown_rewarder", "load_failed")
"""Errors that stand at once: a second try would take as long again, or end in the same way. All others are retried
once, in another process.
"""

_REASON_FORM = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclasses.dataclass(frozen=True)
class Score:
    """The judgement of one response.

    `value` is the reward; `correct` is what dynamic sampling and pass@k count; `reason` a short code; `extracted` the
    answer read out of the response; `terms` the named parts of the value; `seconds` the judging time, set by the
    pool. Raises `ValueError` when a field cannot be used.
    """

    value: float
    correct: bool
    reason: str
    extracted: str | None = None
    terms: dict[str, float] = dataclasses.field(default_factory=dict)
    outcome: Outcome = "scored"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, numbers.Real) or not math.isfinite(self.value):
            raise ValueError(f"Score.value must be a finite number, got {self.value!r}")
        object.__setattr__(self, "value", float(self.value))  # a NumPy float would not pass as JSON
        if not isinstance(self.correct, bool):
            raise ValueError(f"Score.correct must be a bool, True or False, got {self.correct!r}")
        if not isinstance(self.reason, str) or not _REASON_FORM.fullmatch(self.reason):
            raise ValueError(f"Score.reason must be a short code such as 'no_answer', got {str(self.reason)[:60]!r}")
        if self.extracted is not None and not isinstance(self.extracted, str):
            raise ValueError(f"Score.extracted must be a string or None, got {type(self.extracted).__name__}")
        if self.outcome not in ("scored", "abstained", "error"):
            raise ValueError(f"Score.outcome must be scored, abstained or error, got {self.outcome!r}")
        if self.outcome != "scored" and (self.correct or self.value != 0):
            raise ValueError(f"a Score with outcome {self.outcome!r} has value 0 and is not correct")
        for name, part in self.terms.items():
            if not isinstance(name, str) or not isinstance(part, numbers.Real) or not math.isfinite(part):
                raise ValueError(f"Score.terms must map names to finite numbers, got {name!r}: {part!r}")
        object.__setattr__(self, "terms", {name: float(part) for name, part in self.terms.items()})

    @property
    def judged(self) -> bool:
        """Whether this is a verdict on the response: neither an abstention nor an error."""
        return self.outcome == "scored"

    def to_dict(self) -> dict[str, Any]:
        """The score as JSON-ready data; `from_dict` is its inverse."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """A score from `to_dict`'s form. Raises `ValueError` or `TypeError` on anything else."""
        return cls(**data)


@dataclasses.dataclass(frozen=True)
class ScoreRequest:
    """One response to judge, or all responses of a prompt for a rewarder that compares them (`responses`).

    Plain strings and one dictionary of JSON data. `rewarder` is an installed name (`innovator reward list`),
    `package.module:attribute`, `path/to/file.py:attribute` or a formula of those (see `composition.py`); `info` is
    what the data row carries for it. Raises `TypeError` for a text that is no string.
    """

    rewarder: str
    response: str
    answer: str = ""
    prompt: str = ""
    info: dict[str, Any] = dataclasses.field(default_factory=dict)
    data_source: str = ""
    responses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        texts = (self.rewarder, self.response, self.answer, self.prompt, self.data_source, *self.responses)
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.info, dict):
            raise TypeError("a ScoreRequest holds strings, and a dictionary as info")

    @property
    def size(self) -> int:
        """How many scores it asks for."""
        return len(self.responses) or 1

    def arguments(self) -> dict[str, Any]:
        """What a rewarder may name as parameters."""
        return {name: getattr(self, name) for name in REQUEST_ARGUMENTS}

    def to_dict(self) -> dict[str, Any]:
        """The request as JSON-ready data."""
        return {"rewarder": self.rewarder, **self.arguments(), "responses": list(self.responses)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScoreRequest:
        """A request from `to_dict`'s form."""
        return cls(**{**data, "responses": tuple(data.get("responses", ()))})


def error_score(reason: str, seconds: float = 0.0) -> Score:
    """The score of a response that the engine could not have judged: value 0, not correct, outcome `error`."""
    assert reason in ERROR_REASONS, reason
    return Score(value=0.0, correct=False, reason=reason, outcome="error", seconds=seconds)


def abstain(reason: str = "abstained") -> Score:
    """The score of a response that the rewarder declines to judge."""
    return Score(value=0.0, correct=False, reason=reason, outcome="abstained")


def right(extracted: str | None = None, **terms: float) -> Score:
    """Full marks."""
    return Score(value=1.0, correct=True, reason="correct", extracted=extracted, terms=terms)


def wrong(reason: str = "wrong", extracted: str | None = None, **terms: float) -> Score:
    """No marks, with the reason why."""
    return Score(value=0.0, correct=False, reason=reason, extracted=extracted, terms=terms)
