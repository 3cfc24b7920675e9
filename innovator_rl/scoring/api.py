"""Define the plugin API of rewards: `ScoreRequest` goes in, `Score` comes out.

How a rewarder is called is described in `invoke.py`. A score has one of three outcomes, which stay distinct from here
to the record of a run:

- `scored`: the response was read and scored; `value` and `correct` count.
- `abstained`: the row cannot be scored, for a stated reason; the sample is unscored and counts in no average.
- `error`: the infrastructure failed (a crash, a time-out, an exception), after a second try where one may help. The
  sample is unscored as well, and it is never recorded as a silent 0.

Everything that crosses a process border is plain data (`to_dict`, `from_dict`): an object of a computer-algebra
system may take forever to print or pickle, a string cannot.
"""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

Outcome = Literal["scored", "abstained", "error"]
Rewarder = Callable[..., Any]

TURN_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "</s>")
"""Tokens with which chat templates end a response; they are removed before scoring."""

MAX_RESPONSE_CHARS = 1_000_000
MAX_ANSWER_CHARS = 1_000_000
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
    "abstained": "the rewarder returned None: it does not score this response",
    "unsafe_code_refused": "the rewarder would run the response as a program and was not allowed to",
    "timeout": "the rewarder ran past its deadline and its process was killed",
    "crashed": "the rewarder's process died, twice",
    "memory": "the rewarder asked for more memory than it may have",
    "raised": "the rewarder raised an exception",
    "bad_result": "the rewarder returned something that is not a score, or a value that is not finite",
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
    """The score of one response.

    Attributes:
        value: The reward, a finite number.
        correct: What dynamic sampling and pass@k count.
        reason: A short code, from `ENGINE_REASONS` or the rewarder's own.
        extracted: The answer that was read out of the response.
        terms: The named parts of the value.
        outcome: `scored`, `abstained` or `error`.
        seconds: The time of the call, set by the pool.

    Raises:
        ValueError: A field cannot be used.
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
    def scored(self) -> bool:
        """Return whether the value counts: neither an abstention nor an error."""
        return self.outcome == "scored"

    def to_dict(self) -> dict[str, Any]:
        """Return the score as JSON-ready data; `from_dict` is the inverse."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """Return the score that `to_dict` wrote.

        Raises:
            ValueError: A field cannot be used.
            TypeError: A field is unknown or missing.
        """
        return cls(**data)


@dataclasses.dataclass(frozen=True)
class ScoreRequest:
    """One response to score, or all responses of a prompt for a group rewarder.

    Attributes:
        rewarder: An installed name (`innovator reward list`), `package.module:attribute`, `path/to/file.py:attribute`
            or a composite of those (see `composite.py`).
        response: The text to score.
        answer: The reference answer of the data row.
        prompt: The prompt as text.
        info: What the data row provides for the rewarder, as JSON data.
        data_source: The name of the data set.
        responses: All responses of the prompt, for a rewarder that compares them.

    Raises:
        TypeError: A text is not a string, or `info` is not a dictionary.
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
        """Return the number of scores that the request asks for."""
        return len(self.responses) or 1

    def arguments(self) -> dict[str, Any]:
        """Return what a rewarder may name as parameters."""
        return {name: getattr(self, name) for name in REQUEST_ARGUMENTS}

    def to_dict(self) -> dict[str, Any]:
        """Return the request as JSON-ready data."""
        return {"rewarder": self.rewarder, **self.arguments(), "responses": list(self.responses)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScoreRequest:
        """Return the request that `to_dict` wrote."""
        return cls(**{**data, "responses": tuple(data.get("responses", ()))})


def answer_text(answer: object) -> str:
    """Return an answer of a data row as text, in the form in which it is trained on.

    A list or an object is JSON, and a missing answer an empty text.
    """
    if answer is None:
        return ""
    return json.dumps(answer, ensure_ascii=False) if isinstance(answer, (list, dict)) else str(answer).strip()


def too_long(request: ScoreRequest) -> bool:
    """Return whether a text exceeds the cap that holds for every rewarder."""
    longest = max((len(response) for response in request.responses), default=len(request.response))
    return longest > MAX_RESPONSE_CHARS or len(request.answer) > MAX_ANSWER_CHARS


def error_score(reason: str, seconds: float = 0.0) -> Score:
    """Return the score of a failed call: value 0, not correct, outcome `error`."""
    assert reason in ERROR_REASONS, reason
    return Score(value=0.0, correct=False, reason=reason, outcome="error", seconds=seconds)


def abstain(reason: str = "abstained") -> Score:
    """Return the score of a response that the rewarder cannot score."""
    return Score(value=0.0, correct=False, reason=reason, outcome="abstained")


def right(extracted: str | None = None, **terms: float) -> Score:
    """Return full marks: value 1, correct."""
    return Score(value=1.0, correct=True, reason="correct", extracted=extracted, terms=terms)


def wrong(reason: str = "wrong", extracted: str | None = None, **terms: float) -> Score:
    """Return no marks, with the reason."""
    return Score(value=0.0, correct=False, reason=reason, extracted=extracted, terms=terms)
