"""Choose tasks for a model by a written rule, before any run.

A task teaches a model something only if the model is right sometimes, if being right takes more than saying the most
frequent answer, and if most prompts have right and wrong responses side by side. The share of such prompts alone is a
trap: a coin thrown at True or False has it, and nothing to learn. The rule:

- accuracy between 10 % and 70 %,
- at least 10 points above the best constant answer,
- at least half of the prompts usable: some responses correct, some not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from innovator_rl.data.checks.constant import best_constant
from innovator_rl.data.checks.progress import RowProgress
from innovator_rl.data.difficulty import Measured, measure
from innovator_rl.data.generators import Generator, Sampling
from innovator_rl.data.rows import Row
from innovator_rl.errors import UserError
from innovator_rl.scoring.api import ScoreRequest
from innovator_rl.scoring.pool import ScoringPool

ACCURACY = (0.10, 0.70)
ABOVE_CONSTANT = 0.10
USABLE = 0.50


@dataclass(frozen=True)
class ProbeResult:
    """What a model does on one task.

    Attributes:
        task: The name of the task.
        prompts: Prompts that were measured.
        samples: Responses per prompt.
        accuracy: The share of correct responses.
        error: The standard error of the accuracy, over prompts.
        constant: The accuracy of the best constant answer.
        constant_answer: That answer.
        usable: The share of prompts with correct and wrong responses.
        unreadable: The share of responses without a readable answer.
        cut: The share of responses cut at the token limit.
        failed: Prompts that could not be measured.
        reasons: Why the task does not pass; none for a task that does.
    """

    task: str
    prompts: int
    samples: int
    accuracy: float
    error: float
    constant: float
    constant_answer: str
    usable: float
    unreadable: float
    cut: float
    failed: int
    reasons: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Return whether the task passes the rule."""
        return not self.reasons


def probe(
    task: str,
    rows: Sequence[Row],
    generator: Generator,
    sampling: Sampling,
    pool: ScoringPool,
    progress: RowProgress | None = None,
) -> ProbeResult:
    """Measure one task.

    Args:
        task: Its name.
        rows: The prompts to ask, from a validation split.
        generator: The model.
        sampling: How it answers.
        pool: What scores.
        progress: Where to report.

    Raises:
        UserError: No prompt could be measured.
    """
    found = measure(rows, generator, sampling, pool)
    every = list((progress or RowProgress()).over(found, len(rows), shown_name(task)))
    measured = [item for item in every if not item.failed]
    if not measured:
        raise UserError(f"task {task!r}: no prompt could be measured: {every[0].failed if every else 'it has no rows'}")
    constant, answer = constant_of_rows(rows, pool)
    return summarize(task, measured, sampling.samples, constant, answer, len(every) - len(measured))


def shown_name(task: str) -> str:
    """Return a task's name for people: of a built file, the folder that it is in."""
    path = Path(task)
    return path.parent.name if path.suffix == ".parquet" and path.parent.name else task


def summarize(
    task: str, measured: Sequence[Measured], samples: int, constant: float, answer: str, failed: int = 0
) -> ProbeResult:
    """Return the figures of a task and what the rule says about them."""
    rates = [item.rate for item in measured]
    total = sum(item.samples for item in measured)
    accuracy = sum(rates) / len(rates)
    variance = sum((rate - accuracy) ** 2 for rate in rates) / max(len(rates) - 1, 1)
    usable = sum(0 < rate < 1 for rate in rates) / len(rates)
    return ProbeResult(
        task=task,
        prompts=len(measured),
        samples=samples,
        accuracy=accuracy,
        error=math.sqrt(variance / len(rates)),
        constant=constant,
        constant_answer=answer,
        usable=usable,
        unreadable=sum(item.unreadable for item in measured) / total,
        cut=sum(item.cut for item in measured) / total,
        failed=failed,
        reasons=rule(accuracy, constant, usable),
    )


def rule(accuracy: float, constant: float, usable: float) -> tuple[str, ...]:
    """Return why a task does not pass; nothing for a task that passes."""
    slack = 1e-9  # 0.3 - 0.2 is below 0.1 in floating point
    found = []
    if accuracy < ACCURACY[0] - slack:
        found.append(f"accuracy below {ACCURACY[0]:.0%}")
    if accuracy > ACCURACY[1] + slack:
        found.append(f"accuracy above {ACCURACY[1]:.0%}")
    if accuracy - constant < ABOVE_CONSTANT - slack:
        found.append(f"less than {ABOVE_CONSTANT * 100:.0f} points above the best constant answer")
    if usable < USABLE - slack:
        found.append(f"usable share below {USABLE:.0%}")
    return tuple(found)


def constant_of_rows(rows: Sequence[Row], pool: ScoringPool) -> tuple[float, str]:
    """Return the accuracy of the best constant answer, by the rewarders of the rows, and the answer."""

    def share(response: str) -> float:
        requests = (
            ScoreRequest(
                rewarder=row.reward,
                response=response,
                answer=row.answer,
                prompt=row.prompt_text,
                info=dict(row.info),
                data_source=row.data_source,
            )
            for row in rows
        )
        return sum(score.correct for score in pool.map(requests)) / len(rows)

    return best_constant((row.answer for row in rows), rows[0].reward, share) or (0.0, "")
