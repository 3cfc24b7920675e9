"""The judge is asked only where rules cannot decide, in both orders, with little to see; what fails abstains."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import FakeEndpoint

from innovator_rl.endpoints import client
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool, UserError
from innovator_rl.scoring.invoke import RewardCallable
from innovator_rl.scoring.judge import Judge, JudgeFailed, answerable
from rewards.judged import Judged, is_prose
from rewards.rubric import Rubric, RubricRanking, read_rubric

PROSE = "The fringes disappear because the slits are incoherent"
SAID = "No interference pattern is seen, since there is no fixed phase between both sources"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.005)


def content(body: dict[str, Any]) -> dict[str, Any]:
    return json.loads(body["messages"][-1]["content"])  # type: ignore[no-any-return]


def same_if(*accepted: str) -> Callable[[dict[str, Any]], str]:
    def answer(body: dict[str, Any]) -> str:
        texts = content(body)
        both = {texts["first"], texts["second"]}
        return "Both say it.\n**SAME**" if any(text in said for said in both for text in accepted) else "DIFFERENT."

    return answer


def score(
    rewarder: Any, responses: list[str], answer: str = "", prompt: str = "What is seen?", **info: Any
) -> list[Score]:
    loaded = RewardCallable(rewarder)
    requests = [ScoreRequest("x", response, answer, prompt, info) for response in responses]

    async def main() -> list[Score]:
        return [scores[0] for scores in await asyncio.gather(*map(loaded.acall, requests))]

    return asyncio.run(main())


def boxed(text: str) -> str:
    return f"<think>The reference says something secret.</think>So \\boxed{{\\text{{{text}}}}}"


def test_prose_that_rules_refuse_goes_to_the_judge_in_both_orders_and_once() -> None:
    with FakeEndpoint(answer=same_if("no fixed phase")) as server:
        judged = Judged(server.url, "fake")
        right, wrong, again = score(judged, [boxed(SAID), boxed("Bright bands move to the left"), boxed(SAID)], PROSE)
        seen = [content(body) for body in server.requests]
    assert (right.correct, right.terms) == (True, {"judge": 1.0})
    assert (wrong.correct, wrong.value, wrong.terms["judge"]) == (False, 0.0, 0.0)
    assert again == right
    assert len(seen) == 4, "each pair in both orders, and the same pair once"
    assert sorted(text["first"] == PROSE for text in seen) == [False, False, True, True]
    assert all(set(text) == {"question", "first", "second"} for text in seen)
    assert "secret" not in json.dumps(seen)


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        ("42", "\\boxed{41}"),
        ("5 m/s", "\\boxed{6 m/s}"),
        ("\\frac{mv^2}{2}", "\\boxed{mv^2}"),
        (PROSE, boxed(PROSE)),
        (PROSE, "I do not know"),
        (PROSE, boxed("Solution")),
        (PROSE, boxed(":")),
        (PROSE, boxed("x" * 2500)),
    ],
)
def test_the_judge_is_not_asked(answer: str, response: str) -> None:
    with FakeEndpoint(answer=lambda _: "SAME") as server:
        (found,) = score(Judged(server.url, "fake"), [response], answer)
        asked = len(server.requests)
    assert found.correct == (answer in response)
    assert asked == 0


@pytest.mark.parametrize(
    "text", ["Solution", ":", "Thought process:", "Let's solve this problem step by step.", "解", "**Answer:**", " \n"]
)
def test_master_keys_are_no_answers(text: str) -> None:
    assert not answerable(text)


def test_an_answer_is_accepted_only_in_both_orders() -> None:
    with FakeEndpoint(answer=lambda body: "SAME" if content(body)["first"] == PROSE else "DIFFERENT") as server:
        (found,) = score(Judged(server.url, "fake"), [boxed(SAID)], PROSE)
    assert not found.correct


@pytest.mark.parametrize(
    ("faults", "text", "reason"),
    [
        (["500"] * 9, "SAME", "judge_failed"),
        (["400"] * 2, "SAME", "judge_failed"),
        ([], "Who knows", "judge_unreadable"),
    ],
)
def test_a_failed_call_abstains(faults: list[str], text: str, reason: str) -> None:
    with FakeEndpoint(faults, answer=lambda _: text) as server:
        (found,) = score(Judged(server.url, "fake"), [boxed(SAID)], PROSE)
    assert (found.outcome, found.reason) == ("abstained", reason)


def test_the_budget_is_calls_for_each_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("innovator_rl.scoring.judge.BURST_CALLS", 4.0)
    with FakeEndpoint(answer=lambda _: "SAME") as server:
        judged = Judged(server.url, "fake", calls_per_response=0.5)
        found = score(judged, [boxed(f"{SAID} {number}") for number in range(12)], PROSE)
        asked = len(server.requests)
    assert asked <= 4 + 12 * 0.5
    assert {one.reason for one in found} == {"correct", "judge_budget"}


def test_a_reference_that_nothing_reads_is_decided_by_the_judge() -> None:
    broken = "\\frac{1}{2"
    with FakeEndpoint(answer=same_if("0.5 of the whole")) as server:
        right, wrong, none = score(
            Judged(server.url, "fake"), ["\\boxed{0.5 of the whole}", "\\boxed{0.7}", ""], broken
        )
    assert (right.correct, wrong.correct, wrong.outcome, none.reason) == (True, False, "scored", "no_answer")


def test_a_problem_in_parts_is_worth_the_share_that_is_right() -> None:
    golds = ["5 m", "The force points along the field lines", "7 s"]
    response = "\\boxed{5 m} and \\boxed{\\text{It is parallel to the field}} and \\boxed{8 s}"
    with FakeEndpoint(answer=same_if("parallel to the field")) as server:
        judged = Judged(server.url, "fake")
        part, every, none = score(
            judged,
            [response, response.replace("8 s", "7 s"), "\\boxed{1 m} \\boxed{\\text{across}} \\boxed{2 s}"],
            final_answers=golds,
        )
    assert (part.value, part.correct, part.reason) == (pytest.approx(2 / 3), False, "partial")
    assert part.terms == pytest.approx({"share": 2 / 3, "judge": 1 / 3})
    assert (every.value, every.correct) == (1.0, True)
    assert (none.value, none.reason) == (0.0, "wrong")


def test_in_the_pool_a_kept_client_serves_many_at_once(tmp_path: Path) -> None:
    with FakeEndpoint(answer=same_if("no fixed phase")) as server, ScoringPool(1, 30) as pool:
        server.delay = 0.1
        name = f"rewards.judged:Judged(url='{server.url}',model='fake',cache='{tmp_path / 'replies.sqlite'}')"
        requests = [ScoreRequest(name, boxed(f"{SAID} {number}"), PROSE) for number in range(20)]
        assert all(found.correct for found in pool.map(requests))
        assert server.most_in_flight > 4
        before = len(server.requests)
        assert all(found.correct for found in pool.map(requests))
        assert len(server.requests) == before


def test_settings_that_cannot_work_are_one_line() -> None:
    with pytest.raises(UserError, match="calls_per_response must be above 0"):
        Judge("http://127.0.0.1:1/v1", "m", calls_per_response=0)
    with pytest.raises(UserError, match=r"judge: url: .*must begin with http"):
        Judge("ftp://127.0.0.1/v1", "m")
    with pytest.raises(UserError, match="'NO_SUCH_KEY'"):
        Judge("http://127.0.0.1:1/v1", "m", key_env="NO_SUCH_KEY")


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        (PROSE, True),
        ("5 light years", False),
        ("\\sin x + \\cos y", False),
        ("顺时针转动", True),
        ("right circular", True),
    ],
)
def test_prose(text: str, prose: bool) -> None:
    assert is_prose(text) == prose


RUBRIC = [
    {"criterion": "names the limiting reagent", "weight": 3},
    {"criterion": "gives a temperature", "weight": 1},
    {"criterion": "claims that mass is lost", "weight": -2},
]


def by_words(body: dict[str, Any]) -> str:
    texts = content(body)
    if "criteria" not in texts:
        return "SAME" if "mole" in texts["first"] and "mole" in texts["second"] else "DIFFERENT"
    words = {"reagent": "zinc", "temperature": "298", "lost": "vanishes"}
    decisions = {
        n: any(key in line and words[key] in texts["response"] for key in words)
        for n, line in texts["criteria"].items()
    }
    return "\n".join(f"{number}: {'YES' if met else 'NO'}" for number, met in decisions.items())


def test_a_rubric_weighs_its_criteria() -> None:
    with FakeEndpoint(answer=by_words) as server:
        rubric = Rubric(server.url, "fake")
        found = score(
            rubric,
            ["zinc, at 298 K", "zinc", "zinc; the rest vanishes", "nothing", "<think>zinc 298</think>", "Solution:"],
            rubric=RUBRIC,
        )
    assert [one.value for one in found] == pytest.approx([1.0, 0.75, 0.25, 0.0, 0.0, 0.0])
    assert [one.correct for one in found] == [True, False, False, False, False, False]
    assert found[1].terms == {"criterion_1": 1.0, "criterion_2": 0.0, "criterion_3": 0.0}


def test_the_answer_is_a_criterion_of_its_own_and_alone_decides_correct() -> None:
    with FakeEndpoint(answer=by_words) as server:
        rubric = Rubric(server.url, "fake", answer_weight=0.6)
        right, wrong = score(rubric, ["zinc 298: \\boxed{2}", "zinc, 298: \\boxed{3}"], "2", rubric=RUBRIC)
    assert (right.value, right.correct, right.terms["answer"]) == (pytest.approx(1.0), True, 1.0)
    assert (wrong.value, wrong.correct, wrong.terms["rubric"]) == (pytest.approx(0.4), False, 1.0)


@pytest.mark.parametrize(
    "rubric",
    [None, [], "text", [{"criterion": ""}], [{"criterion": "x", "weight": "2"}], [{"criterion": "x", "weight": -1}]],
)
def test_a_rubric_that_cannot_be_used_abstains(rubric: Any) -> None:
    assert read_rubric({"rubric": rubric}) is None
    with FakeEndpoint() as server:
        (found,) = score(Rubric(server.url, "fake"), ["zinc"], rubric=rubric)
        assert not server.requests
    assert (found.outcome, found.reason) == ("abstained", "bad_info")


def test_answers_on_other_criteria_than_asked_are_no_answers() -> None:
    with FakeEndpoint(answer=lambda _: "1: YES\n2: YES\n4: NO") as server:
        (found,) = score(Rubric(server.url, "fake"), ["zinc"], rubric=RUBRIC)
    assert (found.outcome, found.reason) == ("abstained", "judge_unreadable")


def test_a_ranking_compares_the_responses_of_a_prompt_in_both_orders() -> None:
    def longest(body: dict[str, Any]) -> str:
        texts = content(body)["responses"]
        return "Ranked:\n" + ", ".join(sorted(texts, key=lambda number: -len(texts[number])))

    def first(body: dict[str, Any]) -> str:
        return ", ".join(content(body)["responses"])

    request = ScoreRequest("x", "", "", "What?", {"rubric": RUBRIC}, "", ("bb", "", "aaa", "c", "bb"))
    for answer, values in ((longest, [0.5, 0.0, 1.0, 0.0, 0.5]), (first, [0.5, 0.0, 0.5, 0.5, 0.5])):
        with FakeEndpoint(answer=answer) as server:
            found = asyncio.run(RewardCallable(RubricRanking(server.url, "fake")).acall(request))
        assert [one.value for one in found] == values
        assert not any(one.correct for one in found)


def test_a_judge_that_is_not_there_says_so() -> None:
    judge = Judge("http://127.0.0.1:9/v1", "m", timeout=5)
    with pytest.raises(JudgeFailed, match="connection"):
        asyncio.run(judge.agree("?", PROSE, SAID))


def test_an_endpoint_that_does_not_answer_is_found_before_anything_is_scored() -> None:
    with ScoringPool(1, 30) as pool, FakeEndpoint() as server:
        for url, model, complaint in (
            ("http://127.0.0.1:9/v1", "fake", "does not answer"),
            (server.url, "other", "unknown model 'other'"),
            (server.url, "fake", ""),
        ):
            name = f"0.5 * rewards.judged:Judged(url='{url}',model='{model}')"
            problem = pool.describe(name)["problem"]
            assert complaint in problem
            assert bool(problem) == bool(complaint)
