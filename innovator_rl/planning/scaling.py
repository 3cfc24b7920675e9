"""Simulate a configuration on several numbers of GPUs, synchronous and with staleness, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from innovator_rl.config.load import apply_overrides, validate
from innovator_rl.config.resolve import resolve
from innovator_rl.config.schema import RunConfig
from innovator_rl.planning.costs import of_plan
from innovator_rl.planning.hardware import Hardware
from innovator_rl.planning.plan import plan
from innovator_rl.planning.shape import Shape
from innovator_rl.planning.simulation import Disturbances, Finish, Settings, Simulation, StepTimes, mean, with_failures
from innovator_rl.planning.timing import Assumptions
from innovator_rl.planning.workload import Workload


@dataclass(frozen=True)
class Scale:
    """One simulated number of GPUs.

    Attributes:
        gpus: GPUs.
        max_staleness: `rollout.max_staleness`; 0 is synchronous.
        times: Mean parts of the warm steps.
        slots_in_use: Answers in generation, as a share of the slots, over the time of generation.
        tokens_per_gpu_second: Trained tokens.
        finish: The whole run, failures included.
        problems: Why it cannot fit, from the plan.
    """

    gpus: int
    max_staleness: int
    times: StepTimes
    slots_in_use: float
    tokens_per_gpu_second: float
    finish: Finish
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **asdict(self),
            "step_seconds": self.times.total,
            "lost_to_failures": self.finish.lost_share,
            "problems": list(self.problems),
        }


def scale(
    config: RunConfig,
    hardware: Hardware,
    shape: Shape,
    source: Callable[[int], Workload] | None = None,
    assumed: Assumptions | None = None,
    disturbances: Disturbances | None = None,
    steps: int = 6,
    seed: int = 0,
) -> Scale:
    """Simulate a configuration on some GPUs.

    Args:
        config: The run.
        hardware: The GPUs.
        shape: The model.
        source: Makes the groups from a seed; those of the plan's stated lengths if absent.
        assumed: What the plan assumes.
        disturbances: What goes wrong.
        steps: Steps; the first third warms the sampling up and is not counted.
        seed: Seed of lengths, slow GPUs and failures.
    """
    assumed, disturbances = assumed or Assumptions(), disturbances or Disturbances()
    found = plan(config, hardware, shape, assumed, propose=False)
    workload = source(seed) if source else Workload.stated(config, assumed, seed)
    resolved = resolve(config, "cuda", shape.experts > 0)
    passes = (resolved.old_log_prob != "rollout") + found.setup.reference
    prompt = assumed.mean_prompt * config.data.max_prompt_tokens
    costs = of_plan(found, passes, config.rollout.max_num_seqs, prompt + workload.mean_length())
    simulation = Simulation(costs, Settings.of(config, hardware.nodes), workload, disturbances, seed)
    warm = steps // 3
    simulation.run(warm)
    rollouts, tokens = simulation.rollouts, simulation.trained_tokens
    before = (rollouts.slot_seconds, rollouts.generating + rollouts.idle)
    times = simulation.run(steps - warm)
    generation = rollouts.generating + rollouts.idle - before[1]
    seconds = sum(step.total for step in times)
    return Scale(
        gpus=hardware.gpus,
        max_staleness=config.rollout.max_staleness,
        times=mean(times),
        slots_in_use=(rollouts.slot_seconds - before[0]) / (generation * costs.replicas * costs.slots),
        tokens_per_gpu_second=(simulation.trained_tokens - tokens) / seconds / hardware.gpus,
        finish=with_failures(
            times, config.schedule.steps, config.schedule.save_every, hardware.gpus, disturbances, seed
        ),
        problems=found.problems,
    )


def with_staleness(config: RunConfig, values: Sequence[int]) -> list[RunConfig]:
    """Return a configuration with several bounds of staleness."""
    plain = config.model_dump(mode="json")
    return [validate(apply_overrides(plain, [f"rollout.max_staleness={value}"])) for value in values]
