"""Can the run be placed: Ray slots, accelerators, threads, memory, shared memory, disk."""

import socket
from collections.abc import Iterator
from pathlib import Path

from innovator_rl.config.resolve import BUNDLE_CPUS, groups_per_micro_batch, placement_cpus, threads
from innovator_rl.integrations.verl.verl_overrides import flatten
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.preflight.machine import PORTS, free_disk

GIB = 2**30
# Bytes a parameter: float32 weight, gradient and AdamW's two moments in training; weight and moments in a checkpoint.
TRAINING_BYTES, CHECKPOINT_BYTES = 16, 12
PROCESSES_BYTES = 3 * GIB  # Ray, driver, rollout server, interpreters with torch: measured on a run of a tiny model


def check(case: PreflightContext) -> Iterator[Diagnostic]:
    """Findings about the machine or cluster."""
    yield from _ray(case)
    yield from _accelerators(case)
    yield from _threads(case)
    yield from _ports(case)
    if case.cluster is None:
        yield from _memory(case)
        yield from _shared_memory(case)
    yield from _disk(case)


def _ray(case: PreflightContext) -> Iterator[Diagnostic]:
    resources = case.config.resources
    needed = placement_cpus(case.config)
    if case.cluster is None:
        if resources.ray_cpus != "auto" and resources.ray_cpus < needed:
            why = (
                f"verl asks for {BUNDLE_CPUS} CPU slots a worker and some for its services: with fewer the run "
                "waits for ever, silently"
            )
            yield Diagnostic(
                "resources.ray_cpus", resources.ray_cpus, why, f"set auto, or at least {needed} (slots, not cores)"
            )
        if resources.nodes > 1:
            yield Diagnostic(
                "resources.nodes",
                resources.nodes,
                "a Ray started here has one node",
                "set resources.ray_address to the cluster",
            )
        return
    if resources.ray_cpus != "auto":
        yield Diagnostic(
            "resources.ray_cpus",
            resources.ray_cpus,
            "an existing cluster (resources.ray_address) has its own slots",
            "leave it auto",
        )
    problem = _unreachable(case.cluster)
    if problem:
        yield Diagnostic(
            "resources.ray_address",
            resources.ray_address,
            problem,
            "start the cluster, or leave it out to start Ray here",
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


def _accelerators(case: PreflightContext) -> Iterator[Diagnostic]:
    wanted, there = case.config.resources.accelerators_per_node, len(case.machine.accelerator_memory)
    if case.platform == "cpu":
        if wanted > case.machine.cores:
            yield Diagnostic(
                "resources.accelerators_per_node", wanted, f"worker processes for {case.machine.cores} cores", "set 1"
            )
        return
    if case.cluster is not None:
        return  # the cluster's nodes are not this machine
    if there == 0:
        key = "resources.platform"
        yield Diagnostic(
            key,
            case.config.resources.platform,
            "this machine shows no accelerator (nvidia-smi)",
            "set cpu, or start the run where the accelerators are",
        )
    elif wanted > there:
        yield Diagnostic("resources.accelerators_per_node", wanted, f"this machine has {there}", f"set at most {there}")


def _threads(case: PreflightContext) -> Iterator[Diagnostic]:
    asked = threads(case.config) if case.config.resources.threads != "auto" else 0
    if case.platform == "cpu" and asked > case.machine.cores:
        why = f"more than this machine's {case.machine.cores} cores: the threads wait for each other"
        yield Diagnostic("resources.threads", asked, why, f"set auto or at most {case.machine.cores}")


def _ports(case: PreflightContext) -> Iterator[Diagnostic]:
    if case.machine.free_ports < PORTS:
        why = f"Ray, vLLM and the queue of a run bind up to {PORTS} TCP ports, only {case.machine.free_ports} could be bound"
        yield Diagnostic(
            "machine free ports",
            case.machine.free_ports,
            why,
            "end what holds them, widen net.ipv4.ip_local_port_range or raise the limit of open files (ulimit -n)",
        )


def _memory(case: PreflightContext) -> Iterator[Diagnostic]:
    parameters = case.model.params_total if case.model else None
    if parameters is None or case.model is None:
        return
    logits = _logit_rows(case) * case.model.vocab * 4 * 3  # logits, their softmax, its gradient
    rollout = parameters * (4 if case.resolved.rollout_dtype == "float32" else 2)
    reference = parameters * 4 if case.config.algorithm.kl_coefficient > 0 else 0
    training = parameters * TRAINING_BYTES + reference
    if case.platform == "cpu":
        cache = case.config.resources.kv_cache_gb * GIB
        workers = case.config.resources.accelerators_per_node
        need = training + workers * (logits + rollout + cache) + PROCESSES_BYTES
        yield from _verdict(case, need, case.machine.memory, "this machine")
        available = case.machine.memory_available
        if available is not None and available < need <= 0.85 * case.machine.memory:
            left = f"{available / GIB:.1f} GiB available"
            why = f"about {need / GIB:.1f} GiB are needed and other processes hold the rest of this machine's memory"
            yield Diagnostic("machine memory", left, why, "end what uses it, or start the run later", "warning")
    elif case.machine.accelerator_memory:
        here = min(case.machine.accelerator_memory)
        need = training // case.workers + logits + int(case.config.rollout.memory_fraction * here)
        yield from _verdict(case, need, here, "an accelerator")


def _logit_rows(case: PreflightContext) -> int:
    """Tokens whose logits a training process holds at once: its groups' responses on CPU, the token budget on CUDA."""
    if case.platform == "cpu":
        groups = groups_per_micro_batch(case.config, case.resolved.micro_batch_tokens)
        return groups * case.config.rollout.samples_per_prompt * case.config.rollout.max_response_tokens
    return case.resolved.micro_batch_tokens


def _verdict(case: PreflightContext, need: int, there: int, whose: str) -> Iterator[Diagnostic]:
    why = f"about {need / GIB:.1f} GiB are needed, {whose} has {there / GIB:.1f} GiB"
    fix = (
        "take a smaller model, more accelerators, or lower algorithm.micro_batch_tokens and the rollout engine's share"
    )
    if need > there:
        yield Diagnostic("model.path", case.config.model.path, why, fix)
    elif need > 0.85 * there:
        yield Diagnostic("model.path", case.config.model.path, why, fix, "warning")


def _shared_memory(case: PreflightContext) -> Iterator[Diagnostic]:
    parameters = case.model.params_total if case.model else None
    if case.platform != "cpu" or parameters is None:
        return
    # New weights go to the rollout engine through a bucket in shared memory (verl's default: 2 GiB).
    bucket = 2 * GIB
    if case.machine.shared_memory < bucket:
        why = (
            f"/dev/shm has {case.machine.shared_memory / GIB:.2f} GiB free, and weights reach the rollout engine "
            f"through a bucket of {bucket / GIB:.0f} GiB there"
        )
        key = "verl.actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes"
        asked = flatten(case.config.verl).get(key.removeprefix("verl."))
        if not (isinstance(asked, int) and asked << 20 <= case.machine.shared_memory):
            yield Diagnostic(key, asked, why, "set it smaller, or give the container more shared memory (--shm-size)")


def _disk(case: PreflightContext) -> Iterator[Diagnostic]:
    parameters, schedule = case.model.params_total if case.model else None, case.config.schedule
    if parameters is None or schedule.save_every == 0:
        return
    kept = min(schedule.keep_checkpoints, -(-schedule.steps // schedule.save_every))
    need = parameters * CHECKPOINT_BYTES * (kept + 1)  # the new one is written before the oldest goes
    free = free_disk(case.run_dir)
    if need > free:
        why = (
            f"{kept} checkpoints and the one being written take {need / GIB:.1f} GiB, {free / GIB:.1f} GiB are free "
            f"in {case.run_dir.parent}"
        )
        yield Diagnostic(
            "schedule.keep_checkpoints",
            schedule.keep_checkpoints,
            why,
            "keep fewer, or set logging.runs_dir to a larger disk",
        )
