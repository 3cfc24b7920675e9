"""Run a task whose responses a rewarder scores: the same function as in training, in the same worker pool.

An unscored response (abstained, or an error of the infrastructure) leaves the averages, as it does in training, and
the report counts it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from innovator_rl.data.checks.constant import best_constant
from innovator_rl.errors import UserError
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.questions import RAW_STOPS, Format, Question, Questions, rendered
from innovator_rl.evaluation.requests import GenerateRequest, Generation
from innovator_rl.evaluation.statistics import majority, pass_at_k
from innovator_rl.evaluation.task import (
    Drawing,
    MetricResult,
    PreparedTask,
    ResponseSource,
    TaskOutcome,
    drawn,
    row_metric,
    sample_seed,
)
from innovator_rl.rollouts.schema import RolloutRow
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool
from innovator_rl.scoring.api import TURN_ENDS

Extra = Callable[[Sequence[tuple[Question, str]]], list[MetricResult]]
"""Further metrics of a task, from pairs of question and response."""
Grade = Callable[[Question, str], float]
"""A metric of a row where no rewarder fits, from question and response: a number from 0 to 1."""


CONSTANTS = 4
"""The most frequent references that are tried as a constant response."""


def _subsets(count: int) -> list[int]:
    """Return the k of which pass@k is reported for so many samples."""
    return sorted({k for k in (1, 2, 4, 8, 16, 32, 64) if k < count} | {count})


def without_turn_end(response: str) -> str:
    """Return a response without the tokens that end a turn, as the trainer scores it."""
    while ends := [end for end in TURN_ENDS if response.endswith(end)]:
        response = response[: -len(ends[0])]
    return response


def _graded(value: float) -> Score:
    """Return a metric's value as a score."""
    reason = "correct" if value >= 1 else "partial" if value > 0 else "wrong"
    return Score(value=value, correct=value >= 1, reason=reason)


@dataclass(frozen=True)
class Sampling:
    """How responses are drawn.

    Attributes:
        samples: Responses per question.
        temperature: 0 for greedy decoding.
        top_p: Nucleus of the sampling.
        max_new_tokens: The largest length of a response.
        stop: Strings that end a response, besides the end of the turn.
    """

    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 2048
    stop: tuple[str, ...] = ()


@dataclass
class ScoredTask:
    """A set of questions with a rewarder.

    Attributes:
        name: The name of the task.
        load: Reads the questions; raises `TaskUnavailable` where the data are not here.
        rewarder: The name of the rewarder.
        domain: The domain in the record.
        form: Raw text or the chat template.
        sampling: How responses are drawn.
        pool: The worker pool that scores.
        extra: Further metrics, computed from the first sample of each question.
        grade: Takes the place of the rewarder where none fits.
        headline: The metric to report first.
        remark: What the report states next to the numbers.
    """

    name: str
    load: Callable[[], Sequence[Question]]
    rewarder: str
    domain: str
    form: Format
    sampling: Sampling
    pool: ScoringPool
    extra: Extra | None = None
    grade: Grade | None = None
    headline: str = ""
    remark: str = ""
    _questions: list[Question] = field(default_factory=list, init=False)
    _requests: list[GenerateRequest] = field(default_factory=list, init=False)
    _texts: list[str] = field(default_factory=list, init=False)
    _chat: bool = field(default=False, init=False)
    _left_out: int = field(default=0, init=False)

    def prepare(self, prompter: Prompter, drawing: Drawing) -> PreparedTask:
        """Draw questions and render their prompts."""
        self._require_metric()
        every = self.load()
        self._left_out = every.left_out if isinstance(every, Questions) else 0
        if not every:
            raise UserError(f"task {self.name}: its set has no questions; fetch or build it again")
        self._questions = drawn(every, drawing)
        repeated = [identity for identity, count in Counter(q.id for q in self._questions).items() if count > 1]
        if repeated:
            raise UserError(f"task {self.name}: the id {repeated[0]!r} is given to several rows; ids must be unique")
        self._texts, self._chat = rendered(self._questions, prompter, self.form)
        stops = (*self.sampling.stop, *(() if self._chat else RAW_STOPS), prompter.end_text)
        self._requests = [
            GenerateRequest(
                tokens=tokens,
                max_new_tokens=self.sampling.max_new_tokens,
                stop=tuple(stop for stop in dict.fromkeys(stops) if stop),
                temperature=self.sampling.temperature,
                top_p=self.sampling.top_p,
                seed=sample_seed(drawing.seed, question.id, number),
            )
            for question, tokens in zip(self._questions, prompter.encode(self._texts), strict=True)
            for number in range(self.sampling.samples)
        ]
        longest = max((len(request.tokens) for request in self._requests), default=0)
        return PreparedTask(
            rows=len(self._questions),
            whole=len(every),
            prompts=len(self._requests),
            longest=(longest, self.sampling.max_new_tokens),
            first_prompt=self._texts[0] if self._texts else "",
            first_tokens=self._requests[0].tokens[:8] if self._requests else (),
        )

    def _require_metric(self) -> None:
        """Refuse a headline that is no metric of the task: another number would stand in its place."""
        own = [*self._count_names(), self._mean_name]
        if self.headline in ("", "acc", *own):
            return
        known = own + [metric.name for metric in (self.extra([]) if self.extra is not None else [])]
        if self.headline not in known:
            raise UserError(f"task {self.name}: unknown metric {self.headline!r}; expected {', '.join(known)}")

    @property
    def _mean_name(self) -> str:
        """Return the name of the mean value, which differs from the share of right ones where there is partial credit."""
        return "reward" if self.grade is None else "mean"

    def _count_names(self) -> list[str]:
        count = self.sampling.samples
        return ["acc"] if count == 1 else [f"avg@{count}", *(f"pass@{k}" for k in _subsets(count)), f"maj@{count}"]

    def questions(self) -> list[tuple[str, str, str]]:
        """Return id, bare question and reference of every row."""
        return [(question.id, question.core or question.text, question.answer) for question in self.load()]

    def run(self, driver: ResponseSource) -> TaskOutcome:
        """Generate and score."""
        count = self.sampling.samples
        generations = driver.generate(self._requests, self.name, count)
        asked = [question for question in self._questions for _ in range(count)]
        texts = [without_turn_end(generation.text) for generation in generations]
        scores = self._scores(asked, texts)
        rows = [
            self._row(index, question, generation, score)
            for index, (question, generation, score) in enumerate(zip(asked, generations, scores, strict=True))
        ]
        metrics = self._metrics(scores, count)
        accuracy = metrics[0].by_row
        if self.extra is not None:
            metrics += self.extra(list(zip(self._questions, texts[::count], strict=True)))
        metrics.sort(key=lambda metric: metric.name != self.headline)
        values = metrics[0].by_row or accuracy  # of a metric of the whole set there are none by row
        return TaskOutcome(metrics, rows, dict(values), self._facts(generations, scores), self._groups())

    def _groups(self) -> dict[str, str]:
        return {question.id: question.group for question in self._questions if question.group}

    def constant(self) -> float | None:
        """Return the first metric of the best constant response; None where no reference is that of two rows."""
        rewarder = self._questions[0].rewarder or self.rewarder
        best = best_constant((q.answer for q in self._questions), rewarder, self._score_of, least=2, tried=CONSTANTS)
        return None if best is None else best[0]

    def _score_of(self, response: str) -> float:
        metrics = self._metrics(self._scores(self._questions, [response] * len(self._questions)), 1)
        chosen = [metric for metric in metrics if metric.name == self.headline]
        if not chosen and self.extra is not None:
            found = self.extra([(question, response) for question in self._questions])
            chosen = [metric for metric in found if metric.name == self.headline]
        return (chosen or metrics)[0].estimate.score

    def _scores(self, asked: Sequence[Question], texts: Sequence[str]) -> list[Score]:
        if self.grade is not None:
            return [_graded(self.grade(question, text)) for question, text in zip(asked, texts, strict=True)]
        return list(self.pool.map(self._score_requests(asked, texts)))

    def _score_requests(self, asked: Sequence[Question], texts: Sequence[str]) -> list[ScoreRequest]:
        return [
            ScoreRequest(
                rewarder=question.rewarder or self.rewarder,
                response=text,
                answer=question.answer,
                prompt=question.text,
                info=dict(question.info),
                data_source=self.name,
            )
            for question, text in zip(asked, texts, strict=True)
        ]

    def _metrics(self, scores: Sequence[Score], count: int) -> list[MetricResult]:
        of_row = {q.id: scores[i * count : (i + 1) * count] for i, q in enumerate(self._questions)}
        scored = {key: [s for s in group if s.scored] for key, group in of_row.items()}
        measure = partial(row_metric, groups=self._groups())
        known = {key: group for key, group in scored.items() if group}
        accuracy = [sum(s.correct for s in group) / len(group) for group in known.values()]
        reward = [sum(s.value for s in group) / len(group) for group in known.values()]
        found = [measure("acc" if count == 1 else f"avg@{count}", known, accuracy)]
        if self.headline == self._mean_name or any(value not in (0.0, 1.0) for value in reward):
            found.append(measure(self._mean_name, known, reward))
        if count > 1:
            whole = {key: group for key, group in known.items() if len(group) == count}
            for k in _subsets(count):
                passed = [pass_at_k(count, sum(s.correct for s in group), k) for group in whole.values()]
                found.append(measure(f"pass@{k}", whole, passed))
            votes = [majority([s.extracted for s in g], [s.correct for s in g]) for g in known.values()]
            found.append(measure(f"maj@{count}", known, votes))
        return found

    def _facts(self, generations: list[Generation], scores: list[Score]) -> dict[str, Any]:
        outcomes = Counter(score.outcome for score in scores)
        return {
            "truncated": sum(generation.finish_reason == "length" for generation in generations),
            "responses": len(generations),
            "abstained": outcomes["abstained"],
            "errors": outcomes["error"],
            "reasons": dict(Counter(score.reason for score in scores).most_common()),
            "format": "chat" if self._chat else "raw",
            "rewarder": self.rewarder,
            **({"remark": self.remark} if self.remark else {}),
            **({"left_out": self._left_out} if self._left_out else {}),
        }

    def _row(self, index: int, question: Question, generation: Generation, score: Score) -> RolloutRow:
        place, sample = divmod(index, self.sampling.samples)
        return RolloutRow(
            step=0,
            kind="validation",
            prompt_uid=f"{self.name}/{question.id}",
            prompt_id=question.id,
            sample=sample,
            data_source=self.name,
            domain=self.domain,
            rewarder=question.rewarder or self.rewarder,
            messages=[dict(message) for message in question.messages],
            prompt=self._texts[place],
            response=generation.text,
            answer=question.answer,
            prompt_tokens=len(self._requests[index].tokens),
            response_tokens=len(generation.token_ids),
            finish_reason=generation.finish_reason,
            truncated=generation.finish_reason == "length",
            reward=score.value,
            score_value=score.value,
            correct=score.correct,
            outcome=score.outcome,
            reason=score.reason,
            extracted=score.extracted,
            terms=score.terms or None,
            generate_seconds=generation.seconds,
            reward_seconds=score.seconds,
            info=json.dumps(dict(question.info), ensure_ascii=False, default=str),
            token_ids=generation.token_ids,
        )
