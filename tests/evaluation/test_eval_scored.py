"""Tasks with a rewarder: the scores of training, and metrics over rows. The model is a list of ready responses."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from innovator_rl.errors import UserError
from innovator_rl.evaluation.driver import Driver
from innovator_rl.evaluation.prompting import Prompter
from innovator_rl.evaluation.questions import Question, boxed_question
from innovator_rl.evaluation.requests import GenerateRequest, Generation
from innovator_rl.evaluation.scored import Sampling, ScoredTask
from innovator_rl.evaluation.statistics import mean_estimate
from innovator_rl.evaluation.task import Drawing, MetricResult, row_metric
from innovator_rl.models import make
from innovator_rl.rollouts.schema import as_record
from innovator_rl.scoring import ScoringPool
from innovator_rl.scoring.rescoring import request_of

QUESTIONS = [
    Question(id=f"q/{number}", messages=boxed_question(f"What is {number} plus {number}?"), answer=str(2 * number))
    for number in (1, 2, 3)
]
RESPONSES = [
    *("\\boxed{2}", "\\boxed{3}", "<think>\\boxed{3}</think>The answer is \\boxed{2}", "no idea"),
    *("\\boxed{5}", "\\boxed{5}", "\\boxed{4}<|im_end|>", "\\boxed{5}"),
    *("\\boxed{6}", "6", "6.0", "It is 6"),
]


class ReadyDriver:
    """Answers with ready responses, and keeps what it was asked."""

    def __init__(self, responses: Sequence[str]) -> None:
        self.responses, self.asked = responses, cast(list[GenerateRequest], [])

    def generate(self, requests: Sequence[GenerateRequest], what: str, samples: int = 1) -> list[Generation]:
        self.asked += requests
        return [Generation(text, (1, 2), "length" if "idea" in text else "stop") for text in self.responses]


@pytest.fixture(scope="module")
def outcome() -> Any:
    with ScoringPool(2, 30) as pool:
        task = ScoredTask(
            "sums",
            lambda: QUESTIONS,
            "math",
            "math",
            "chat",
            Sampling(samples=4, temperature=1.0, max_new_tokens=16),
            pool,
        )
        task.prepare(Prompter(make("tiny-qwen2")), Drawing())
        driver = ReadyDriver(RESPONSES)
        found = task.run(cast(Driver, driver))
        again = [pool.score(request_of(as_record(row), "math")) for row in found.rows]
    return found, again, driver


def test_every_response_has_the_score_that_training_would_give_it(outcome: Any) -> None:
    found, again, _ = outcome
    assert [(row.reward, row.correct, row.reason, row.extracted) for row in found.rows] == [
        (score.value, score.correct, score.reason, score.extracted) for score in again
    ]
    assert [row.correct for row in found.rows] == [bool(x) for x in (1, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1, 1)]


def test_metrics_are_over_rows(outcome: Any) -> None:
    found, _, _ = outcome
    metrics = {metric.name: metric.estimate for metric in found.metrics}
    assert metrics["avg@4"].score == pytest.approx((2 / 4 + 1 / 4 + 1) / 3)
    assert {metric.n for metric in metrics.values()} == {3}
    assert metrics["pass@1"].score == pytest.approx(metrics["avg@4"].score)
    assert metrics["pass@4"].score == 1.0
    assert metrics["pass@2"].score == pytest.approx((1 - 1 / 6 + 1 - 3 / 6 + 1) / 3)
    assert metrics["maj@4"].score == pytest.approx(2 / 3)
    assert found.values == {"q/1": 0.5, "q/2": 0.25, "q/3": 1.0}
    assert found.facts["truncated"] == 1


def test_samples_have_seeds_of_their_own_that_depend_on_the_row_only(outcome: Any) -> None:
    _, _, driver = outcome
    seeds = [request.seed for request in driver.asked]
    assert len(set(seeds)) == len(seeds) == 12
    with ScoringPool(1, 30) as pool:
        task = ScoredTask("sums", lambda: QUESTIONS[1:2], "math", "math", "chat", Sampling(4, 1.0, 1.0, 16), pool)
        task.prepare(Prompter(make("tiny-qwen2")), Drawing())
    assert [request.seed for request in task._requests] == seeds[4:8]


def test_the_record_names_the_prompt_the_same_in_every_run(outcome: Any) -> None:
    found, _, _ = outcome
    assert [row.prompt_id for row in found.rows[::4]] == ["q/1", "q/2", "q/3"]
    assert [row.prompt_uid for row in found.rows[::4]] == ["sums/q/1", "sums/q/2", "sums/q/3"]
    assert [row.sample for row in found.rows[:4]] == [0, 1, 2, 3]
    assert {row.kind for row in found.rows} == {"validation"}
    assert found.rows[0].messages == [dict(message) for message in QUESTIONS[0].messages]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param(("1/2", "0.5", "0.5", "3", "3", "7"), 0.5, id="spellings of one number"),
        pytest.param(("1", "2", "3"), None, id="no answer twice"),
    ],
)
def test_the_best_constant_answer_is_measured_by_the_rewarder(answers: Sequence[str], expected: float | None) -> None:
    questions = [
        Question(id=f"c/{place}", messages=boxed_question("What?"), answer=answer)
        for place, answer in enumerate(answers)
    ]
    with ScoringPool(1, 30) as pool:
        task = ScoredTask("c", lambda: questions, "math", "math", "chat", Sampling(samples=4, temperature=1.0), pool)
        task.prepare(Prompter(make("tiny-qwen2")), Drawing())
        assert task.constant() == expected


def test_the_best_constant_answer_has_the_unit_of_the_first_metric() -> None:
    questions = [Question(id=f"g/{n}", messages=boxed_question("What?"), answer=a) for n, a in enumerate("AAB")]

    def half(rows: Sequence[tuple[Question, str]]) -> list[MetricResult]:
        return [MetricResult("half", mean_estimate([0.5 * (q.answer in text) for q, text in rows]))]

    with ScoringPool(1, 30) as pool:
        task = ScoredTask(
            "g", lambda: questions, "choice", "math", "chat", Sampling(), pool, extra=half, headline="half"
        )
        task.prepare(Prompter(make("tiny-qwen2")), Drawing())
        assert task.constant() == pytest.approx(1 / 3)


def test_the_values_that_are_compared_are_those_of_the_first_metric() -> None:
    def extra(rows: Sequence[tuple[Question, str]]) -> list[MetricResult]:
        return [row_metric("long", (q.id for q, _ in rows), [len(text) > 9 for _, text in rows])]

    with ScoringPool(1, 30) as pool:
        for headline, values in (("long", [1.0, 0.0, 0.0]), ("reward", [1.0, 0.0, 0.0]), ("acc", [1.0, 0.0, 0.0])):
            sampling = Sampling(max_new_tokens=16)
            task = ScoredTask(
                "s", lambda: QUESTIONS, "math", "math", "raw", sampling, pool, extra=extra, headline=headline
            )
            task.prepare(Prompter(make("tiny-qwen2")), Drawing())
            right = "\\boxed{2}" if headline != "long" else "a long and wrong text"
            found = task.run(cast(Driver, ReadyDriver([right, "\\boxed{}", "no"])))
            assert found.metrics[0].name == headline
            assert list(found.values.values()) == values


def test_an_empty_set_is_refused() -> None:
    with ScoringPool(1, 30) as pool:
        task = ScoredTask("s", list, "math", "math", "raw", Sampling(), pool)
        with pytest.raises(UserError, match="no questions"):
            task.prepare(Prompter(make("tiny-qwen2")), Drawing())
