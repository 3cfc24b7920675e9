"""Put memory, time and bytes of a run together, refuse what cannot fit, and propose what does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from innovator_rl.config.resolve import Resolved, resolve
from innovator_rl.config.schema import RunConfig
from innovator_rl.planning import memory, timing
from innovator_rl.planning.hardware import GIB, Hardware
from innovator_rl.planning.memory import Phase, Setup
from innovator_rl.planning.shape import Shape
from innovator_rl.planning.timing import Assumptions, Seconds, Work
from innovator_rl.rollouts.recorder import recorded_bytes

ITEMSIZE = {"float32": 4, "bfloat16": 2, "float16": 2}
FSDP = "actor_rollout_ref.actor.fsdp_config"
USABLE = 0.97
"""Share of a GPU that a plan may fill; the rest is lost to fragmentation between phases."""


@dataclass(frozen=True)
class Plan:
    """What a run takes on each GPU, per step and on disk; sizes in bytes, times in seconds."""

    hardware: Hardware
    shape: Shape
    setup: Setup
    update: Phase
    rollout: Phase
    sync: Phase
    host: int
    seconds: Seconds
    steps: int
    recorder_per_step: int
    checkpoint_disk: int
    communication_per_step: int
    sequences_per_replica: int
    problems: tuple[str, ...]
    proposal: tuple[str, ...]
    assumptions: Assumptions

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        phases = {name: {**asdict(phase), "total": phase.total} for name, phase in self.phases().items()}
        return {
            "ok": not self.problems,
            "problems": list(self.problems),
            "proposal": list(self.proposal),
            "hardware": asdict(self.hardware),
            "model": asdict(self.shape),
            "setup": asdict(self.setup),
            "memory_bytes_per_gpu": phases,
            "host_bytes_per_node": self.host,
            "step_seconds": {**asdict(self.seconds), "total": self.seconds.total},
            "run_hours": self.steps * self.seconds.total / 3600,
            "gpu_hours": self.steps * self.seconds.total / 3600 * self.hardware.gpus,
            "communication_bytes_per_step": self.communication_per_step,
            "sequences_per_replica": self.sequences_per_replica,
            "recorder_bytes_per_step": self.recorder_per_step,
            "checkpoint_disk_bytes": self.checkpoint_disk,
            "assumptions": asdict(self.assumptions),
        }

    def phases(self) -> dict[str, Phase]:
        """Return the three phases of a step by name."""
        return {"update": self.update, "rollout": self.rollout, "sync": self.sync}


def plan(
    config: RunConfig, hardware: Hardware, shape: Shape, assumed: Assumptions | None = None, propose: bool = True
) -> Plan:
    """Plan a run on accelerators.

    Args:
        config: The run.
        hardware: The GPUs; their number replaces `resources.nodes` and `resources.accelerators_per_node`.
        shape: The model.
        assumed: What arithmetic cannot tell.
        propose: Look for settings that fit where these do not.
    """
    assumed = assumed or Assumptions()
    resolved = resolve(config, "cuda", shape.experts > 0)
    setup = describe(config, resolved, hardware)
    found = _measure(config, resolved, hardware, shape, setup, assumed)
    if not found.problems or not propose:
        return found
    return replace(found, proposal=_propose(config, resolved, hardware, shape, setup, assumed))


def describe(config: RunConfig, resolved: Resolved, hardware: Hardware) -> Setup:
    """Return how a configuration uses the GPUs."""
    sharded = config.verl_value(f"{FSDP}.fsdp_size", -1)
    shard = sharded if isinstance(sharded, int) and 0 < sharded <= hardware.gpus else hardware.gpus
    return Setup(
        shard=shard,
        micro_batch_tokens=resolved.micro_batch_tokens,
        itemsize=ITEMSIZE[resolved.dtype],
        checkpointing=config.model.gradient_checkpointing,
        param_offload=bool(config.verl_value(f"{FSDP}.param_offload", False)),
        optimizer_offload=bool(config.verl_value(f"{FSDP}.optimizer_offload", False)),
        rollout_itemsize=ITEMSIZE[resolved.rollout_dtype],
        tensor_parallel=config.rollout.tensor_parallel,
        memory_fraction=config.rollout.memory_fraction,
        longest=config.data.max_prompt_tokens + config.rollout.max_response_tokens,
        reference=config.algorithm.kl_coefficient > 0,
    )


def _measure(
    config: RunConfig, resolved: Resolved, hardware: Hardware, shape: Shape, setup: Setup, assumed: Assumptions
) -> Plan:
    rollout = memory.rollout_phase(shape, setup, hardware.memory)
    responses = config.algorithm.prompts_per_step * config.rollout.samples_per_prompt
    passes = (resolved.old_log_prob != "rollout") + setup.reference
    work = Work(
        responses=responses,
        prompt_tokens=config.data.max_prompt_tokens,
        response_tokens=config.rollout.max_response_tokens,
        updates=config.algorithm.prompts_per_step // config.prompts_per_update,
        passes=passes,
        sequences=config.rollout.max_num_seqs,
    )
    seconds = timing.step_seconds(shape, setup, hardware, work, assumed, rollout.kv_cache)
    generated = responses * assumed.generated_per_trained
    mean = assumed.mean_response * config.rollout.max_response_tokens
    recorded = recorded_bytes(generated, mean, config.logging.token_share)
    kept = config.schedule.keep_checkpoints + 1 if config.schedule.save_every else 0
    tokens = responses * (assumed.mean_prompt * work.prompt_tokens + assumed.mean_response * work.response_tokens)
    fits = rollout.kv_cache / memory.kv_token_bytes(shape, setup) / setup.longest
    return Plan(
        hardware=hardware,
        shape=shape,
        setup=setup,
        update=memory.update_phase(shape, setup),
        rollout=rollout,
        sync=memory.sync_phase(shape, setup),
        host=memory.host_bytes(shape, setup, hardware.per_node),
        seconds=seconds,
        steps=config.schedule.steps,
        recorder_per_step=round(recorded),
        checkpoint_disk=shape.total * memory.CHECKPOINT_BYTES * kept,
        communication_per_step=round(timing.gathered_bytes(shape, setup, hardware, tokens)),
        sequences_per_replica=int(fits),
        problems=tuple(problems(hardware, shape, setup)),
        proposal=(),
        assumptions=assumed,
    )


def problems(hardware: Hardware, shape: Shape, setup: Setup) -> Iterator[str]:
    """Yield a sentence for everything that cannot fit or be cut."""
    usable = hardware.memory * USABLE
    if setup.tensor_parallel > hardware.per_node or hardware.gpus % setup.tensor_parallel:
        yield (
            f"rollout.tensor_parallel = {setup.tensor_parallel} must divide the {hardware.gpus} GPUs and stay inside a node "
            f"of {hardware.per_node}"
        )
    if hardware.gpus % setup.shard:
        yield f"verl.{FSDP}.fsdp_size = {setup.shard} must divide the {hardware.gpus} GPUs"
    if shape.heads % setup.tensor_parallel:
        yield f"rollout.tensor_parallel = {setup.tensor_parallel} must divide the {shape.heads} attention heads"
    rollout = memory.rollout_phase(shape, setup, hardware.memory)
    for name, phase in (
        ("update", memory.update_phase(shape, setup)),
        ("weight sync", memory.sync_phase(shape, setup)),
        ("rollout", rollout),
    ):
        if phase.total > usable:
            largest, size = max(asdict(phase).items(), key=lambda item: int(item[1]))
            yield (
                f"the {name} needs {phase.total / GIB:.1f} GiB and a {hardware.name} offers {usable / GIB:.1f} GiB; the "
                f"largest part is {largest.replace('_', ' ')} with {size / GIB:.1f} GiB"
            )
    longest = memory.kv_token_bytes(shape, setup) * setup.longest
    if rollout.kv_cache < longest:
        yield (
            f"rollout.memory_fraction = {setup.memory_fraction:g} leaves {rollout.kv_cache / GIB:.1f} GiB for the key-value "
            f"cache, and one sequence of {setup.longest} tokens takes {longest / GIB:.1f} GiB"
        )
    host = memory.host_bytes(shape, setup, hardware.per_node)
    if host > hardware.host_memory:
        yield f"offloading takes {host / GIB:.0f} GiB of a node's main memory, which has {hardware.host_memory / GIB:.0f} GiB"


def _propose(
    config: RunConfig, resolved: Resolved, hardware: Hardware, shape: Shape, setup: Setup, assumed: Assumptions
) -> tuple[str, ...]:
    """Return the settings of the fastest variant that fits, on as few GPUs as possible; empty where none does."""
    for factor in (1, 2, 4, 8, 16):
        gpus = replace(hardware, gpus=hardware.gpus * factor)
        if factor > 1 and hardware.gpus % hardware.per_node == 0 and hardware.per_node < 8:
            gpus = replace(gpus, per_node=min(8, hardware.per_node * factor))
        shard = gpus.gpus if setup.shard == hardware.gpus else setup.shard
        fitting = [
            found
            for variant in _variants(replace(setup, shard=shard))
            if not (found := _measure(config, resolved, gpus, shape, variant, assumed)).problems
        ]
        if fitting:
            best = min(fitting, key=lambda found: found.seconds.total)
            return tuple(_words(setup, best.setup, hardware, gpus))
    return ()


def _variants(setup: Setup) -> Iterator[Setup]:
    micro = sorted({setup.micro_batch_tokens, setup.longest})
    shares = sorted({setup.memory_fraction, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85})
    offloads = {(setup.param_offload, setup.optimizer_offload), (False, True), (True, True)}
    for checkpointing, offload, tokens, parallel, share in itertools.product(
        sorted({setup.checkpointing, True}), sorted(offloads), micro, (1, 2, 4, 8), shares
    ):
        if tokens >= setup.longest:
            yield replace(
                setup,
                checkpointing=checkpointing,
                param_offload=offload[0],
                optimizer_offload=offload[1],
                micro_batch_tokens=tokens,
                tensor_parallel=parallel,
                memory_fraction=share,
            )


def _words(before: Setup, after: Setup, hardware: Hardware, gpus: Hardware) -> Iterator[str]:
    """Yield the `key=value` words that turn one setup into another."""
    keys = {
        "checkpointing": "model.gradient_checkpointing",
        "param_offload": f"verl.{FSDP}.param_offload",
        "optimizer_offload": f"verl.{FSDP}.optimizer_offload",
        "micro_batch_tokens": "algorithm.micro_batch_tokens",
        "tensor_parallel": "rollout.tensor_parallel",
        "memory_fraction": "rollout.memory_fraction",
    }
    if gpus.gpus != hardware.gpus:
        yield f"resources.nodes={gpus.nodes}"
        yield f"resources.accelerators_per_node={gpus.per_node}"
    for field, key in keys.items():
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            yield f"{key}={str(new).lower() if isinstance(new, bool) else new}"
