"""Count the bytes of one GPU in the three phases of a step.

verl's FSDP2 engine keeps parameters, gradients and AdamW's two moments in float32, cut over `shard` GPUs, and computes in
the model's type: one layer is gathered while the next one is fetched. `activation_bytes` counts what transformers'
Llama, Qwen2 and Qwen2-MoE layers keep for their backward pass; it is measured in the tests, tensor by tensor. Rollouts
hold the weights in the rollout engine's type, cut by tensor parallelism, next to whatever of the trainer is not offloaded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from innovator_rl.planning.shape import Shape

MASTER_BYTES, ADAM_BYTES = 4, 8
INDEX_BYTES = 37  # per token and chosen expert: sorted indices in int64 and their permutation
LOGIT_BYTES = 12  # per logit: float32 value, its log-softmax and its gradient
ENGINE_BYTES = 3 * 2**30  # CUDA context, NCCL buffers and graphs of the rollout engine
TRAINER_BYTES = 2 * 2**30  # CUDA context, NCCL buffers and fragmentation of the trainer
SYNC_BYTES = 2 * 2**30  # verl's bucket for new weights
CHECKPOINT_BYTES = MASTER_BYTES + ADAM_BYTES


@dataclass(frozen=True)
class Setup:
    """How a run uses its GPUs.

    Attributes:
        shard: GPUs over which one copy of the trained model is cut.
        micro_batch_tokens: Tokens of one forward and backward pass.
        itemsize: Bytes of the type to compute in.
        checkpointing: Whether activations are computed again in the backward pass.
        param_offload: Whether parameters wait in main memory while the GPU generates.
        optimizer_offload: Whether moments wait in main memory except during the optimizer's step.
        rollout_itemsize: Bytes of the rollout engine's type.
        tensor_parallel: GPUs over which a rollout replica is cut; experts are cut the same way.
        memory_fraction: Share of a GPU that the rollout engine may take.
        longest: Tokens of the longest sequence, prompt included.
        reference: Whether a frozen reference model is kept.
    """

    shard: int
    micro_batch_tokens: int
    itemsize: int
    checkpointing: bool
    param_offload: bool
    optimizer_offload: bool
    rollout_itemsize: int
    tensor_parallel: int
    memory_fraction: float
    longest: int
    reference: bool = False


@dataclass(frozen=True)
class Phase:
    """Bytes of one GPU in one phase of a step."""

    parameters: int = 0
    gradients: int = 0
    optimizer: int = 0
    gathered: int = 0
    activations: int = 0
    logits: int = 0
    rollout_weights: int = 0
    kv_cache: int = 0
    overhead: int = 0

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return sum(asdict(self).values())


def layer_activation_bytes(shape: Shape, itemsize: int) -> float:
    """Return the bytes per token that one layer keeps for its backward pass.

    Args:
        shape: The model.
        itemsize: Bytes of the type to compute in; norms keep a float32 copy of their input.
    """
    norms = 2 * shape.hidden * (4 + 2 * itemsize) + 8
    attention = (2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim * itemsize + 4 * shape.heads
    if not shape.experts:
        return norms + attention + 4 * shape.intermediate * itemsize
    shared = (4 * shape.intermediate + (shape.hidden + 1 if shape.intermediate else 0)) * itemsize
    routed = shape.top_k * ((4 * shape.expert_width + 2 * shape.hidden) * itemsize + INDEX_BYTES)
    return norms + attention + shared + routed + 4 * shape.experts


def activation_bytes(shape: Shape, tokens: int, itemsize: int, checkpointing: bool) -> int:
    """Return the bytes that all layers keep for the backward pass of `tokens` tokens."""
    layer = layer_activation_bytes(shape, itemsize)
    ends = shape.hidden * (4 + itemsize) + 2 * shape.head_dim * itemsize + 12
    kept = shape.layers * shape.hidden * itemsize + layer if checkpointing else shape.layers * layer
    return round(tokens * (kept + ends))


def logit_bytes(shape: Shape, tokens: int, itemsize: int) -> int:
    """Return the bytes of the logits of `tokens` tokens, their log-softmax and their gradient."""
    return tokens * shape.vocab * (LOGIT_BYTES + (itemsize if itemsize < 4 else 0))


def update_phase(shape: Shape, setup: Setup) -> Phase:
    """Return the bytes of one GPU at the worst moment of an update: the end of a forward pass, or the optimizer's step."""
    each = -(-shape.total // setup.shard)
    outside = shape.vocab * shape.hidden * (1 if shape.tied else 2)
    gathered = 0
    if setup.shard > 1:
        # Two layers and the embeddings in the computing type; the gradient of one layer whole, and in float32 to reduce.
        gathered = (2 * shape.largest_layer + outside) * setup.itemsize + shape.largest_layer * (setup.itemsize + 4)
    backward = Phase(
        parameters=each * MASTER_BYTES,
        gradients=each * MASTER_BYTES,
        optimizer=0 if setup.optimizer_offload else each * ADAM_BYTES,
        gathered=gathered,
        activations=activation_bytes(shape, setup.micro_batch_tokens, setup.itemsize, setup.checkpointing),
        logits=logit_bytes(shape, setup.micro_batch_tokens, setup.itemsize),
        overhead=TRAINER_BYTES,
    )
    step = Phase(
        parameters=each * MASTER_BYTES,
        gradients=each * MASTER_BYTES,
        optimizer=each * ADAM_BYTES,
        overhead=TRAINER_BYTES,
    )
    return max(backward, step, key=lambda phase: phase.total)


def rollout_phase(shape: Shape, setup: Setup, gpu_bytes: int) -> Phase:
    """Return the bytes of one GPU while it generates; the cache takes what the engine's share leaves."""
    each = -(-shape.total // setup.shard)
    weights = shape.total * setup.rollout_itemsize // setup.tensor_parallel
    share = int(setup.memory_fraction * gpu_bytes)
    return Phase(
        parameters=0 if setup.param_offload else each * MASTER_BYTES,
        optimizer=0 if setup.optimizer_offload else each * ADAM_BYTES,
        rollout_weights=weights,
        kv_cache=max(0, share - weights - ENGINE_BYTES),
        overhead=ENGINE_BYTES,
    )


def sync_phase(shape: Shape, setup: Setup) -> Phase:
    """Return the bytes of one GPU while new weights reach the rollout engine, before its cache is back."""
    each = -(-shape.total // setup.shard)
    return Phase(
        parameters=each * MASTER_BYTES,
        optimizer=0 if setup.optimizer_offload else each * ADAM_BYTES,
        gathered=2 * shape.largest_layer * setup.itemsize + SYNC_BYTES,
        rollout_weights=shape.total * setup.rollout_itemsize // setup.tensor_parallel,
        overhead=ENGINE_BYTES,
    )


def kv_token_bytes(shape: Shape, setup: Setup) -> float:
    """Return the bytes of one token in the cache of one GPU; a head cannot be cut."""
    heads = max(1.0, shape.kv_heads / setup.tensor_parallel)
    return 2 * shape.layers * heads * shape.head_dim * setup.rollout_itemsize


def host_bytes(shape: Shape, setup: Setup, per_node: int) -> int:
    """Return the main memory of a node that offloaded states take."""
    each = -(-shape.total // setup.shard) * per_node
    kept = (MASTER_BYTES if setup.param_offload else 0) + (ADAM_BYTES if setup.optimizer_offload else 0)
    return each * (kept + (MASTER_BYTES if setup.reference else 0))
