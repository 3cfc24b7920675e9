"""The sandbox on many nodes: Ray actors that each hold a pool, and a client that spreads programs over them.

    nodes = SandboxNodes(workers_per_node=8)           # one actor on every node of the cluster
    verdicts = nodes.judge([(program, tests), ...], budget=8.0)

The actor is the same engine as at home; Ray carries programs and tests there and verdicts back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rewards.code.grading import Verdict, judge
from rewards.code.sandbox.limits import Limits, SandboxFailure
from rewards.code.sandbox.pool import SandboxPool


class SandboxActor:
    """One node's sandboxes."""

    def __init__(self, workers: int | None = None, packages: tuple[str, ...] = ()) -> None:
        self.pool = SandboxPool(workers, packages=packages)

    def judge(self, tasks: Sequence[tuple[str, dict[str, Any]]], budget: float, limits: Limits) -> list[dict[str, Any]]:
        """Verdicts as plain values, in the order of the tasks; a failing sandbox is a verdict too."""

        def one(sandbox: Any, task: tuple[str, dict[str, Any]]) -> Verdict:
            try:
                return judge(sandbox, *task, budget, limits)
            except SandboxFailure as failure:
                return Verdict("sandbox_failure", detail=str(failure))

        return [dataclasses.asdict(verdict) for verdict in self.pool.map(one, tasks)]

    def close(self) -> None:
        """End this node's sandboxes."""
        self.pool.close()


class SandboxNodes:
    """An actor on every node of the Ray cluster that this process is connected to. `cpus`: what an actor reserves there
    for Ray's placement.
    """

    def __init__(self, workers_per_node: int | None = None, packages: tuple[str, ...] = (), cpus: float = 0.0) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray: Any = ray
        remote = self._ray.remote(SandboxActor)
        nodes = [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]
        self.actors: list[Any] = [
            remote.options(
                num_cpus=cpus, max_restarts=-1, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(workers_per_node, packages)
            for node in nodes
        ]

    def judge(
        self,
        tasks: Sequence[tuple[str, dict[str, Any]]],
        budget: float,
        limits: Limits | None = None,
        batch: int = 64,
        timeout: float | None = None,
    ) -> list[Verdict]:
        """Verdicts in the order of the (program, tests) pairs, judged in batches wherever an actor is free. Raises
        Ray's `GetTimeoutError` after `timeout` seconds without the next batch.
        """
        batches = {start: tasks[start : start + batch] for start in range(0, len(tasks), batch)}
        waiting = list(batches)
        running: dict[Any, tuple[int, Any]] = {}
        found: dict[int, list[Verdict]] = {}
        free = list(self.actors) * 2  # one batch at work and one on its way
        while waiting or running:
            while waiting and free:
                start, actor = waiting.pop(0), free.pop(0)
                running[actor.judge.remote(batches[start], budget, limits or Limits())] = start, actor
            ready, _ = self._ray.wait(list(running), timeout=timeout)
            if not ready:
                raise self._ray.exceptions.GetTimeoutError(f"no batch of programs came back within {timeout} s")
            for reference in ready:
                start, actor = running.pop(reference)
                found[start] = [Verdict(**plain) for plain in self._ray.get(reference)]
                free.append(actor)
        return [verdict for start in batches for verdict in found[start]]

    def close(self) -> None:
        """End the actors and their sandboxes."""
        self._ray.get([actor.close.remote() for actor in self.actors], timeout=60)
        for actor in self.actors:
            self._ray.kill(actor)
