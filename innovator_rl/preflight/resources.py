"""Check that the run can be placed: slots, accelerators, memory and disk."""

import math
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from innovator_rl.config.resolve import BUNDLE_CPUS, groups_per_micro_batch, placement_cpus, threads
from innovator_rl.integrations.verl.stock import flatten
from innovator_rl.platform.socket_folder import ALTERNATIVES, RAY_PATH_BYTES, SOCKET_PATH_BYTES, socket_folder
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.preflight.machine import PORTS, free_disk
from innovator_rl.preflight.run_dir import blocked
from innovator_rl.rollouts.recorder import recorded_bytes

GIB = 2**30
# Bytes a parameter: float32 weight, gradient and AdamW's two moments in training; weight and moments in a checkpoint.
TRAINING_BYTES, CHECKPOINT_BYTES = 16, 12
PROCESSES_BYTES = 3 * GIB  # Ray, driver, rollout server, interpreters with torch: measured on a run of a tiny model


def size(count: float) -> str:
    """Format a number of bytes in GiB, or in MiB below a twentieth of one."""
    return f"{count / GIB:.1f} GiB" if count >= 0.05 * GIB else f"{count / 2**20:.1f} MiB"


def check(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check the machine or cluster."""
    yield from _ray(context)
    yield from _accelerators(context)
    yield from _threads(context)
    yield from _ports(context)
    if context.cluster is None:
        yield from _memory(context)
        yield from _cache(context)
        yield from _shared_memory(context)
        yield from _temporary_folder(context)
    yield from _disk(context)
    yield from _record(context)


def _ray(context: PreflightContext) -> Iterator[Diagnostic]:
    resources = context.config.resources
    needed = placement_cpus(context.config)
    if context.cluster is None:
        if resources.ray_cpus != "auto" and resources.ray_cpus < needed:
            why = (
                f"verl asks for {BUNDLE_CPUS} CPU slots per worker and some for its services: with fewer the run "
                "waits forever, silently"
            )
            yield Diagnostic(
                setting="resources.ray_cpus",
                value=resources.ray_cpus,
                why=why,
                fix=f"set auto, or at least {needed} (slots, not cores)",
            )
        if resources.nodes > 1:
            yield Diagnostic(
                setting="resources.nodes",
                value=resources.nodes,
                why="a Ray started here has one node",
                fix="set resources.ray_address to the cluster",
            )
        return
    if resources.ray_cpus != "auto":
        yield Diagnostic(
            setting="resources.ray_cpus",
            value=resources.ray_cpus,
            why="an existing cluster (resources.ray_address) has its own slots",
            fix="leave it auto",
        )
    problem = _unreachable(context.cluster)
    if problem:
        yield Diagnostic(
            setting="resources.ray_address",
            value=resources.ray_address,
            why=problem,
            fix="start the cluster, or leave it out to start Ray here",
        )


def _unreachable(address: str) -> str:
    """Why no Ray can answer at this address; '' where one seems to."""
    if address == "auto":
        return "" if Path("/tmp/ray/ray_current_cluster").exists() else "no Ray is running on this machine"
    if address == "local":
        return ""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return "not an address: auto, HOST:PORT or ray://HOST:PORT"
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError as error:
        return f"nothing answers there ({error})"
    return ""


def _accelerators(context: PreflightContext) -> Iterator[Diagnostic]:
    wanted, there = context.config.resources.accelerators_per_node, len(context.machine.accelerator_memory)
    if context.platform == "cpu":
        if wanted > context.machine.cores:
            yield Diagnostic(
                setting="resources.accelerators_per_node",
                value=wanted,
                why=f"worker processes for {context.machine.cores} cores",
                fix="set 1",
            )
        return
    if context.cluster is not None:
        return  # the cluster's nodes are not this machine
    if there == 0:
        key = "resources.platform"
        yield Diagnostic(
            setting=key,
            value=context.config.resources.platform,
            why="this machine shows no accelerator (nvidia-smi)",
            fix="set cpu, or start the run where the accelerators are",
        )
    elif wanted > there:
        yield Diagnostic(
            setting="resources.accelerators_per_node",
            value=wanted,
            why=f"this machine has {there}",
            fix=f"set at most {there}",
        )


def _threads(context: PreflightContext) -> Iterator[Diagnostic]:
    asked = threads(context.config) if context.config.resources.threads != "auto" else 0
    if context.platform == "cpu" and asked > context.machine.cores:
        why = f"more than this machine's {context.machine.cores} cores: the threads wait for each other"
        yield Diagnostic(
            setting="resources.threads", value=asked, why=why, fix=f"set auto or at most {context.machine.cores}"
        )


def _ports(context: PreflightContext) -> Iterator[Diagnostic]:
    if context.machine.free_ports < PORTS:
        why = f"Ray, vLLM and the queue of a run bind up to {PORTS} TCP ports, only {context.machine.free_ports} could be bound"
        yield Diagnostic(
            setting="machine free ports",
            value=context.machine.free_ports,
            why=why,
            fix="end what holds them, widen net.ipv4.ip_local_port_range or raise the limit of open files (ulimit -n)",
        )


def _memory(context: PreflightContext) -> Iterator[Diagnostic]:
    parameters = context.model.params_total if context.model else None
    if parameters is None or context.model is None:
        return
    logits = _logit_rows(context) * context.model.vocab * 4 * 3  # logits, their softmax, its gradient
    rollout = parameters * (4 if context.resolved.rollout_dtype == "float32" else 2)
    reference = parameters * 4 if context.config.algorithm.kl_coefficient > 0 else 0
    training = parameters * TRAINING_BYTES + reference
    if context.platform == "cpu":
        cache = context.config.resources.kv_cache_gb * GIB
        workers = context.config.resources.accelerators_per_node
        group = logits + _mask_bytes(context)
        need = training + workers * (group + rollout + cache) + PROCESSES_BYTES
        if need > context.machine.memory > need - workers * group:
            yield _large_groups(context, workers * group, need)
        elif need > context.machine.memory > need - workers * cache:
            yield Diagnostic(
                setting="resources.kv_cache_gb",
                value=context.config.resources.kv_cache_gb,
                why=f"about {size(need)} are needed with it, this machine has {size(context.machine.memory)}",
                fix="lower it",
            )
        else:
            yield from _fits(context, need, context.machine.memory, "this machine")
        available = context.machine.memory_available
        if available is not None and available < need <= 0.85 * context.machine.memory:
            left = f"{size(available)} available"
            why = f"about {size(need)} are needed and other processes hold the rest of this machine's memory"
            yield Diagnostic(
                setting="machine memory",
                value=left,
                why=why,
                fix="end what uses it, or start the run later",
                severity="warning",
            )
    elif context.machine.accelerator_memory:
        here = min(context.machine.accelerator_memory)
        need = training // context.workers + logits + int(context.config.rollout.memory_fraction * here)
        yield from _fits(context, need, here, "an accelerator")


def _large_groups(context: PreflightContext, group: int, need: int) -> Diagnostic:
    rollout = context.config.rollout
    return Diagnostic(
        setting="rollout.samples_per_prompt",
        value=rollout.samples_per_prompt,
        why=f"an update on CPU computes whole groups, and one of this size with responses of {rollout.max_response_tokens} "
        f"tokens takes about {size(group)}: {size(need)} are needed, this machine has {size(context.machine.memory)}",
        fix="lower it or rollout.max_response_tokens",
    )


def _mask_bytes(context: PreflightContext) -> int:
    """Return the bytes of the attention masks that an update on CPU holds at once.

    A group is one row (shared_prefix.py), and its mask has the square of the row's tokens: a byte each as it is built and
    four where attention adds it to its scores.
    """
    rollout = context.config.rollout
    groups = groups_per_micro_batch(context.config, context.resolved.micro_batch_tokens)
    row = context.config.longest_prompt + rollout.samples_per_prompt * rollout.max_response_tokens
    return groups * row * row * 5


def _cache(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check that the rollout engine's cache holds one sequence, without which it does not start."""
    model = context.model
    if context.platform != "cpu" or model is None:
        return
    tokens = context.config.longest_prompt + context.config.rollout.max_response_tokens
    width = 4 if context.resolved.rollout_dtype == "float32" else 2
    need = 2 * model.layers * model.kv_heads * model.head_dim * width * tokens
    if need > context.config.resources.kv_cache_gb * GIB:
        yield Diagnostic(
            setting="resources.kv_cache_gb",
            value=context.config.resources.kv_cache_gb,
            why=f"one sequence of {tokens} tokens takes {size(need)} of the rollout engine's cache",
            fix=f"set {-(-need // GIB)} or more",
        )


def _logit_rows(context: PreflightContext) -> int:
    """Tokens whose logits a training process holds at once.

    These are its groups' responses on CPU and the token budget on CUDA.
    """
    if context.platform == "cpu":
        groups = groups_per_micro_batch(context.config, context.resolved.micro_batch_tokens)
        return groups * context.config.rollout.samples_per_prompt * context.config.rollout.max_response_tokens
    return context.resolved.micro_batch_tokens


def _fits(context: PreflightContext, need: int, there: int, whose: str) -> Iterator[Diagnostic]:
    why = f"about {size(need)} are needed, {whose} has {size(there)}"
    fix = (
        "take a smaller model, more accelerators, or lower algorithm.micro_batch_tokens and the rollout engine's share"
    )
    if need > there:
        yield Diagnostic(setting="model.path", value=context.config.model.path, why=why, fix=fix)
    elif need > 0.85 * there:
        yield Diagnostic(setting="model.path", value=context.config.model.path, why=why, fix=fix, severity="warning")


def _shared_memory(context: PreflightContext) -> Iterator[Diagnostic]:
    parameters = context.model.params_total if context.model else None
    if context.platform != "cpu" or parameters is None:
        return
    # New weights go to the rollout engine through a bucket in shared memory (verl's default: 2 GiB).
    bucket = 2 * GIB
    if context.machine.shared_memory < bucket:
        why = (
            f"/dev/shm has {context.machine.shared_memory / GIB:.2f} GiB free, and weights reach the rollout engine "
            f"through a bucket of {bucket / GIB:.0f} GiB there"
        )
        key = "verl.actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes"
        asked = flatten(context.config.verl).get(key.removeprefix("verl."))
        if not (isinstance(asked, int) and asked << 20 <= context.machine.shared_memory):
            yield Diagnostic(
                setting=key,
                value=asked,
                why=why,
                fix="set it smaller, or give the container more shared memory (--shm-size)",
            )


def _temporary_folder(context: PreflightContext) -> Iterator[Diagnostic]:
    if socket_folder() is None:
        longest = SOCKET_PATH_BYTES - RAY_PATH_BYTES
        yield Diagnostic(
            setting="environment TMPDIR",
            value=tempfile.gettempdir(),
            why=f"the paths of Ray's sockets may have {SOCKET_PATH_BYTES} bytes, and neither this folder nor "
            f"{' nor '.join(ALTERNATIVES)} is both writable and short enough",
            fix=f"set TMPDIR to a writable folder of at most {longest} characters",
        )


def _record(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check that the record of all responses fits the disk, at half of the longest response and two groups per trained one."""
    config, steps = context.config, context.config.schedule.steps
    share, length = config.logging.token_share, config.rollout.max_response_tokens / 2
    responses = 2 * config.algorithm.prompts_per_step * config.rollout.samples_per_prompt
    step, free = recorded_bytes(responses, length, share), free_disk(context.run_dir)
    whole = step * steps
    if whole <= free or blocked(context.run_dir):
        return
    least = recorded_bytes(responses, length, 0.0)
    fits = max(0.0, (free / steps - least) / (recorded_bytes(responses, length, 1.0) - least))
    smaller = math.floor(50 * fits) / 100
    yield Diagnostic(
        setting="logging.token_share",
        value=share,
        why=f"responses and their tokens take about {size(step)} per step and {size(whole)} in {steps} steps, {size(free)} are "
        f"free in {context.run_dir.parent}",
        fix=f"set about {smaller}, or logging.runs_dir to a larger disk",
        severity="warning",
    )


def _disk(context: PreflightContext) -> Iterator[Diagnostic]:
    parameters, schedule = context.model.params_total if context.model else None, context.config.schedule
    if parameters is None or schedule.save_every == 0:
        return
    kept = min(schedule.keep_checkpoints, -(-schedule.steps // schedule.save_every))
    need = parameters * CHECKPOINT_BYTES * (kept + 1)  # the new one is written before the oldest goes
    free = free_disk(context.run_dir)
    if need > free and not blocked(context.run_dir):
        why = (
            f"{kept} checkpoints and the one being written take {size(need)}, {size(free)} are free "
            f"in {context.run_dir.parent}"
        )
        yield Diagnostic(
            setting="schedule.keep_checkpoints",
            value=schedule.keep_checkpoints,
            why=why,
            fix="keep fewer, or set logging.runs_dir to a larger disk",
        )
