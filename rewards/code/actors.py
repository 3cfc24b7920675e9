"""Spread programs over the sandboxes of many nodes, one Ray actor per node.

    nodes = SandboxNodes(workers_per_node=8)           # one actor on every node of the cluster
    results = nodes.grade([(program, tests), ...], budget=8.0)

An actor grades exactly as this process would; Ray carries programs and tests there and results back.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from typing import Any

from rewards.code.grading import GradingResult, grade
from rewards.code.sandbox.limits import Limits, SandboxFailure
from rewards.code.sandbox.pool import SandboxPool


class SandboxActor:
    """One node's sandboxes."""

    def __init__(self, workers: int | None = None, packages: tuple[str, ...] = ()) -> None:
        self.pool = SandboxPool(workers, packages=packages)

    def grade(self, tasks: Sequence[tuple[str, dict[str, Any]]], budget: float, limits: Limits) -> list[dict[str, Any]]:
        """Grade tasks and return the results as plain values, in the order of the tasks.

        A failing sandbox is a result too.
        """

        def one(sandbox: Any, task: tuple[str, dict[str, Any]]) -> GradingResult:
            try:
                return grade(sandbox, *task, budget, limits)
            except SandboxFailure as failure:
                return GradingResult("sandbox_failure", detail=str(failure))

        return [dataclasses.asdict(graded) for graded in self.pool.map(one, tasks)]

    def close(self) -> None:
        """End this node's sandboxes."""
        self.pool.close()


def _node_actor() -> type:
    """Return the class of an actor that imports `innovator_rl` before `rewards`.

    Ray sends a class that is defined in a function by value, and any other by its module's name. A worker would look
    for that module along its path, where the working directory may hold a `rewards/` of the user's own.
    """

    class NodeActor:
        def __init__(self, workers: int | None, packages: tuple[str, ...]) -> None:
            importlib.import_module("innovator_rl")  # makes `rewards` the package installed next to it
            from rewards.code.actors import SandboxActor as Actor

            self.actor = Actor(workers, packages)

        def grade(self, tasks: Any, budget: float, limits: dict[str, Any]) -> list[dict[str, Any]]:
            from rewards.code.sandbox.limits import Limits as Bounds

            return self.actor.grade(tasks, budget, Bounds(**limits))

        def close(self) -> None:
            self.actor.close()

    return NodeActor


class SandboxNodes:
    """Sandboxes on every node of the Ray cluster that this process is connected to.

    Args:
        workers_per_node: Programs that run at the same time on a node; by default one per core.
        packages: What programs may import besides the standard library.
        cpus: Cores that an actor reserves for Ray's placement.
    """

    def __init__(self, workers_per_node: int | None = None, packages: tuple[str, ...] = (), cpus: float = 0.0) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray: Any = ray
        remote = self._ray.remote(_node_actor())
        nodes = [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]
        self.actors: list[Any] = [
            remote.options(
                num_cpus=cpus, max_restarts=-1, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(workers_per_node, packages)
            for node in nodes
        ]

    def grade(
        self,
        tasks: Sequence[tuple[str, dict[str, Any]]],
        budget: float,
        limits: Limits | None = None,
        batch: int = 64,
        timeout: float | None = None,
    ) -> list[GradingResult]:
        """Grade (program, tests) pairs in batches, wherever an actor is free.

        Args:
            tasks: The pairs.
            budget: Seconds of wall time for one program with all of its tests.
            limits: Bounds of one run.
            batch: Pairs that travel together.
            timeout: Seconds to wait for the next batch; None waits without end.

        Returns:
            The results in the order of the pairs.

        Raises:
            GetTimeoutError: Ray's, where no batch comes back in time.
        """
        batches = {start: tasks[start : start + batch] for start in range(0, len(tasks), batch)}
        waiting = list(batches)
        running: dict[Any, tuple[int, Any]] = {}
        found: dict[int, list[GradingResult]] = {}
        free = list(self.actors) * 2  # one batch at work and one on its way
        while waiting or running:
            while waiting and free:
                start, actor = waiting.pop(0), free.pop(0)
                bounds = (limits or Limits()).as_dict()
                running[actor.grade.remote(batches[start], budget, bounds)] = start, actor
            ready, _ = self._ray.wait(list(running), timeout=timeout)
            if not ready:
                raise self._ray.exceptions.GetTimeoutError(f"no batch of programs came back within {timeout} s")
            for reference in ready:
                start, actor = running.pop(reference)
                found[start] = [GradingResult(**plain) for plain in self._ray.get(reference)]
                free.append(actor)
        return [graded for start in batches for graded in found[start]]

    def close(self) -> None:
        """End the actors and their sandboxes."""
        self._ray.get([actor.close.remote() for actor in self.actors], timeout=60)
        for actor in self.actors:
            self._ray.kill(actor)
