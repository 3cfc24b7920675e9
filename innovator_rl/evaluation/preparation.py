"""Prepare the tasks of a suite before a model is loaded: rows drawn, prompts rendered, lengths checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from innovator_rl.errors import UserError
from innovator_rl.evaluation.build import build_task
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.results import RowResult
from innovator_rl.evaluation.suite import Suite
from innovator_rl.evaluation.task import Drawing, EvalTask, TaskUnavailable
from innovator_rl.scoring import ScoringPool

Prepared = tuple[RowResult, EvalTask | None]
"""A row of the suite, and its task; None where the row is skipped."""


def prepare_tasks(
    suite: Suite,
    root: Path,
    prompter: Prompter,
    pool: ScoringPool,
    drawing: Drawing,
    max_new_tokens: int | None = None,
) -> list[Prepared]:
    """Build and prepare the task of each row.

    Args:
        suite: The suite.
        root: The data root.
        prompter: The tokenizer of the checkpoint.
        pool: The worker pool that scores.
        drawing: How rows are drawn; a row's own limit holds where it is smaller.
        max_new_tokens: Bound on every response, in place of the suite's.

    Returns:
        The rows in the order of the suite; those that cannot run here have the reason in `skipped`.
    """
    found: list[Prepared] = []
    for row in suite.rows:
        result, task = RowResult(row, skipped=row.unavailable), None
        if not row.unavailable:
            try:
                task = build_task(row, root, pool, max_new_tokens)
                result.prepared = task.prepare(prompter, drawing.within(row.limit))
            except TaskUnavailable as error:
                result.skipped, task = str(error), None
        found.append((result, task))
    return found


def require_fitting(tasks: Sequence[Prepared], context: int, model: str, fix: Callable[[int], str]) -> None:
    """Refuse prompts that would be cut: a cut prompt gives a score of something else.

    Args:
        tasks: The prepared tasks.
        context: The longest sequence in tokens.
        model: Whose context it is, for the message.
        fix: Returns what to change, given the new tokens that fit behind the longest prompt (0 or less where it is too long by itself).

    Raises:
        UserError: One line for each task that does not fit.
    """
    lines = []
    for result, _ in tasks:
        if result.prepared is not None and sum(result.prepared.longest) > context:
            prompt, new = result.prepared.longest
            lines.append(
                f"task {result.row.name}: its longest prompt of {prompt} tokens and {new} new tokens must fit the context "
                f"of {context} tokens of {model}: {fix(context - prompt)}"
            )
    if lines:
        raise UserError("\n".join(lines))


def shorter_or_left_out(room: int) -> str:
    """Return how an evaluation is made to fit, given the tokens left after the longest prompt."""
    return f"give --max-new-tokens {room} or less" if room > 0 else "leave it out with --tasks"
