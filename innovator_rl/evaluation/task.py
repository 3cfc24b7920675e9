"""Define a task of an evaluation, and what it returns.

A task is prepared first (rows drawn, prompts rendered and tokenized), so that everything that is wrong with it shows
before a model is loaded. Then it runs: it asks the driver and grades the responses.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from innovator_rl.errors import InnovatorError
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.requests import GenerateRequest, Generation, OptionRequest, OptionScore
from innovator_rl.evaluation.statistics import Estimate, mean_estimate
from innovator_rl.rollouts.schema import RolloutRow

Item = TypeVar("Item")


class TaskUnavailable(InnovatorError):
    """A task that cannot run here; its message says what to supply, and the report prints it."""


@dataclass(frozen=True)
class Drawing:
    """Which rows a task takes.

    Attributes:
        limit: The number of rows; None for all.
        seed: The seed of the drawing and of sampling.
    """

    limit: int | None = None
    seed: int = 0

    def within(self, limit: int | None) -> Drawing:
        """Return the drawing with the smaller of two limits."""
        both = [one for one in (self.limit, limit) if one is not None]
        return Drawing(min(both, default=None), self.seed)

    def indices(self, rows: int) -> list[int]:
        """Return the drawn positions in order.

        Many sets are sorted by difficulty, so the first rows would be the easy ones.
        """
        if self.limit is None or self.limit >= rows:
            return list(range(rows))
        return sorted(random.Random(self.seed).sample(range(rows), self.limit))


@dataclass(frozen=True)
class MetricResult:
    """One number of a task.

    Attributes:
        name: Its name in reports.
        estimate: The number over the rows.
        share: Whether it is a share of rows, which is printed as a percentage; other units are printed as they are.
        by_row: The value of each row by its id; empty where the metric is one of the whole set.
    """

    name: str
    estimate: Estimate
    share: bool = True
    by_row: Mapping[str, float] = field(default_factory=dict, compare=False)


def row_metric(
    name: str,
    ids: Iterable[str],
    values: Iterable[float],
    share: bool = True,
    groups: Mapping[str, str] | None = None,
) -> MetricResult:
    """Return a metric that is the mean of one value per row.

    Args:
        name: Its name in reports.
        ids: The row ids.
        values: The value of each row.
        share: Whether it is a share of rows.
        groups: The group of each row that shares one with others, by the row's id.
    """
    by_row = dict(zip(ids, map(float, values), strict=True))
    of_row = [groups.get(key, "") for key in by_row] if groups else []
    return MetricResult(name, mean_estimate(list(by_row.values()), of_row), share, by_row)


@dataclass(frozen=True)
class PreparedTask:
    """What a task will ask.

    Attributes:
        rows: The number of questions that were drawn.
        whole: The number of questions of the set.
        prompts: The number of requests.
        longest: The longest prompt in tokens, and the new tokens allowed after it.
        first_prompt: The first rendered prompt.
        first_tokens: Its first token ids.
        text: Whether responses are text; otherwise the log-probabilities of options are compared.
    """

    rows: int
    whole: int
    prompts: int
    longest: tuple[int, int]
    first_prompt: str
    first_tokens: tuple[int, ...]
    text: bool = True


@dataclass
class TaskOutcome:
    """What a task returns.

    Attributes:
        metrics: Its numbers, the one to report first.
        rows: The record of each response.
        values: The value of each row by its id, for comparisons between checkpoints.
        facts: What the report prints next to the numbers: truncated responses, unscored rows, subsets.
        groups: The group of each row that shares one with others, by the row's id.
    """

    metrics: list[MetricResult]
    rows: list[RolloutRow]
    values: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


class ResponseSource(Protocol):
    """Where tasks get responses: the `Driver` of an evaluation, or the engine of a training run (`in_training.py`)."""

    def generate(self, requests: Sequence[GenerateRequest], what: str, samples: int = 1) -> list[Generation]:
        """Return a sample of text per request; those of one prompt follow each other, `samples` of them."""

    def score_options(self, requests: Sequence[OptionRequest], what: str) -> list[OptionScore]:
        """Return the log-probability of each continuation."""


class EvalTask(Protocol):
    """A task that can be prepared and run."""

    @property
    def name(self) -> str:
        """Return the name in reports, records and `--tasks`."""

    def prepare(self, prompter: Prompter, drawing: Drawing) -> PreparedTask:
        """Draw rows and render prompts.

        Raises:
            TaskUnavailable: The task's data are not here.
        """

    def questions(self) -> list[tuple[str, str, str]]:
        """Return id, bare question and reference of every row, for the search in training data.

        Raises:
            TaskUnavailable: The task's data are not here.
        """

    def run(self, driver: ResponseSource) -> TaskOutcome:
        """Ask for responses and grade them."""

    def constant(self) -> float | None:
        """Return the score of the best constant answer on the drawn rows; None where there is none to speak of."""


def sample_seed(seed: int, row: str, sample: int) -> int:
    """Return the seed of one sample; it depends on the row's own id and not on its place in the file."""
    digest = hashlib.sha256(f"{seed}\n{row}\n{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def document_id(task: str, document: Mapping[str, Any]) -> str:
    """Return an id of a row that has none, from its content."""
    text = repr(sorted((str(key), repr(value)) for key, value in document.items()))
    return f"{task}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def drawn(items: Sequence[Item], drawing: Drawing) -> list[Item]:
    """Return the drawn items in order."""
    return [items[index] for index in drawing.indices(len(items))]
