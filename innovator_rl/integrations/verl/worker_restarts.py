"""Restart reward workers and agent-loop workers that die.

verl starts each worker once: after its death every request to it fails, and the run with it. Neither kind keeps anything
that the run needs after a request, so Ray may start it again. Ray repeats the requests that a reward worker was scoring. An
agent-loop worker answers at once and generates in the background: what it was generating is lost with it, and
`LostPrompts` finds those prompts. After `RESTARTS` deaths of one worker the cause is not an accident, and the run ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import ray
from verl.experimental.reward_loop.reward_loop import RewardLoopManager, RewardLoopWorker
from verl.trainer.ppo.v1 import trainer_base

RESTARTS = 5
"""Deaths of one worker that a run survives."""


class RestartingWorkers:
    """Stands where verl expects Ray's class of workers, and starts them so that they can start again.

    Ray deletes large arguments once an actor has started (the configuration, a client that holds a copy of it), and could
    not start it again: all arguments are kept here, for as long as the class of workers is.
    """

    def __init__(self, worker: type[Any], options: dict[str, Any] | None = None, kept: list[Any] | None = None) -> None:
        self._worker = worker
        # A request waits for the restart, however often it is sent meanwhile.
        self._options = options or {"max_restarts": RESTARTS, "max_task_retries": -1}
        self._kept = [] if kept is None else kept

    def options(self, **options: Any) -> RestartingWorkers:
        """Return the class with options of one worker, such as its name."""
        return RestartingWorkers(self._worker, {**self._options, **options}, self._kept)

    def remote(self, *arguments: Any) -> Any:
        """Start a worker."""
        references = [ray.put(argument) for argument in arguments]
        self._kept += references
        return ray.remote(self._worker).options(**self._options).remote(*references)


class RestartingRewardLoopManager(RewardLoopManager):
    """verl's reward loop with workers that Ray restarts."""

    def _init_reward_loop_workers(self) -> None:
        workers: Any = RestartingWorkers(RewardLoopWorker)  # verl annotates Ray's own class
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


class LostPrompts:
    """Finds prompts that no agent-loop worker generates any more, because theirs was restarted.

    A look asks every worker what it is generating and never waits for an answer, which a worker that is being started
    gives late. Prompts in flight that no worker named are lost where they are still in flight at the look after, so a
    prompt that finished meanwhile is not.
    """

    def __init__(self, workers: Sequence[Any]) -> None:
        self._workers = workers
        self._asked: frozenset[str] = frozenset()  # in flight when the workers were asked
        self._answers: list[Any] = []
        self._unnamed: frozenset[str] = frozenset()

    def look(self, in_flight: Collection[str]) -> set[str]:
        """Return those of `in_flight` that are lost."""
        lost = set(self._unnamed.intersection(in_flight))
        self._unnamed = frozenset()
        if self._answers:
            done, waiting = ray.wait(self._answers, num_returns=len(self._answers), timeout=0)
            if waiting:
                return lost
            self._unnamed = self._asked.difference(lost, *ray.get(done))
        self._asked = frozenset(in_flight) - lost
        self._answers = [worker.generating.remote() for worker in self._workers]
        return lost
