"""Estimate the seconds of a step from stated assumptions.

Generation is bound by memory bandwidth: each decoded token reads the weights once for the whole batch, and each sequence
its part of the cache. Training is bound by arithmetic or by the gathering of weights, whichever takes longer. The length
distribution decides how long the last responses run alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from innovator_rl.planning.hardware import Hardware
from innovator_rl.planning.memory import Setup, kv_token_bytes
from innovator_rl.planning.shape import Shape


@dataclass(frozen=True)
class Assumptions:
    """What arithmetic cannot tell; each is printed with the plan.

    Attributes:
        mfu: Share of the peak that training reaches (torchtitan issue 1993: 0.135 to 0.21 on a mixture with FSDP2).
        bandwidth_share: Share of the memory bandwidth that decoding reaches.
        network_share: Share of the network's bandwidth that collectives reach.
        mean_response: Mean response as a share of the longest.
        mean_prompt: Mean prompt as a share of the longest.
        generated_per_trained: Groups generated for each group trained on; 1 without dynamic sampling.
    """

    mfu: float = 0.2
    bandwidth_share: float = 0.6
    network_share: float = 0.7
    mean_response: float = 0.4
    mean_prompt: float = 0.25
    generated_per_trained: float = 1.5


@dataclass(frozen=True)
class Work:
    """The responses of one step.

    Attributes:
        responses: Responses that are trained on.
        prompt_tokens: Longest prompt.
        response_tokens: Longest response.
        updates: Optimizer steps.
        passes: Forward-only passes over the step's tokens before the update (old log-probabilities, reference).
        sequences: Sequences that one rollout replica decodes at the same time.
    """

    responses: int
    prompt_tokens: int
    response_tokens: int
    updates: int
    passes: int
    sequences: int


@dataclass(frozen=True)
class Seconds:
    """Seconds of one step by phase; `communication` is what the update cannot hide."""

    generate: float
    log_probs: float
    update: float
    communication: float
    sync: float

    @property
    def total(self) -> float:
        """Sum of all phases."""
        return sum(asdict(self).values())


def step_seconds(
    shape: Shape, setup: Setup, gpus: Hardware, work: Work, assumed: Assumptions, kv_bytes: int
) -> Seconds:
    """Estimate the phases of one step.

    Args:
        shape: The model.
        setup: How the run uses the GPUs.
        gpus: The GPUs.
        work: The responses of the step.
        assumed: The assumptions.
        kv_bytes: Bytes of the rollout engine's cache on one GPU.
    """
    tokens = work.responses * (assumed.mean_prompt * work.prompt_tokens + assumed.mean_response * work.response_tokens)
    flops = gpus.gpus * gpus.tflops * 1e12 * assumed.mfu
    forward = 2.0 * shape.active * tokens + attention_flops(shape, tokens, assumed, work)
    update = (4.0 if setup.checkpointing else 3.0) * forward / flops
    moved = gathered_bytes(shape, setup, gpus, tokens)
    network = moved / (network_gb_s(setup, gpus) * 1e9 * assumed.network_share)
    return Seconds(
        generate=generate_seconds(shape, setup, gpus, work, assumed, kv_bytes),
        log_probs=work.passes * forward / flops,
        update=update,
        communication=max(0.0, network - update),
        sync=shape.total * setup.rollout_itemsize / (network_gb_s(setup, gpus) * 1e9 * assumed.network_share),
    )


def attention_flops(shape: Shape, tokens: float, assumed: Assumptions, work: Work) -> float:
    """Return the operations of attention's two products over half of each sequence, one forward pass."""
    length = assumed.mean_prompt * work.prompt_tokens + assumed.mean_response * work.response_tokens
    return 2.0 * tokens * length * shape.layers * shape.heads * shape.head_dim


def gathered_bytes(shape: Shape, setup: Setup, gpus: Hardware, tokens: float) -> float:
    """Return the bytes that one GPU receives in the passes of an update.

    Each micro-batch gathers the weights forward and backward and reduces float32 gradients.
    """
    if setup.shard == 1:
        return 0.0
    micro_batches = max(1.0, tokens / gpus.gpus / setup.micro_batch_tokens)
    share = (setup.shard - 1) / setup.shard
    return micro_batches * shape.total * share * (2 * setup.itemsize + 4)


def network_gb_s(setup: Setup, gpus: Hardware) -> float:
    """Return the bandwidth per GPU of the slowest link that a shard group uses."""
    return gpus.inside_gb_s if setup.shard <= gpus.per_node else gpus.between_gb_s


def generate_seconds(
    shape: Shape, setup: Setup, gpus: Hardware, work: Work, assumed: Assumptions, kv_bytes: int
) -> float:
    """Estimate the seconds until the last response of a step has ended."""
    replicas = max(1, gpus.gpus // setup.tensor_parallel)
    bandwidth = gpus.memory_tb_s * 1e12 * assumed.bandwidth_share
    mean = assumed.mean_prompt * work.prompt_tokens + assumed.mean_response * work.response_tokens
    per_token = kv_token_bytes(shape, setup)
    at_once = max(1.0, min(float(work.sequences), kv_bytes / (per_token * mean)))
    wanted = work.responses * assumed.generated_per_trained / replicas
    at_once = min(at_once, max(1.0, wanted))
    tokens = wanted * assumed.mean_response * work.response_tokens
    full = (read_bytes(shape, setup, at_once) + at_once * mean * per_token) / bandwidth
    alone = (read_bytes(shape, setup, 1.0) + work.response_tokens * per_token) / bandwidth
    # The last responses go on nearly alone from about the mean to the longest length.
    return tokens / at_once * full + (1 - assumed.mean_response) * work.response_tokens * alone


def read_bytes(shape: Shape, setup: Setup, sequences: float) -> float:
    """Return the bytes of weights that one GPU reads to decode one token of each sequence: more sequences, more experts."""
    if not shape.experts:
        touched = float(shape.total)
    else:
        chosen = 1.0 - (1.0 - shape.top_k / shape.experts) ** sequences
        routed = 3.0 * shape.hidden * shape.expert_width * shape.experts * shape.layers
        touched = shape.total - routed * (1.0 - chosen)
    return touched * setup.rollout_itemsize / setup.tensor_parallel
