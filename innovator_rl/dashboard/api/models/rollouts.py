"""Model the routes that list responses and groups."""

from __future__ import annotations

from pydantic import Field

from innovator_rl.dashboard.api.models.base import GroupKey, Kind, Model, Number, ResponseKey

STATUS = "What became of the group: `kept`, `dropped`, `failed`, `pending` (no update recorded yet) or `validation`."
DROP_REASON = "Why the group was dropped; empty for a kept group, null while its update is pending."


class ResponseRow(ResponseKey):
    """One response in a list.

    A figure is null where it was not recorded or is not computed yet.
    """

    kind: Kind = Field(description="`train` or `validation`.")
    attempt: int = Field(description="Attempt that recorded it.")
    prompt_id: str | None = Field(description="Identifies the prompt in every step and run.")
    domain: str | None = Field(description="Domain of the prompt.")
    data_source: str | None = Field(description="Data source of the prompt.")
    rewarder: str | None = Field(description="Rewarder, with parameters or as a formula.")
    generation_status: str | None = Field(description="`ok` or `failed`: whether the response was generated.")
    finish_reason: str | None = Field(description="`stop`, `length`, `abort` or `error`.")
    truncated: bool | None = Field(description="Whether it was cut at the token limit.")
    prompt_tokens: int | None = Field(description="Length of the prompt in tokens.")
    response_tokens: int | None = Field(description="Length of the response in tokens.")
    reward: Number = Field(description="What training uses: the score plus the overlong penalty.")
    score_value: Number = Field(description="Value of the score.")
    overlong_penalty: Number = Field(description="Penalty for length, 0 or negative.")
    correct: bool | None = Field(description="Whether the answer is correct.")
    outcome: str | None = Field(description="`scored`, `abstained` or `error`.")
    reason: str | None = Field(description="Reason code of the score.")
    extracted: str | None = Field(description="The answer that the rewarder found in the response.")
    generate_seconds: Number = Field(description="Duration of the generation.")
    reward_seconds: Number = Field(description="Duration of the scoring.")
    weight_version_min: int | None = Field(description="Oldest weights that generated it.")
    weight_version_max: int | None = Field(description="Newest weights that generated it.")
    written_at: str | None = Field(description="When it was recorded.")
    status: str = Field(description=STATUS)
    drop_reason: str | None = Field(description=DROP_REASON)
    kept: bool | None = Field(description="Whether the response itself was trained on.")
    advantage: Number = Field(description="Advantage in the update.")
    entropy: Number = Field(description="Mean entropy of its tokens, in nats.")
    clip_low: Number = Field(description="Share of tokens clipped at the lower bound.")
    clip_high: Number = Field(description="Share of tokens clipped at the upper bound.")
    gap: Number = Field(description="Mean |log-probability of the trainer minus the generator's|, in nats.")
    repetition: Number = Field(description="Share of repeated 4-word sequences.")
    labels: list[str] = Field(description="Its labels.")
    preview: str | None = Field(description="First 240 characters; null until the text is read.")
    prompt_preview: str | None = Field(default=None, description="First 240 characters of the prompt.")
    superseded: bool = Field(default=False, description="Whether a resumed attempt abandoned the step.")


class Bin(Model):
    """One bin of a histogram."""

    low: float = Field(description="Lower end, included.")
    high: float = Field(description="Upper end, excluded except in the last bin.")
    count: int = Field(description="Responses in the bin.")
    correct: int = Field(description="Correct responses in the bin.")


class Histogram(Model):
    """Counts of one column in at most 24 equal bins."""

    column: str = Field(description="The column.")
    low: Number = Field(description="Smallest value; null without finite values.")
    high: Number = Field(description="Largest value; null without finite values.")
    bins: list[Bin] = Field(description="The bins; the ends of one are the `_min` and `_max` filters that select it.")


class SearchState(Model):
    """How far a text search got.

    It reads the newest step first, at most 2 seconds per request.
    """

    complete: bool = Field(description="Whether everything was searched; while false, send the same request again.")
    scanned: int = Field(description="Steps that are searched.")
    of: int = Field(description="Steps to search.")
    capped: bool = Field(description="Whether there are more than 100,000 hits, of which the newest are shown.")


class RolloutsPage(Model):
    """One page of responses."""

    rows: list[ResponseRow] = Field(description="The responses of this page.")
    total: int = Field(description="Number of responses that match the filters.")
    page: int = Field(description="Number of the page, from 1.")
    size: int = Field(description="Rows per page.")
    pages: int = Field(description="Number of pages.")
    histogram: Histogram | None = Field(description="Histogram of all matching responses; null for `none`.")
    search: SearchState | None = Field(description="Progress of the search; null without `word` and `regex`.")
    indexing: bool = Field(description="Whether the first indexing is in progress, so that rows are missing.")
    milliseconds: float = Field(description="Time that the query took.")


class GroupRow(GroupKey):
    """One group: all responses to one prompt in one step."""

    kind: Kind = Field(description="`train` or `validation`.")
    prompt_id: str | None = Field(description="Identifies the prompt in every step and run.")
    domain: str | None = Field(description="Domain of the prompt.")
    data_source: str | None = Field(description="Data source of the prompt.")
    samples: int = Field(description="Number of responses.")
    correct: int = Field(description="Correct responses.")
    failed: int = Field(description="Responses that could not be generated.")
    truncated: int = Field(description="Truncated responses.")
    reward_mean: Number = Field(description="Mean reward of the scored responses.")
    reward_std: Number = Field(description="Standard deviation of the rewards of the scored responses.")
    reward_min: Number = Field(description="Smallest reward of the scored responses.")
    reward_max: Number = Field(description="Largest reward of the scored responses.")
    tokens_mean: Number = Field(description="Mean length in tokens.")
    status: str = Field(description=STATUS)
    drop_reason: str | None = Field(description=DROP_REASON)
    prompt_preview: str | None = Field(default=None, description="First 240 characters of the prompt.")
    superseded: bool = Field(default=False, description="Whether a resumed attempt abandoned the step.")


class GroupsPage(Model):
    """One page of groups."""

    rows: list[GroupRow] = Field(description="The groups of this page.")
    total: int = Field(description="Number of groups with a matching response.")
    page: int = Field(description="Number of the page, from 1.")
    size: int = Field(description="Rows per page.")
    pages: int = Field(description="Number of pages.")
    indexing: bool = Field(description="Whether the first indexing is in progress, so that rows are missing.")
