"""Say how long each part of a simulated step takes: from the plan's arithmetic, or fitted to a recorded run.

A `Costs` has one function per part. `of_plan` uses the same figures as `innovator train plan`; `calibration.py` fits the
same functions to what a run recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from innovator_rl.planning import timing
from innovator_rl.planning.memory import CHECKPOINT_BYTES, kv_token_bytes
from innovator_rl.planning.plan import Plan

CHECKPOINT_GB_S = 2.0
"""Stated: 10^9 bytes per second that one node writes to the checkpoint's disk."""


@dataclass(frozen=True)
class Costs:
    """Seconds of the parts of a step.

    Attributes:
        replicas: Rollout replicas.
        slots: Answers that a replica generates at the same time.
        ranks: Processes that share an update.
        decode: (answers, their tokens in the cache) -> seconds until each of them has one token more.
        prefill: Tokens -> seconds in which a replica computes them for the first time.
        update: Tokens of the busiest rank in one optimizer step -> seconds.
        network: The same -> seconds of communication that the update cannot hide.
        log_probs: Tokens of the busiest rank in a step -> seconds of the passes before the update.
        sync: Seconds of a weight sync.
        checkpoint: Seconds of a checkpoint.
        round_seconds: Fixed seconds of a round of generation: prompts sent out, results collected.
        rest: Seconds of a step that belong to no part.
    """

    replicas: int
    slots: int
    ranks: int
    decode: Callable[[int, float], float]
    prefill: Callable[[float], float]
    update: Callable[[float], float]
    network: Callable[[float], float]
    log_probs: Callable[[float], float]
    sync: float
    checkpoint: float = 0.0
    round_seconds: float = 0.0
    rest: float = 0.0


def of_plan(found: Plan, passes: int, sequences: int, mean_tokens: float) -> Costs:
    """Return the costs that a plan's arithmetic and assumptions give.

    Args:
        found: The plan.
        passes: Forward-only passes before the update.
        sequences: `rollout.max_num_seqs`.
        mean_tokens: Mean tokens of prompt and answer; the cache holds as many answers of this length as fit.
    """
    shape, setup, gpus, assumed = found.shape, found.setup, found.hardware, found.assumptions
    per_token = kv_token_bytes(shape, setup)
    bandwidth = gpus.memory_tb_s * 1e12 * assumed.bandwidth_share
    flops = gpus.tflops * 1e12 * assumed.mfu
    per_forward = (2.0 * shape.active + 2.0 * mean_tokens * shape.layers * shape.heads * shape.head_dim) / flops
    backward = 4.0 if setup.checkpointing else 3.0
    network = timing.network_gb_s(setup, gpus) * 1e9 * assumed.network_share
    read = [0.0, *(timing.read_bytes(shape, setup, float(count)) for count in range(1, sequences + 1))]

    def exposed(tokens: float) -> float:
        moved = timing.gathered_bytes(shape, setup, gpus, tokens * gpus.gpus)
        return max(0.0, moved / network - backward * per_forward * tokens)

    return Costs(
        replicas=max(1, gpus.gpus // setup.tensor_parallel),
        slots=max(1, min(sequences, int(found.rollout.kv_cache / (per_token * mean_tokens)))),
        ranks=gpus.gpus,
        decode=lambda answers, cached: (read[answers] + cached * per_token) / bandwidth,
        prefill=lambda tokens: tokens * per_forward / setup.tensor_parallel,
        update=lambda tokens: backward * per_forward * tokens,
        network=exposed,
        log_probs=lambda tokens: passes * per_forward * tokens,
        sync=found.seconds.sync,
        checkpoint=shape.total * CHECKPOINT_BYTES / (gpus.nodes * CHECKPOINT_GB_S * 1e9),
    )
