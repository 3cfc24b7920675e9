"""The plugin API of rewards: what a rewarder is handed, what it gives back, and how one is called.

A rewarder is a function, or an instance of a class, that names the arguments it wants among `prompt`, `response`,
`answer`, `info` and `data_source` and returns a `Score`. It may be `async`. A plain `float` or `bool` is accepted
too, so that a one-line reward stays one line, and `None` means "I do not judge this one". Everything that crosses a
process border is plain data (`to_dict`, `from_dict`): an object of a computer-algebra system may take for ever to
print or pickle, a string cannot.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from innovator_rl.errors import UserError

Outcome = Literal["scored", "abstained", "error"]
Rewarder = Callable[..., Any]

REQUEST_ARGUMENTS = ("prompt", "response", "answer", "info", "data_source")
MAX_EXTRACTED_CHARS = 2_000
MAX_TERMS = 64

ENGINE_REASONS: dict[str, str] = {
    "correct": "the response agrees with the reference answer",
    "wrong": "an answer was read and it differs from the reference",
    "partial": "not the reference, but close enough for part of the value",
    "no_answer": "no final answer could be found in the response",
    "malformed_answer": "something stands where the answer belongs, but it cannot be read",
    "ambiguous_answer": "several different answers are offered at once",
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
"""Reasons that say nothing about the response: their outcome is `error`, and data pipelines should not learn from
them.
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
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)) or not math.isfinite(self.value):
            raise ValueError(f"Score.value must be a finite number, got {self.value!r}")
        if not isinstance(self.correct, bool):
            raise ValueError(f"Score.correct must be True or False, got {self.correct!r}")
        if not isinstance(self.reason, str) or not _REASON_FORM.fullmatch(self.reason):
            raise ValueError(f"Score.reason must be a short code such as 'no_answer', got {str(self.reason)[:60]!r}")
        if self.extracted is not None and not isinstance(self.extracted, str):
            raise ValueError(f"Score.extracted must be a string or None, got {type(self.extracted).__name__}")
        if self.outcome not in ("scored", "abstained", "error"):
            raise ValueError(f"Score.outcome must be scored, abstained or error, got {self.outcome!r}")
        if self.outcome != "scored" and (self.correct or self.value != 0):
            raise ValueError(f"a Score with outcome {self.outcome!r} has value 0 and is not correct")
        for name, part in self.terms.items():
            if not isinstance(name, str) or not isinstance(part, (int, float)) or not math.isfinite(part):
                raise ValueError(f"Score.terms must map names to finite numbers, got {name!r}: {part!r}")

    def to_dict(self) -> dict[str, Any]:
        """The score as JSON-ready data; `from_dict` is its inverse."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """A score from `to_dict`'s form. Raises `ValueError` or `TypeError` on anything else."""
        return cls(**data)


@dataclasses.dataclass(frozen=True)
class ScoreRequest:
    """One response to judge: plain strings and one dictionary of JSON data.

    `rewarder` is an installed name (`innovator reward list`) or `package.module:attribute`; `info` is what the data
    row carries for it.
    """

    rewarder: str
    response: str
    answer: str = ""
    prompt: str = ""
    info: dict[str, Any] = dataclasses.field(default_factory=dict)
    data_source: str = ""

    def arguments(self) -> dict[str, Any]:
        """What a rewarder may name as parameters."""
        return {name: getattr(self, name) for name in REQUEST_ARGUMENTS}

    def to_dict(self) -> dict[str, Any]:
        """The request as JSON-ready data."""
        return {"rewarder": self.rewarder, **self.arguments()}


def error_score(reason: str, seconds: float = 0.0) -> Score:
    """The score of a response that could not be judged: value 0, not correct, outcome `error`."""
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


def named_arguments(rewarder: Rewarder) -> tuple[str, ...]:
    """The request arguments that `rewarder` names; all of them when it takes `**kwargs`.

    Raises `UserError` when it demands an argument that no request has.
    """
    parameters = inspect.signature(rewarder).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return REQUEST_ARGUMENTS
    for parameter in parameters:
        optional = parameter.default is not parameter.empty or parameter.kind is parameter.VAR_POSITIONAL
        keyword = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if not optional and (parameter.name not in REQUEST_ARGUMENTS or not keyword):
            raise UserError(
                f"rewarder {rewarder!r} asks for {parameter.name!r}; a rewarder is called by keyword with any of "
                + ", ".join(REQUEST_ARGUMENTS)
            )
    return tuple(p.name for p in parameters if p.name in REQUEST_ARGUMENTS)


def normalise(result: object) -> Score:
    """Make a `Score` of what a rewarder returned.

    A number is its own value and correct from 1 upwards; a bool is 1 or 0; None abstains. Anything else, NaN and
    infinities are `bad_result`. Over-long texts are cut here so that no response can flood the pipe or the record.
    """
    if result is None:
        return abstain()
    if isinstance(result, bool):
        return right() if result else wrong()
    if isinstance(result, Score):
        if len(result.terms) > MAX_TERMS:
            return error_score("bad_result")
        if result.extracted is not None and len(result.extracted) > MAX_EXTRACTED_CHARS:
            return dataclasses.replace(result, extracted=result.extracted[:MAX_EXTRACTED_CHARS])
        return result
    try:
        value = float(result)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return error_score("bad_result")
    if isinstance(result, (str, bytes)) or not math.isfinite(value):
        return error_score("bad_result")
    return Score(value=value, correct=value >= 1.0, reason="correct" if value >= 1.0 else "wrong")


def call_rewarder(rewarder: Rewarder, request: ScoreRequest) -> Score:
    """Call a rewarder, sync or async, with the arguments it names, and normalise its result. Its exceptions pass
    through.
    """
    arguments = request.arguments()
    result = rewarder(**{name: arguments[name] for name in named_arguments(rewarder)})
    if inspect.isawaitable(result):
        result = asyncio.run(_await(result))
    return normalise(result)


async def _await(awaitable: Any) -> Any:
    return await awaitable
