"""Score open-ended science answers by weighted criteria that a language model checks.

A row's `info.rubric` lists them, as `{"criterion": "names the limiting reagent", "weight": 2}`; a negative weight is
for a fault. A row with a reference answer has its correctness as a criterion of its own, with the share
`answer_weight` of the value. It is decided by rules, and by the judge where they cannot (`judged.py`), and alone decides
`correct`. Without a reference a response is correct that meets every criterion.

    rubric(url='http://127.0.0.1:8000/v1',model='m')    each response for itself
    rewards.rubric:RubricRanking(url='http://127.0.0.1:8000/v1',model='m')    the responses of a prompt together

A ranking gives values from 0 to 1 and calls nothing correct: train on it with `algorithm.dynamic_sampling.metric=score`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from innovator_rl.scoring import Score, UserError, abstain, wrong
from innovator_rl.scoring.judge import Judge, JudgeFailed
from rewards.extraction import final_part
from rewards.judged import Judged

MAX_CRITERIA, MAX_CRITERION_CHARS = 32, 500
_CHARS = 8_000


@dataclasses.dataclass(frozen=True)
class Criterion:
    """One line of a rubric."""

    text: str
    weight: float


def read_rubric(info: dict[str, Any]) -> list[Criterion] | None:
    """Return the criteria of a row; None where `info.rubric` cannot be used."""
    lines = info.get("rubric")
    if not isinstance(lines, list) or not 0 < len(lines) <= MAX_CRITERIA:
        return None
    found = []
    for line in lines:
        text, weight = (line.get("criterion"), line.get("weight", 1)) if isinstance(line, dict) else (line, 1)
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not isinstance(text, str) or not text.strip() or not number or not math.isfinite(weight):
            return None
        found.append(Criterion(text[:MAX_CRITERION_CHARS], float(weight)))
    return found if any(criterion.weight > 0 for criterion in found) else None


class Rubric:
    """The share of the weights of the criteria that a response meets."""

    version = "1"

    def __init__(
        self,
        url: str,
        model: str,
        rules: str = "physics",
        answer_weight: float = 0.5,
        key_env: str = "",
        cache: str = "",
        calls_per_response: float = 4.0,
        timeout: float = 60.0,
        in_flight: int = 64,
    ) -> None:
        """Configure the rules and the judge; nothing is sent yet.

        Args:
            url: The endpoint, with its version.
            model: The name under which it serves the model.
            rules: The reward function that decides on the reference answer where it can.
            answer_weight: The share of the value that the reference answer has, where a row has one.
            key_env: The environment variable with the endpoint's key; empty sends none.
            cache: An SQLite file for replies, shared by runs; empty keeps them in memory.
            calls_per_response: Requests to the judge for each response that is scored, at most, on average.
            timeout: Seconds for one request.
            in_flight: Requests at the same time.
        """
        if not 0 <= answer_weight <= 1:
            raise UserError(f"answer_weight must be from 0 to 1, got {answer_weight:g}")
        self.answers = Judged(url, model, rules, key_env, cache, calls_per_response, timeout, in_flight)
        self.judge = self.answers.judge
        self.answer_weight = answer_weight
        self.in_flight = in_flight
        self.call_seconds = 2 * self.judge.call_seconds

    async def ready(self) -> str:
        """Return why the judge cannot be asked now, or an empty text."""
        return await self.judge.ready()

    async def __call__(self, response: str, answer: str, info: dict[str, Any], prompt: str, data_source: str) -> Score:
        """Score one response."""
        rubric = read_rubric(info)
        if rubric is None:
            return abstain("bad_info")
        text = final_part(response, _CHARS)
        if not text.strip():
            return wrong("no_answer")
        own = await self.answers(response, answer, info, prompt, data_source) if answer.strip() else None
        if own is None:
            self.judge.earn()
        elif not own.scored:
            return own
        try:
            decisions = await self.judge.criteria(prompt, text, [criterion.text for criterion in rubric])
        except JudgeFailed as failed:
            return failed.score()
        full = sum(criterion.weight for criterion in rubric if criterion.weight > 0)
        met = sum(criterion.weight for criterion, decision in zip(rubric, decisions, strict=True) if decision)
        share = min(1.0, max(0.0, met / full))
        terms = {f"criterion_{number}": float(decision) for number, decision in enumerate(decisions, 1)}
        if own is None:
            return Score(share, share == 1, _reason(share), terms=terms)
        value = self.answer_weight * own.value + (1 - self.answer_weight) * share
        reason = "correct" if own.correct else "partial" if value else "wrong"
        return Score(value, own.correct, reason, own.extracted, {**terms, "rubric": share, "answer": own.value})

    def __repr__(self) -> str:
        return f"Rubric({self.answers!r})"


def _reason(share: float) -> str:
    return "correct" if share == 1 else "partial" if share else "wrong"


class RubricRanking:
    """The place of a response among all responses to its prompt, by the rubric."""

    version = "1"

    def __init__(
        self,
        url: str,
        model: str,
        key_env: str = "",
        cache: str = "",
        calls_per_response: float = 2.0,
        timeout: float = 120.0,
        in_flight: int = 16,
    ) -> None:
        self.judge = Judge(url, model, key_env, cache, calls_per_response, timeout, in_flight=in_flight)
        self.in_flight = in_flight
        self.call_seconds = self.judge.call_seconds

    async def ready(self) -> str:
        """Return why the judge cannot be asked now, or an empty text."""
        return await self.judge.ready()

    async def __call__(self, responses: list[str], info: dict[str, Any], prompt: str) -> list[Score]:
        """Score the responses to one prompt."""
        rubric = read_rubric(info)
        if rubric is None:
            return [abstain("bad_info")] * len(responses)
        self.judge.earn()
        texts = [final_part(response, _CHARS).strip() for response in responses]
        shown = list(dict.fromkeys(text for text in texts if text))  # equal responses have equal places
        lines = [f"{criterion.text} (weight {criterion.weight:g})" for criterion in rubric]
        try:
            places = dict(zip(shown, await self.judge.rank(prompt, lines, shown), strict=True))
        except JudgeFailed as failed:
            return [failed.score()] * len(responses)
        return [Score(places[text], False, "ranked") if text else wrong("no_answer") for text in texts]
