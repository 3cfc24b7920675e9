"""Score every gold answer with its own rewarder, and a gold answer that was made wrong.

A gold answer that its rewarder refuses can never be reached: the prompt is paid for at every step and teaches nothing. A
wrong answer that it accepts teaches the wrong thing. Both rows are dropped, with the reason that the rewarder gave. The
scores come from the pool of worker processes that a run uses, so that a row on which a rewarder hangs costs itself only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from innovator_rl.data.checks.mutants import mutate, response_of
from innovator_rl.data.checks.progress import RowProgress
from innovator_rl.data.problem import Problem
from innovator_rl.data.rejections import Rejections
from innovator_rl.scoring.api import Score, ScoreRequest
from innovator_rl.scoring.pool import ScoringPool

MUTANT_ACCEPTED = "a wrong answer scores correct"
NEIGHBORS = 5
"""Answers of other problems that are offered as wrong ones."""


def check_golds(
    problems: Sequence[Problem],
    rewarders: Sequence[str],
    prompts: Sequence[str],
    rejected: Rejections,
    pool: ScoringPool,
    progress: RowProgress,
    *,
    mutants: bool = True,
) -> list[Problem]:
    """Return the problems whose gold answer is scored correct and whose mutant is not.

    Args:
        problems: The problems.
        rewarders: The rewarder of each.
        prompts: The prompt of each as text; a rewarder may read the unit that it names.
        rejected: Counts what is dropped, with the rewarder's reason.
        pool: The reward workers.
        progress: Where to report.
        mutants: Whether wrong answers are tried as well.
    """
    asked = list(zip(problems, rewarders, prompts, strict=True))
    golds = (_request(*row, row[0].answer) for row in asked)
    scores = list(progress.over(pool.map(golds), len(asked), "gold answers"))
    passed: list[tuple[Problem, str, str]] = []
    for row, score in zip(asked, scores, strict=True):
        found = row[0] if score.correct else _other_solution(*row, pool)
        if found is None:
            rejected.add(_reason(score), row[0].place or row[0].id, f"{row[1]}: {row[0].answer[:200]}")
        else:
            passed.append((found, row[1], row[2]))
    if not mutants:
        return [problem for problem, _, _ in passed]
    wrong = _mutants(passed)
    requests = (_request(*passed[index], answer) for index, answer in wrong)
    accepted = set()
    for (index, answer), score in zip(
        wrong, progress.over(pool.map(requests), len(wrong), "wrong answers"), strict=True
    ):
        if score.correct:
            accepted.add(index)
            problem, rewarder, _ = passed[index]
            detail = f"{rewarder}: {answer[:100]!r} for {problem.answer[:100]!r}"
            rejected.add(MUTANT_ACCEPTED, problem.place or problem.id, detail)
    return [problem for index, (problem, _, _) in enumerate(passed) if index not in accepted]


def _mutants(rows: Sequence[tuple[Problem, str, str]]) -> list[tuple[int, str]]:
    found = []
    for index, (problem, rewarder, _) in enumerate(rows):
        others = [other.answer for other, name, _ in rows[index + 1 : index + 1 + NEIGHBORS] if name == rewarder]
        others += [other.answer for other, name, _ in rows[:NEIGHBORS] if name == rewarder]
        answer = mutate(problem, rewarder, others)
        if answer is not None:
            found.append((index, answer))
    return found


def _request(problem: Problem, rewarder: str, prompt: str, answer: str) -> ScoreRequest:
    return ScoreRequest(
        rewarder=rewarder,
        response=response_of(rewarder, answer),
        answer=problem.answer,
        prompt=prompt,
        info=dict(problem.info),
        data_source=problem.data_source,
    )


def _other_solution(problem: Problem, rewarder: str, prompt: str, pool: ScoringPool) -> Problem | None:
    """Return the problem with the first of its other published solutions that passes."""
    for solution in _solutions(problem):
        if pool.score(_request(problem, rewarder, prompt, solution)).correct:
            return replace(problem, answer=solution)
    return None


def _solutions(problem: Problem) -> Iterator[str]:
    others = problem.columns.get("solutions")
    yield from (text for text in others if isinstance(text, str)) if isinstance(others, list) else ()


def _reason(score: Score) -> str:
    if score.outcome == "error":
        return f"gold answer not scored ({score.reason})"
    if score.reason in ("bad_reference", "bad_info"):
        return score.reason
    return f"gold answer not correct ({score.reason})"
