"""Restart reward workers that die, and score again what they were scoring.

verl starts each reward worker once: after its death every request to it fails, and the run with it. A reward worker keeps
nothing between two requests, so Ray may start it again and repeat the requests that were in flight. After
`RESTARTS` deaths the cause is not an accident, and the run ends with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import ray
from verl.experimental.reward_loop.reward_loop import RewardLoopManager, RewardLoopWorker
from verl.trainer.ppo.v1 import trainer_base

RESTARTS = 5
"""Deaths of one reward worker that a run survives."""


class RestartingWorkers:
    """Stands where verl expects Ray's class of reward workers, and starts them so that they can start again.

    Ray deletes a large argument once an actor has started, and could not start it again: the configuration is kept here.
    """

    def __init__(self, kept: Any, options: dict[str, Any]) -> None:
        self._kept, self._options = kept, options

    def options(self, **options: Any) -> RestartingWorkers:
        """Return the class with options of one worker, such as its name."""
        return RestartingWorkers(self._kept, {**self._options, **options})

    def remote(self, _config: Any, router_address: str | None) -> Any:
        """Start a worker."""
        return ray.remote(RewardLoopWorker).options(**self._options).remote(self._kept, router_address)


class RestartingRewardLoopManager(RewardLoopManager):
    """verl's reward loop with workers that Ray restarts."""

    def _init_reward_loop_workers(self) -> None:
        # A request waits for the restart however often it is sent meanwhile; the number of deaths bounds it.
        options = {"max_restarts": RESTARTS, "max_task_retries": -1}
        workers: Any = RestartingWorkers(ray.put(self.config), options)  # verl annotates Ray's own class
        self.reward_loop_workers_class = workers
        super()._init_reward_loop_workers()


@contextlib.contextmanager
def restarting_reward_workers() -> Iterator[None]:
    """Let a trainer that is initialized in the block build its reward loop with workers that are restarted.

    verl's trainer names the class in its own module and has no hook for another one.
    """
    module: Any = trainer_base  # which does not export what it imports
    stock = module.RewardLoopManager
    module.RewardLoopManager = RestartingRewardLoopManager
    try:
        yield
    finally:
        module.RewardLoopManager = stock
