"""A lost request is sent once more, then given up with its reason; slow answers raise the limit."""

import asyncio

import pytest

from innovator_rl.integrations.verl.request_patience import Patience, RequestLost


async def never() -> str:
    await asyncio.sleep(60)
    return "late"


async def answer() -> str:
    return "42"


def test_a_lost_request_is_sent_again() -> None:
    requests, causes = [never, answer], []
    result = asyncio.run(Patience(0.02).attempt(lambda: requests.pop(0)(), causes.append))
    assert (result, requests) == ("42", [])
    assert causes == ["RequestLost: no response within 0 s"]


def test_a_request_that_is_lost_twice_is_given_up() -> None:
    causes: list[str] = []
    with pytest.raises(RequestLost):
        asyncio.run(Patience(0.02).attempt(never, causes.append))
    assert len(causes) == 2


def test_an_error_is_tried_again_and_then_raised_as_it_is() -> None:
    sent = []

    async def broken() -> str:
        sent.append(1)
        raise ConnectionError("replica 3 is gone")

    with pytest.raises(ConnectionError, match="replica 3"):
        asyncio.run(Patience(60).attempt(broken))
    assert len(sent) == 2


def test_the_limit_follows_the_longest_answer_while_a_request_waits() -> None:
    patience = Patience(0.05)
    assert patience.limit() == 0.05
    assert Patience(None).limit() == float("inf")

    async def slow() -> str:
        await asyncio.sleep(0.02)
        patience.longest = 20.0  # another response needed this long
        await asyncio.sleep(0.1)
        return "slow"

    assert asyncio.run(patience.attempt(slow)) == "slow"
    assert patience.limit() == 60.0
