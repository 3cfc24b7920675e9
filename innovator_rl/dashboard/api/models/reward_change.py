"""Model the explanation of a change of the reward, and the history of a prompt."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from innovator_rl.dashboard.api.models.base import Model, Number
from innovator_rl.dashboard.api.models.rollouts import GroupRow, ResponseRow
from innovator_rl.dashboard.api.models.tools import ChangeCounts, ChangedPrompt


class Means(Model):
    """Means over the scored responses of a range of steps."""

    step: str = Field(description="The steps as asked for.")
    responses: int = Field(description="Number of scored responses with a finite reward.")
    reward: Number = Field(description="Mean reward.")
    accuracy: Number = Field(description="Share of correct responses.")
    length: Number = Field(description="Mean number of tokens.")
    truncated: Number = Field(description="Share of truncated responses.")


class Pair(Model):
    """A figure before and after."""

    before: Number = Field(alias="from", description="Before; null where there is no such response.")
    after: Number = Field(alias="to", description="After.")


class TermChange(Model):
    """What one term of the reward adds to the change."""

    name: str = Field(
        description="Name of the term; `score_without_terms`: scores whose terms do not add up to them; `other`: the rest."
    )
    before: Number = Field(alias="from", description="Mean contribution before.")
    after: Number = Field(alias="to", description="Mean contribution after.")
    change: float = Field(description="Its part of the change of the reward.")
    query: dict[str, Any] | None = Field(description="Filters of its responses.")
    examples: list[ResponseRow] = Field(description="Up to 3 responses after the change.")


class SplitRow(Model):
    """What the responses with one value of a property add to the change."""

    value: str = Field(description="The value; empty where none is recorded.")
    share: Pair = Field(description="Share of the responses.")
    reward: Pair = Field(description="Their mean reward.")
    within: float = Field(description="Part of the change because they are rewarded differently.")
    mix: float = Field(description="Part of the change because there are more or fewer of them.")
    query: dict[str, Any] = Field(description="Filters of these responses after the change.")
    examples: list[ResponseRow] = Field(description="Up to 3 of them.")


class Split(Model):
    """The change split by one property; `within` and `mix` sum to the change."""

    by: str = Field(description="`data_source`, `domain`, `length`, `truncated` or `correct`.")
    within: float = Field(description="Sum of that part of all rows.")
    mix: float = Field(description="Sum of that part of all rows.")
    rows: list[SplitRow] = Field(description="The largest parts first, 30 at most.")


class PromptPart(Model):
    """Prompts of one outcome, and what they add to the mean over the common prompts."""

    change: float = Field(description="Their part of the change of the mean over common prompts.")
    examples: list[ChangedPrompt] = Field(description="Up to 3 of them.")


class PromptParts(Model):
    """The change over the prompts that both sides have."""

    common: int = Field(description="Number of prompts on both sides.")
    counts: ChangeCounts = Field(description="How many prompts had each outcome.")
    newly_solved: PromptPart = Field(description="Prompts that became solved.")
    newly_lost: PromptPart = Field(description="Prompts that are solved no longer.")
    still_solved: PromptPart = Field(description="Prompts solved on both sides.")
    still_unsolved: PromptPart = Field(description="Prompts solved on neither side.")


class Interval(Model):
    """Where the change lies with 95 % confidence if the prompts are drawn at random."""

    low: float = Field(description="Lower end; above 0, the rise is more than chance.")
    high: float = Field(description="Upper end; below 0, the fall is more than chance.")
    prompts: int = Field(description="Number of different prompts; the responses of a prompt count as one draw.")


class RewardChange(Model):
    """Why the mean reward changed between two ranges of steps."""

    kind: str = Field(description="`train` or `validation`.")
    before: Means = Field(alias="from", description="Means before.")
    after: Means = Field(alias="to", description="Means after.")
    change: float = Field(description="Change of the mean reward of all scored responses.")
    interval: Interval | None = Field(description="95 % interval of the change; null with fewer than 5 prompts.")
    terms: list[TermChange] = Field(description="The change by term of the reward.")
    splits: list[Split] = Field(description="The change by properties of the responses.")
    prompts: PromptParts = Field(description="The change by prompts that both sides have.")


class PromptSample(Model):
    """One sample of a prompt."""

    sample_index: int = Field(description="Index within its group.")
    reward: Number = Field(description="Its reward.")
    correct: bool | None = Field(description="Whether it is correct.")
    reason: str | None = Field(description="Reason code of its score.")
    response_tokens: int | None = Field(description="Its length in tokens.")
    truncated: bool | None = Field(description="Whether it was cut at the limit.")
    extracted: str | None = Field(description="The extracted answer.")


class PromptGroup(GroupRow):
    """One group of the prompt with its samples."""

    attempt: int = Field(description="The attempt that recorded it.")
    responses: list[PromptSample] = Field(description="Its samples.")


class PromptRun(Model):
    """The groups of a prompt in one run."""

    run: str = Field(description="Name of the run.")
    groups: list[PromptGroup] = Field(description="By step, training and validation; 400 at most.")


class PromptHistory(Model):
    """One prompt over steps and runs."""

    prompt_id: str = Field(description="Identifies the prompt.")
    prompt: str | None = Field(description="Its text.")
    answer: str | None = Field(description="Its reference answer.")
    domain: str | None = Field(description="Its domain.")
    runs: list[PromptRun] = Field(description="In the order asked for.")
