"""A reward or agent-loop worker that dies is started again; a dead engine still ends the run with its cause. Ray is a fake here."""

from typing import Any

import pytest
from ray import exceptions
from verl.experimental.reward_loop.reward_loop import RewardLoopManager
from verl.trainer.ppo.v1 import trainer_base

from innovator_rl.integrations.verl import actor_health, worker_restarts
from innovator_rl.integrations.verl.actor_health import ActorDied, ActorHealth
from innovator_rl.integrations.verl.worker_restarts import (
    RESTARTS,
    LostPrompts,
    RestartingRewardLoopManager,
    restarting_reward_workers,
)


class Actor:
    """An actor whose readiness calls end as prepared; None: the call returns."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends, self.asked = list(ends), 0
        self.__ray_ready__ = self
        self.call: Any = None

    def remote(self) -> Any:
        self.asked += 1
        return (self, self.asked)


@pytest.fixture(autouse=True)
def _fake_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(call: Any) -> None:
        actor, _ = call
        end = actor.ends.pop(0)
        if end is not None:
            raise end

    def wait(calls: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return [call for call in calls if call[0].ends], []

    monkeypatch.setattr(actor_health.ray, "get", get)
    monkeypatch.setattr(actor_health.ray, "wait", wait)


def test_a_worker_that_is_restarted_is_asked_again_and_ends_nothing() -> None:
    worker = Actor(exceptions.ActorUnavailableError("restarting", None), None)
    health = ActorHealth({"reward worker 0": worker})
    health.check()
    health.check()
    assert (worker.asked, worker.ends) == (3, [])


def test_a_dead_engine_ends_the_run_with_its_name_while_a_reward_worker_restarts() -> None:
    restarting = Actor(exceptions.ActorUnavailableError("restarting", None))
    health = ActorHealth({"reward worker 0": restarting, "vLLM server 0.0": Actor(exceptions.ActorDiedError())})
    with pytest.raises(ActorDied, match=r"^vLLM server 0\.0 died: "):
        health.check()


def test_reward_workers_start_with_restarts_and_arguments_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    class Remote:
        def __init__(self, _worker: Any, **options: Any) -> None:
            self.given = options

        def options(self, **options: Any) -> Any:
            return Remote(None, **options)

        def remote(self, *arguments: Any) -> None:
            started.append((self.given, arguments))

    manager = object.__new__(RestartingRewardLoopManager)
    manager.config = {"a": "configuration"}
    monkeypatch.setattr(worker_restarts.ray, "put", lambda value: ("kept", value))
    monkeypatch.setattr(worker_restarts.ray, "remote", Remote)
    monkeypatch.setattr(
        RewardLoopManager,
        "_init_reward_loop_workers",
        lambda self: self.reward_loop_workers_class.options(name="reward_loop_worker_0").remote(self.config, None),
    )
    manager._init_reward_loop_workers()
    options = {"max_restarts": RESTARTS, "max_task_retries": -1, "name": "reward_loop_worker_0"}
    arguments = (("kept", manager.config), ("kept", None))
    assert started == [(options, arguments)]
    assert manager.reward_loop_workers_class._kept == list(arguments)


class AgentWorker:
    """An agent-loop worker that answers when it is `up`, with what it generates then."""

    def __init__(self, *uids: str) -> None:
        self.uids, self.up, self.generating = set(uids), True, self
        self.ends = True  # read by the fake `ray.wait`

    def remote(self) -> Any:
        return (self, 0)


def test_prompts_that_a_restarted_worker_forgot_are_lost_and_finished_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_restarts.ray, "get", lambda calls: [set(call[0].uids) for call in calls])
    monkeypatch.setattr(
        worker_restarts.ray,
        "wait",
        lambda calls, num_returns, timeout: ([c for c in calls if c[0].up], [c for c in calls if not c[0].up]),
    )
    dies, lives = AgentWorker("p1", "p2", "p3"), AgentWorker("p4")
    prompts = LostPrompts([dies, lives])
    flight = {"p1", "p2", "p3", "p4"}
    assert [prompts.look(flight), prompts.look(flight), prompts.look(flight)] == [set(), set(), set()]
    dies.uids, dies.up = {"p5"}, False  # killed; given p5 while it starts
    assert prompts.look(flight | {"p5"}) == set()
    dies.up = True
    assert prompts.look(flight | {"p5"}) == set()  # p1 to p4 are compared at the next look, when they may have finished
    assert prompts.look({"p2", "p3", "p4", "p5"}) == {"p2", "p3"}
    assert [prompts.look({"p4", "p5"}), prompts.look({"p4", "p5"})] == [set(), set()]


def test_only_a_trainer_of_this_project_gets_them() -> None:
    with restarting_reward_workers():
        assert trainer_base.RewardLoopManager is RestartingRewardLoopManager
    assert trainer_base.RewardLoopManager is RewardLoopManager
