"""Estimate what the stages of a path cost: hosts, disk, tokens, hours and money, each with its source.

A stage that ran before has its own time, and one whose kind ran before, such as another seed of its arm, has the mean of
those. Upcycling and reinforcement learning on accelerators are counted by `innovator upcycle plan` and `innovator train
plan`, at the speed that those print. Anything else costs the `hours` that its part of the configuration states; without
them it is listed as not estimated and left out of the sum.

    innovator paper run configs/paper/53b.yaml --dry-run
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from innovator_rl.errors import UserError
from innovator_rl.paper.config import Price
from innovator_rl.paper.estimates import Expected
from innovator_rl.paper.parts import processes
from innovator_rl.paper.stage import Stage

PLAN_SECONDS = 300.0
GPUS_PER_HOST = 8


@dataclass(frozen=True)
class Cost:
    """What a stage costs.

    Attributes:
        hours: From its start to its end.
        devices: Accelerators, or processor cores where it uses none.
        hosts: Machines.
        unit: `GPU` or `core`.
        source: Where the hours come from.
        disk_bytes: What it leaves on disk, where that is planned.
        tokens: Tokens that it trains on, where that is planned.
        problems: What would stop it, by its plan.
    """

    hours: float
    devices: int
    hosts: int
    unit: Literal["GPU", "core"]
    source: str
    disk_bytes: int = 0
    tokens: int = 0
    problems: tuple[str, ...] = ()

    @property
    def device_hours(self) -> float:
        """Return hours times devices."""
        return self.hours * self.devices


def cost_of(stage: Stage, accelerators: int, expected: Expected) -> Cost | None:
    """Return what a stage costs; None where nothing says.

    Args:
        stage: The stage.
        accelerators: Accelerators of the path; 0 where it runs on processor cores.
        expected: How long it takes by what has been measured, or by the configuration.

    Raises:
        UserError: The planning command of the stage refuses its configuration.
    """
    devices = accelerators or len(os.sched_getaffinity(0))
    unit: Literal["GPU", "core"] = "GPU" if accelerators else "core"
    hosts = -(-devices // GPUS_PER_HOST) if accelerators else 1
    if expected.measured:
        return Cost(expected.seconds / 3600, devices, hosts, unit, expected.source)
    planned = _planned(stage, accelerators) if accelerators else None
    if planned is not None:
        return planned
    return Cost(expected.seconds / 3600, devices, hosts, unit, expected.source) if expected.seconds else None


def _planned(stage: Stage, accelerators: int) -> Cost | None:
    words = stage.command
    if words[:2] == ("upcycle", "run"):
        settings = [
            word for word in words[3:] if "=" in word and not word.startswith("base_model=") and "corpus: " not in word
        ]
        dense = ("--dense",) if "--dense" in words else ()
        return upcycling(_plan(("upcycle", "plan", words[2], *settings, *dense, "--gpus", str(accelerators), "--json")))
    if words[0] == "train":
        settings = [word for word in words[2:] if not word.startswith(("model.path=", "data."))]
        return learning(_plan(("train", "plan", words[1], *settings, "--json")))
    return None


def upcycling(plan: Mapping[str, Any]) -> Cost:
    """Return the cost in a plan of `innovator upcycle plan`."""
    gpus = int(plan["gpus"])
    speed = plan["speed"]
    return Cost(
        hours=sum(float(stage["hours"]) for stage in plan["stages"]),
        devices=gpus,
        hosts=-(-gpus // GPUS_PER_HOST),
        unit="GPU",
        source=f"planned at {speed['mfu']:.0%} of {speed['peak_tflops']:.0f} TFLOP/s",
        disk_bytes=sum(plan["disk"].values()),
        tokens=sum(int(stage["tokens"]) * int(stage["runs"]) for stage in plan["stages"]),
        problems=tuple(plan.get("refusals") or ()),
    )


def learning(plan: Mapping[str, Any]) -> Cost:
    """Return the cost in a plan of `innovator train plan`."""
    hardware = plan["hardware"]
    gpus = int(hardware["gpus"])
    return Cost(
        hours=float(plan["run_hours"]),
        devices=gpus,
        hosts=-(-gpus // int(hardware["per_node"])),
        unit="GPU",
        source=f"planned at {plan['assumptions']['mfu']:.0%} of {hardware['tflops']:.0f} TFLOP/s",
        disk_bytes=int(plan["checkpoint_disk_bytes"]),
        problems=tuple(plan.get("problems") or ()),
    )


def warnings(costs: Sequence[tuple[Stage, Cost | None]], accelerators: int, limit_hours: float) -> list[str]:
    """Return a line for each stage that would not end as it is planned.

    Args:
        costs: The stages that would run, and their costs.
        accelerators: Accelerators of the path; 0 where it runs on processor cores.
        limit_hours: Longest time of one stage.
    """
    lines = []
    for stage, cost in costs:
        about = f"stage {stage.name!r}"
        if cost is not None:
            lines += [f"{about}: {problem}" for problem in cost.problems]
        if cost is not None and cost.hours > limit_hours:
            lines.append(
                f"{about} takes about {cost.hours:,.0f} h and limit_hours = {limit_hours:g} ends it before that: raise limit_hours"
            )
        ranks = processes(stage)
        if accelerators and ranks and ranks != accelerators:
            lines.append(
                f"{about} trains with {ranks} processes and the path has {accelerators} accelerators: set upcycle.ranks to the "
                "accelerators of a machine, upcycle.nodes to the machines, and upcycle.launcher to what starts a command on each"
            )
    return lines


def describe(cost: Cost | None, price: Price | None) -> str:
    """Return a cost in one line."""
    if cost is None:
        return "not estimated"
    hosts = f"{cost.hosts} host{'s' if cost.hosts > 1 else ''}"
    parts = [f"{cost.hours:,.2f} h on {hosts}, {cost.device_hours:,.1f} {cost.unit}-hours ({cost.source})"]
    if cost.tokens:
        parts.append(f"{cost.tokens / 1e9:,.1f} billion tokens")
    if cost.disk_bytes:
        parts.append(f"leaves {cost.disk_bytes / 1e9:,.1f} GB")
    if price and price.unit == cost.unit:
        parts.append(f"{cost.device_hours * price.per_hour:,.0f} {price.currency}")
    return ", ".join(parts)


def total(costs: Sequence[tuple[str, Cost | None]], price: Price | None) -> list[str]:
    """Return the lines of the sum, and what it leaves out."""
    lines = []
    for unit in ("GPU", "core"):
        known = [cost for _, cost in costs if cost is not None and cost.unit == unit]
        if known:
            hours, devices = sum(cost.hours for cost in known), sum(cost.device_hours for cost in known)
            money = f", {devices * price.per_hour:,.0f} {price.currency}" if price and price.unit == unit else ""
            lines.append(f"in all {hours:,.2f} h, {devices:,.1f} {unit}-hours{money}")
    missing = [name for name, cost in costs if cost is None]
    if missing:
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        lines.append(f"not estimated, and not in the sum: {shown}")
    if price and lines:
        lines.append(f"price: {price.per_hour:g} {price.currency} per {price.unit}-hour ({price.source})")
    return lines


@cache
def _plan(words: tuple[str, ...]) -> dict[str, Any]:
    """Run a planning command and return what it prints."""
    command = [sys.executable, "-m", "innovator_rl", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PLAN_SECONDS)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        said = done.stderr.strip().splitlines()
        raise UserError(f"innovator {' '.join(words)} gave no plan: {said[-1] if said else 'no message'}") from None
    return found
