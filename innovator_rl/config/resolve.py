"""Decide what `auto` stands for.

Preflight, verl's configuration and the trainer agree because this is the only place.

`RuntimeContext` is what launch resolved beyond the configuration: the model's folder, the data files, the platform.
`resolve` is a pure function of the configuration, the platform and the kind of model.
"""

import os
from dataclasses import dataclass
from typing import Literal

from innovator_rl.config.schema import RunConfig

Platform = Literal["cpu", "cuda"]

# verl asks Ray for this many CPU slots in each worker's placement-group bundle (ResourcePoolManager,
# max_colocate_count).
BUNDLE_CPUS = 10
# Driver, TransferQueue's controller and storage, agent-loop and reward workers, rollout servers: one slot each, and
# some to spare.
SERVICE_CPUS = 38


@dataclass(frozen=True)
class RuntimeContext:
    """What a run's launch resolved before verl's configuration can be written."""

    model_path: str
    is_moe: bool
    train_files: tuple[str, ...]
    validation_files: tuple[str, ...]
    checkpoint_dir: str
    platform: Platform
    threads: int
    head_dim: int | None = None
    run_dir: str = ""
    attempt: int = 1
    resume_from: str = ""
    resume_contents: str = "all"
    validate_first: bool = False  # whatever schedule.validate_before is: an earlier attempt ended before it validated


@dataclass(frozen=True)
class Resolved:
    """Every `auto` of a run as a value."""

    dtype: str
    rollout_dtype: str
    seed_requests: bool
    eager: bool
    overlong_buffer: int
    correction: str
    old_log_prob: str
    micro_batch_tokens: int
    remove_padding: bool
    ray_cpus: int | None


def threads(config: RunConfig) -> int:
    """Return the threads that a process computes with.

    That is the configured number, or the cores that this process may use.
    """
    asked = config.resources.threads
    return len(os.sched_getaffinity(0)) if asked == "auto" else asked


def placement_cpus(config: RunConfig) -> int:
    """Return the Ray CPU slots, over all nodes, that verl's placement groups need.

    With fewer they wait forever.
    """
    workers = config.resources.accelerators_per_node * config.resources.nodes
    return BUNDLE_CPUS * workers + 8


def groups_per_micro_batch(config: RunConfig, tokens: int) -> int:
    """Return the number of whole prompt groups in one pass on CPU, at least 1.

    As many groups are taken as divide a worker's share of an update and fit `tokens` when every response has its
    maximum length.
    """
    share = max(1, config.prompts_per_update // (config.resources.nodes * config.resources.accelerators_per_node))
    longest = config.longest_prompt + config.rollout.samples_per_prompt * config.rollout.max_response_tokens
    return max(n for n in range(1, share + 1) if n == 1 or (share % n == 0 and n * longest <= tokens))


def cut_distributions(config: RunConfig) -> dict[str, float]:
    """Return the settings that leave improbable tokens out of training rollouts, each with its value."""
    key = "actor_rollout_ref.rollout.top_k"
    top_p, top_k = config.rollout.top_p, config.verl_value(key, -1)
    found: dict[str, float] = {"rollout.top_p": top_p} if top_p < 1 else {}
    if isinstance(top_k, int) and top_k > 0:
        found[f"verl.{key}"] = top_k
    return found


def resolve(config: RunConfig, platform: Platform, is_moe: bool) -> Resolved:
    """Return the values of `auto` on this platform and for this kind of model."""
    algorithm, rollout = config.algorithm, config.rollout
    native = "float32" if platform == "cpu" else "bfloat16"
    dtype = native if config.model.dtype == "auto" else config.model.dtype
    # On CPU both engines compute in one precision; on CUDA rollouts stay in bfloat16 next to float32 training.
    followed = dtype if platform == "cpu" else native
    rollout_dtype = followed if rollout.dtype == "auto" else rollout.dtype
    level = algorithm.rollout_correction.level
    ahead = (
        rollout.max_staleness > 0
    )  # answers are older than the weights they train: correct for it, and repeat nothing
    correction = ("token" if is_moe or ahead else "off") if level == "auto" else level
    longest = config.longest_prompt + rollout.max_response_tokens
    buffer = algorithm.overlong.buffer_tokens
    tokens = algorithm.micro_batch_tokens
    slots = config.resources.ray_cpus
    if config.resources.ray_address is not None:
        ray_cpus = None
    elif slots == "auto":
        local = BUNDLE_CPUS * config.resources.accelerators_per_node + SERVICE_CPUS
        ray_cpus = max(local, os.cpu_count() or 1)
    else:
        ray_cpus = slots
    return Resolved(
        dtype=dtype,
        rollout_dtype=rollout_dtype,
        seed_requests=platform == "cpu" and not ahead if rollout.seed_requests == "auto" else rollout.seed_requests,
        eager=platform == "cpu" if rollout.eager == "auto" else rollout.eager,
        overlong_buffer=max(1, rollout.max_response_tokens // 4) if buffer == "auto" else buffer,
        correction=correction,
        old_log_prob=_old_log_prob(config, dtype == rollout_dtype, correction, is_moe),
        micro_batch_tokens=max(longest, 2048 if platform == "cpu" else 16384) if tokens == "auto" else tokens,
        remove_padding=platform == "cuda" if algorithm.remove_padding == "auto" else algorithm.remove_padding,
        ray_cpus=ray_cpus,
    )


def _old_log_prob(config: RunConfig, same_dtype: bool, correction: str, is_moe: bool) -> str:
    """Decide whether log-probabilities are computed again in a second pass.

    The rollout engine's own are taken where they are the policy's.
    """
    asked = config.algorithm.old_log_prob
    if asked != "auto":
        return asked
    on_policy = (
        config.rollout.max_staleness == 0
        and config.prompts_per_update == config.algorithm.prompts_per_step
        and config.passes_per_update == 1
    )
    whole = not cut_distributions(config)
    return "rollout" if on_policy and same_dtype and whole and not is_moe and correction == "off" else "recompute"
