"""Explain whether a Ray cluster can place a run: too small, spread over too many nodes, or taken.

A slot is Ray's bookkeeping of a core or an accelerator. Ray itself waits for ever for slots that never come, and verl
only compares totals. Here the sum, each node and what is free now are compared with what the run places.

    missing = shortage(Need(cpus=12, accelerators_per_node=8, nodes=2), slots_of_nodes())
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class NodeSlots:
    """The slots of one live node: all of them, and those that are free now (None: unknown)."""

    name: str
    cpus: float
    accelerators: float
    free_cpus: float | None = None
    free_accelerators: float | None = None


@dataclass(frozen=True)
class Need:
    """What a run places: CPU slots in all, and a number of accelerator slots on each of some nodes."""

    cpus: int
    accelerators_per_node: int
    nodes: int = 1

    @property
    def accelerators(self) -> int:
        """Accelerator slots in all."""
        return self.accelerators_per_node * self.nodes


@dataclass(frozen=True)
class Shortage:
    """Why a run cannot be placed; `kind` tells whether waiting helps (`taken`) or not."""

    kind: Literal["small", "spread", "taken"]
    why: str


def shortage(need: Need, nodes: Sequence[NodeSlots]) -> Shortage | None:
    """Return why a run cannot be placed now; None where it can, as far as the slots tell.

    Args:
        need: What the run places.
        nodes: The live nodes of the cluster.
    """
    cpus, accelerators = sum(node.cpus for node in nodes), sum(node.accelerators for node in nodes)
    for kind, have, wanted, flag in (
        ("CPU", cpus, need.cpus, "--num-cpus"),
        ("GPU", accelerators, need.accelerators, "--num-gpus"),
    ):
        if have < wanted:
            return Shortage(
                "small",
                f"the cluster offers {have:g} {kind} slots on {_count(len(nodes), 'node')} and this run places {wanted}; "
                f"start nodes with `ray start ... {flag}=N` (slots are bookkeeping, not cores) or lower resources.*",
            )
    if sum(node.accelerators >= need.accelerators_per_node for node in nodes) < need.nodes:
        return Shortage("spread", _spread(need, nodes))
    return _taken(need, nodes)


def _spread(need: Need, nodes: Sequence[NodeSlots]) -> str:
    each = ", ".join(f"{node.name} {node.accelerators:g}" for node in nodes if node.accelerators)
    largest = int(max((node.accelerators for node in nodes), default=0))
    fix = "start larger nodes"
    for size in range(min(largest, need.accelerators), 0, -1):
        if (
            need.accelerators % size == 0
            and sum(node.accelerators >= size for node in nodes) >= need.accelerators // size
        ):
            fix = f"set resources.nodes={need.accelerators // size} resources.accelerators_per_node={size}"
            break
    return (
        f"the cluster has {sum(node.accelerators for node in nodes):g} GPU slots, but not {need.accelerators_per_node} on "
        f"each of {_count(need.nodes, 'node')} ({each}); {fix}"
    )


def _taken(need: Need, nodes: Sequence[NodeSlots]) -> Shortage | None:
    if any(node.free_accelerators is None or node.free_cpus is None for node in nodes):
        return None
    for kind, free, wanted in (
        ("GPU", sum(node.free_accelerators or 0.0 for node in nodes), need.accelerators),
        ("CPU", sum(node.free_cpus or 0.0 for node in nodes), need.cpus),
    ):
        if free < wanted:
            return Shortage("taken", f"{free:g} {kind} slots of the cluster are free and this run places {wanted}")
    fits = sum((node.free_accelerators or 0.0) >= need.accelerators_per_node for node in nodes)
    if fits < need.nodes:
        return Shortage(
            "taken",
            f"{need.accelerators_per_node} GPU slots are free on {_count(fits, 'node')} and this run places that many on "
            f"{need.nodes}",
        )
    return None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def slots_of_nodes() -> list[NodeSlots]:
    """Return the live nodes of the cluster that this process is connected to."""
    import ray
    from ray._private.state import available_resources_per_node

    free: dict[str, dict[str, float]] = {}
    with contextlib.suppress(Exception):  # a private call of Ray's: without it only totals are compared
        free = available_resources_per_node()
    found = []
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        total, now = node["Resources"], free.get(node["NodeID"])
        found.append(
            NodeSlots(
                str(node.get("NodeManagerHostname") or node["NodeManagerAddress"]),
                total.get("CPU", 0.0),
                total.get("GPU", 0.0),
                None if now is None else now.get("CPU", 0.0),
                None if now is None else now.get("GPU", 0.0),
            )
        )
    return found


def holders(kind: str = "GPU") -> list[str]:
    """Return who holds slots of a kind, the largest holder first: `4 GPU: run demo (job demo-20260131-091502)`.

    Empty where the cluster's state service does not answer.
    """
    held: Counter[str] = Counter()
    names: dict[str, str] = {}
    with contextlib.suppress(Exception):
        from ray.util.state import list_actors, list_jobs, list_placement_groups

        for group in list_placement_groups(detail=True, limit=1000, raise_on_missing_output=False):
            if group.state == "CREATED":
                held[group.creator_job_id] += _sum(kind, (b.get("unit_resources", b) for b in group.bundles or ()))
        for actor in list_actors(detail=True, limit=1000, raise_on_missing_output=False):
            if actor.state == "ALIVE" and not actor.placement_group_id:
                held[actor.job_id] += _sum(kind, [actor.required_resources or {}])
        for job in list_jobs(detail=True, limit=1000, raise_on_missing_output=False):
            run = (job.metadata or {}).get("run")
            names[str(job.job_id)] = (
                f"run {run} (job {job.submission_id})" if run else f"job {job.submission_id or job.job_id}"
            )
    return [f"{count} {kind}: {names.get(job, f'job {job}')}" for job, count in held.most_common() if count]


def _sum(kind: str, resources: Iterable[dict[str, Any]]) -> int:
    return round(sum(float(entry.get(kind, 0.0)) for entry in resources))
