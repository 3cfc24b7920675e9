"""The endpoint client answers, fails with a reason, retries within limits, and never asks twice."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import FakeEndpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from innovator_rl.endpoints import (
    REASONS,
    Budget,
    ChatReply,
    ChatRequest,
    EndpointClient,
    EndpointConfig,
    ReplyCache,
    TokenBucket,
    client,
    map_bounded,
)
from innovator_rl.errors import UserError


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.005)


def ask(
    server: FakeEndpoint, requests: Sequence[ChatRequest], cache: Path | None = None, **config: Any
) -> tuple[list[ChatReply], EndpointClient]:
    async def main() -> tuple[list[ChatReply], EndpointClient]:
        async with EndpointClient(EndpointConfig(url=server.url, model="fake", **config), cache) as used:
            return list(await asyncio.gather(*(used.complete(request) for request in requests))), used

    return asyncio.run(main())


HELLO = ChatRequest.ask("hello", max_tokens=20)


def test_a_request_is_sent_as_the_protocol_wants_it_and_its_use_is_counted() -> None:
    with FakeEndpoint() as server:
        request = ChatRequest.ask("hello", system="be short", max_tokens=20, temperature=0.5, seed=7)
        (reply,), used = ask(server, [request], price_per_million_prompt_tokens=1e5, extra={"top_k": 3})
    assert reply.ok
    assert (reply.text, reply.prompt_tokens, reply.response_tokens, reply.cost) == ("echo hello", 10, 5, 1.0)
    (body,) = server.requests
    assert body["messages"] == [{"role": "system", "content": "be short"}, {"role": "user", "content": "hello"}]
    assert (body["seed"], body["temperature"], body["max_tokens"], body["top_k"]) == (7, 0.5, 20, 3)
    assert (used.budget.requests, used.budget.tokens, used.budget.reserved) == (1, 15, 0)


@pytest.mark.parametrize("fault", ["429", "500", "html", "no_choices", "truncated", "dropped", "list"])
def test_a_fault_that_passes_is_retried(fault: str) -> None:
    with FakeEndpoint([fault, fault]) as server:
        (reply,), used = ask(server, [HELLO])
    assert (reply.text, reply.tries, used.counts["retried"]) == ("echo hello", 3, 2)


@pytest.mark.parametrize(
    ("fault", "reason", "tries"),
    [
        ("429", "rate_limited", 3),
        ("429-long", "rate_limited", 1),
        ("500", "server_error", 3),
        ("400", "rejected", 1),
        ("401", "rejected", 1),
        ("html", "not_json", 3),
        ("list", "not_json", 3),
        ("no_choices", "no_choices", 3),
        ("reasoning", "no_content", 1),
        ("truncated", "not_json", 3),
        ("slow", "timeout", 3),
        ("dropped", "connection", 3),
    ],
)
def test_a_fault_that_stays_is_a_reply_with_its_reason(fault: str, reason: str, tries: int) -> None:
    with FakeEndpoint() as server:
        server.always = fault
        (reply,), used = ask(server, [HELLO], retries=2, timeout_s=0.2 if fault == "slow" else 20)
    assert (reply.ok, reply.text, reply.reason, reply.tries) == (False, "", reason, tries)
    assert reason in REASONS
    assert reply.detail
    assert len(server.requests) == tries == used.budget.requests
    assert used.budget.reserved == 0


def test_reasoning_without_text_is_kept_apart() -> None:
    with FakeEndpoint(["reasoning"]) as server:
        (reply,), _ = ask(server, [HELLO])
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("", "hmm", "length")


def test_one_bad_request_leaves_its_neighbors_alone() -> None:
    requests = [ChatRequest.ask(str(number)) for number in range(20)]
    with FakeEndpoint() as server:
        server.faults = ["400", "html", "dropped", "500", "429"]
        replies, _ = ask(server, requests)
    assert [reply.reason for reply in replies].count("rejected") == 1
    assert sorted(reply.text for reply in replies if reply.ok) == sorted(
        f"echo {number}" for number, reply in enumerate(replies) if reply.ok
    )


def test_an_answered_request_is_never_sent_again(tmp_path: Path) -> None:
    cache = tmp_path / "folder" / "replies.sqlite"
    with FakeEndpoint(["500"]) as server:
        (failed,), _ = ask(server, [HELLO], cache, retries=0)
        (first,), _ = ask(server, [HELLO], cache)
        (again,), used = ask(server, [HELLO], cache)
        assert not failed.ok
        assert len(server.requests) == 2  # the failure was not kept
        assert again == replace(first, cached=True)
        assert (used.budget.requests, used.counts["cached"]) == (0, 1)
        others = [replace(HELLO, seed=1), replace(HELLO, attempt=1), replace(HELLO, temperature=1.0)]
        replies, _ = ask(server, others, cache)
        assert len(server.requests) == 5
        assert not any(reply.cached for reply in replies)


def test_the_same_request_at_the_same_time_is_sent_once() -> None:
    with FakeEndpoint() as server:
        server.delay = 0.05
        replies, _ = ask(server, [HELLO] * 5)
    assert len(server.requests) == 1
    assert {reply.text for reply in replies} == {"echo hello"}


def test_a_file_that_is_no_cache_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(
        "some notes that are longer than a header of a database file is, at least 100 bytes" * 3
    )
    with pytest.raises(UserError, match=r"notes\.txt"):
        ReplyCache(tmp_path / "notes.txt")


def test_no_more_requests_are_in_flight_than_allowed() -> None:
    with FakeEndpoint() as server:
        server.delay = 0.01
        replies, _ = ask(server, [ChatRequest.ask(str(number)) for number in range(12)], concurrency=3)
    assert all(reply.ok for reply in replies)
    assert server.most_in_flight <= 3


def test_the_budget_of_requests_stops_the_work_and_counts_retries() -> None:
    with FakeEndpoint(["500"]) as server:
        replies, used = ask(server, [ChatRequest.ask(str(n)) for n in range(6)], max_requests=4, concurrency=1)
    assert len(server.requests) == 4
    assert [reply.reason for reply in replies].count("budget") == 3
    assert used.budget.exhausted


def test_the_budget_of_tokens_holds_what_is_in_flight() -> None:
    requests = [ChatRequest.ask("x" * 30, max_tokens=5, seed=n) for n in range(10)]  # each reserves 15, and uses 15
    with FakeEndpoint() as server:
        replies, used = ask(server, requests, max_tokens_total=47)
    assert sum(reply.ok for reply in replies) == len(server.requests) == 3
    assert used.budget.tokens == 45
    assert {reply.reason for reply in replies if not reply.ok} == {"budget"}


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=40), st.integers(1, 300))
def test_a_budget_is_never_exceeded(uses: list[tuple[int, bool]], limit: int) -> None:
    budget, open_ = Budget(max_tokens=limit), []
    for tokens, settles in uses:
        if budget.reserve(tokens):
            open_.append(tokens)
        if settles and open_:
            reserved = open_.pop()
            budget.settle(reserved, reserved // 2)
        assert budget.tokens + budget.reserved <= limit


@settings(max_examples=50)
@given(st.lists(st.floats(0.1, 5.0), min_size=1, max_size=40), st.floats(6, 6000))
def test_a_bucket_lets_no_more_than_its_rate_through(units: list[float], per_minute: float) -> None:
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def main() -> None:
        bucket, passed = TokenBucket(per_minute, clock=lambda: now, sleep=sleep), 0.0
        capacity = max(1.0, per_minute / 60)
        for unit in units:
            await bucket.acquire(unit)
            assert passed <= capacity + now * per_minute / 60 + 1e-6
            passed += unit

    asyncio.run(main())


def test_a_bucket_pauses_for_the_time_that_the_endpoint_asked_for() -> None:
    slept: list[float] = []
    now = 100.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    async def main() -> None:
        bucket = TokenBucket(None, clock=lambda: now, sleep=sleep)
        await bucket.acquire()
        bucket.pause(7.0)
        await bucket.acquire()

    asyncio.run(main())
    assert slept == [7.0]


def test_map_bounded_gives_every_result_and_keeps_to_its_limit() -> None:
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (item % 3))
        running -= 1
        return item * 2

    async def main() -> list[int]:
        return [result async for result in map_bounded(work, range(25), 4)]

    assert sorted(asyncio.run(main())) == [2 * item for item in range(25)]
    assert most == 4


def test_check_names_the_models_that_are_served() -> None:
    async def check(**config: Any) -> None:
        async with EndpointClient(EndpointConfig(**config)) as used:
            await used.check()

    with FakeEndpoint() as server:
        asyncio.run(check(url=server.url, model="fake"))
        with pytest.raises(UserError, match="unknown model 'other'; expected one of fake"):
            asyncio.run(check(url=server.url, model="other"))
    with pytest.raises(UserError, match="does not answer"):
        asyncio.run(check(url=server.url, model="fake"))


def test_a_wrong_configuration_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="must begin with http"):
        EndpointConfig(url="localhost:8000", model="m")
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(UserError, match="NO_SUCH_KEY"):
        EndpointConfig(url="http://h/v1", model="m", api_key_env="NO_SUCH_KEY").api_key()
