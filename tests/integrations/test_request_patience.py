"""A lost request is sent once more, then given up with its reason; slow answers raise the limit."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from innovator_rl.integrations.verl import agent_loop
from innovator_rl.integrations.verl.request_patience import Patience, RequestLost
from innovator_rl.integrations.verl.reward_record import RewardRecord


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

    async def slow() -> str:
        await asyncio.sleep(0.02)
        patience.longest = 20.0  # another response needed this long
        await asyncio.sleep(0.1)
        return "slow"

    assert asyncio.run(patience.attempt(slow)) == "slow"
    assert patience.limit() == 60.0


def test_the_time_of_a_pause_does_not_count() -> None:
    """Four pauses of twice the limit each, in which the engine keeps the answer; then a request that hangs."""

    async def paused_answer(patience: Patience) -> str:
        for _ in range(4):
            patience.pause(True)
            await asyncio.sleep(0.2)
            patience.pause(False)
        return "42"

    patience = Patience(0.1)
    assert asyncio.run(patience.attempt(lambda: paused_answer(patience))) == "42"
    assert patience.limit() == 0.1, "nor does it make later requests wait longer"
    with pytest.raises(RequestLost):
        asyncio.run(patience.attempt(never))


def test_a_sample_that_never_comes_is_unscored_and_its_group_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dead(self: Any, *_: Any, **__: Any) -> None:
        raise ConnectionError("replica 3 is gone")

    async def put(self: Any, output: Any, validate: bool, **prompt: Any) -> None:
        queued.append((output, prompt["session_id"]))

    queued: list[tuple[Any, int]] = []
    recorded: list[Any] = []
    monkeypatch.setattr(agent_loop._Worker, "_run_agent_loop", dead)
    monkeypatch.setattr(agent_loop._Worker, "_agent_loop_postprocess", put)
    worker = object.__new__(agent_loop.RecordingWorker)
    rollout = SimpleNamespace(n=4, val_kwargs=SimpleNamespace(n=1))
    worker.config = SimpleNamespace(actor_rollout_ref=SimpleNamespace(rollout=rollout), data={})
    worker.tokenizer = SimpleNamespace(
        eos_token_id=9, apply_chat_template=lambda messages, **options: [1, 2, 3], decode=lambda ids, **options: ""
    )
    worker._request_seed, worker._patience, worker._response_limit = None, Patience(60.0), 16
    worker._recorder = SimpleNamespace(rollout=recorded.append)
    prompt = {
        "uid": "e0-r1-p2",
        "session_id": 3,
        "global_steps": 5,
        "raw_prompt": [{"role": "user", "content": "2+2?"}],
    }
    asyncio.run(worker._run_agent_loop({}, {"validate": False}, **prompt))
    ((output, session),) = queued
    assert (session, output.response_ids, output.response_mask) == (3, [9], [0])
    record = RewardRecord.from_verl(output.extra_fields["reward_extra_info"])
    assert not record.scored
    assert record.reason == "generation_failed"
    (row,) = recorded
    assert (row.status, row.error) == ("failed", "ConnectionError: replica 3 is gone")
    with pytest.raises(ConnectionError):
        asyncio.run(worker._run_agent_loop({}, {"validate": True}, **prompt))
