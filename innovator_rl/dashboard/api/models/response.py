"""Model the routes about one group or one response."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from innovator_rl.dashboard.api.models.base import GroupKey, Model, Number, ResponseKey
from innovator_rl.dashboard.api.models.rollouts import GroupRow, ResponseRow
from innovator_rl.dashboard.api.models.tools import Label


class Term(Model):
    """One named part of a score."""

    name: str = Field(description="Name of the part.")
    value: Number = Field(description="Its value.")
    weight: Number = Field(description="Its weight, where one was recorded apart from the value.")


class OtherGroup(GroupKey):
    """The same prompt in another step of the run."""

    correct: int = Field(description="Correct responses.")
    samples: int = Field(description="Number of responses.")
    reward_mean: Number = Field(description="Mean reward of the scored responses.")
    status: str = Field(description="What became of the group.")


class PromptText(Model):
    """The prompt of a group, and what its rewarder received next to the response."""

    prompt: str | None = Field(description="The prompt as text.")
    messages: Any = Field(description="The prompt as chat messages; raw text where it is not JSON.")
    answer: str | None = Field(description="Reference answer.")
    info: Any = Field(description="More data for the rewarder; raw text where it is not JSON.")


class GroupResponse(ResponseRow):
    """One response of a group with its text."""

    terms: list[Term] = Field(description="Parts of the score.")
    error: str | None = Field(description="Error of the generation or the scoring.")
    response: str = Field(description="The text, cut after `chars` characters.")
    response_chars: int = Field(description="Full length in characters.")
    text_error: str | None = Field(description="Why the text cannot be read.")


class GroupDetail(PromptText):
    """One group with all its responses."""

    group: GroupRow = Field(description="The group's row.")
    responses: list[GroupResponse] = Field(description="All responses, the best reward first.")
    previous: GroupKey | None = Field(description="The group before it in the step.")
    next: GroupKey | None = Field(description="The group after it in the step.")
    other_steps: list[OtherGroup] = Field(description="The same prompt in other steps.")


class ScoreDetail(Model):
    """A score and its parts."""

    value: Number = Field(description="Value of the score.")
    overlong_penalty: Number = Field(description="Penalty for length.")
    reward: Number = Field(description="Value plus penalty.")
    correct: bool | None = Field(description="Whether the answer is correct.")
    outcome: str | None = Field(description="`scored`, `abstained` or `error`.")
    reason: str | None = Field(description="Reason code.")
    reason_meaning: str | None = Field(description="Meaning of the code; null for a rewarder's own code.")
    rewarder: str | None = Field(description="Rewarder, with parameters or as a formula.")
    extracted: str | None = Field(description="The answer that the rewarder found.")
    gold: str | None = Field(description="Reference answer.")
    seconds: Number = Field(description="Duration of the scoring.")
    terms: list[Term] = Field(description="Parts of the score.")


class MoleculeLinks(Model):
    """The molecules that a response is about."""

    role: Literal["answer", "question"] = Field(
        description="`answer`: predicted and reference; `question`: the prompt's molecule, in `gold`."
    )
    predicted: str | None = Field(description="The predicted molecule.")
    gold: str | None = Field(description="The reference molecule, or the prompt's.")
    svg: str = Field(description="Address of the picture.")
    figures: str = Field(description="Address of the comparison.")


class CodeTest(Model):
    """One test of a program."""

    index: int = Field(description="Number of the test, from 0.")
    result: Literal["passed", "wrong_output", "error", "timeout", "memory", "not_run", "unknown"] = Field(
        description="What happened, as far as it was recorded."
    )
    input: str = Field(description="Input or call.")
    expected: str = Field(description="Expected output.")
    output: str | None = Field(description="Actual output, where it was recorded.")
    seconds: Number = Field(description="Duration, where it was recorded.")


class CodeReport(Model):
    """A program and its tests."""

    program: str = Field(description="The program found in the response.")
    language: str = Field(description="Its language.")
    passed: int | None = Field(description="Number of tests that passed.")
    total: int = Field(description="Number of tests.")
    tests: list[CodeTest] = Field(description="The tests.")


class Sibling(Model):
    """Another response of the group, or the response itself."""

    sample_index: int = Field(description="Index within the group.")
    reward: Number = Field(description="Its reward.")
    correct: bool | None = Field(description="Whether it is correct.")


class Turn(Model):
    """One turn of a response: the model's, a tool call, a tool's result or the environment's."""

    role: str = Field(description="`assistant`, `call`, `tool`, `user` or another recorded role.")
    name: str | None = Field(description="Name of the tool.")
    content: str = Field(description="The text, cut after 20,000 characters.")
    trained: bool = Field(description="Whether its tokens are trained on; false for masked text.")
    tokens: int | None = Field(description="Number of tokens, where it was recorded.")
    seconds: Number = Field(description="Duration, where it was recorded.")
    cut: int = Field(description="Number of characters that were left out.")


class ResponseDetail(PromptText):
    """Everything recorded about one response."""

    row: ResponseRow = Field(description="The response's row.")
    error: str | None = Field(description="Error of the generation or the scoring.")
    response: str = Field(description="The text from `offset` on.")
    offset: int = Field(description="First character of `response`.")
    response_chars: int = Field(description="Full length in characters.")
    parts: list[int] = Field(description="First character of each part of at most `limit` characters.")
    turns: list[Turn] = Field(description="Turns of a conversation; empty where the response is one turn.")
    score: ScoreDetail = Field(description="The score.")
    molecules: MoleculeLinks | None = Field(description="Molecules; null where there are none.")
    code: CodeReport | None = Field(description="Program and tests; null where there is no program.")
    tokens: bool = Field(description="Whether token data was recorded.")
    labels: list[Label] = Field(description="Its labels.")
    siblings: list[Sibling] = Field(description="All responses of the group.")
    previous: ResponseKey | None = Field(description="The response before it in the group.")
    next: ResponseKey | None = Field(description="The response after it in the group.")
    text_error: str | None = Field(description="Why the text cannot be read.")


class ClipRange(Model):
    """The clip range of the run's configuration."""

    low: Number = Field(description="Distance of the lower bound from 1.")
    high: Number = Field(description="Distance of the upper bound from 1.")


class TokenWindow(Model):
    """A window of a response's tokens and what the engines recorded about them."""

    offset: int = Field(description="First token of the window.")
    total: int = Field(description="Number of tokens of the response.")
    text_source: Literal["tokenizer", "ids"] = Field(description="Whether `text` is decoded, or `#` and the id.")
    ids: list[int | None] = Field(description="Token ids.")
    text: list[str] = Field(description="One text per token.")
    series: dict[str, list[Number]] = Field(
        description="One list per recorded series: `logprob` (generator), `old_logprob` (trainer), `gap` (their "
        "difference), `ratio` (new over old probability), `clip_side` (-1, 0, 1), `entropy`."
    )
    advantage: Number = Field(description="Advantage of the response.")
    clip: ClipRange = Field(description="The run's clip range.")
    ranges: dict[str, list[float] | None] = Field(description="Smallest and largest value of each series.")
