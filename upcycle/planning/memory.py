"""Estimate the memory of one rank, as FSDP2 cuts the model and the trainer uses it.

FSDP2 cuts every tensor along its first dimension into as many chunks as there are ranks, and pads to the first chunk. A
tensor of 64 experts on 48 ranks is cut into chunks of two, so a rank holds up to a third more than an even share, and a
gathered layer is half again as large as the layer. Parameters, gradients and AdamW's moments are float32. While a layer
runs backward, the next one is gathered; its gradient exists whole in the computing type and in float32 for the reduction.
One rank that computes in float32 is not sharded and gathers nothing. Gradients add up over slices, so they are held while
the activations of a later slice are.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from math import prod

from upcycle.checkpoint.dtypes import SHORT_NAME, itemsize
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import StageConfig, TrainJointConfig, TrainRouterConfig
from upcycle.model.architecture import LOGITS_AT_ONCE, ModelSpec, layer_shapes, tensor_shapes
from upcycle.planning.batches import local_sequences

MASTER_BYTES = 4  # parameters and gradients in float32
ADAM_BYTES = 8  # two float32 moments
SUMS_BYTES = 8  # the router's initialization sums in float64
TRAINED = {  # parts of the parameter names that learn in stage 4
    "all": ("",),
    "experts": (".mlp.gate.", ".mlp.experts.", ".mlp.routed_scale"),
    "router": (".mlp.gate.", ".mlp.routed_scale"),
}

Shapes = Iterable[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class MemoryEstimate:
    """Estimated bytes on one GPU."""

    parameters: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    logits: int
    router_init: int = 0

    @property
    def total(self) -> int:
        """Sum of all parts, in bytes."""
        return sum(asdict(self).values())


def learns(spec: ModelSpec, stage: StageConfig) -> Callable[[str], bool]:
    """Return whether a parameter of this name learns in a stage, as the stages themselves decide."""
    if isinstance(stage, TrainRouterConfig):
        return lambda name: name.endswith("mlp.gate.weight")
    if isinstance(stage, TrainJointConfig):
        return lambda name: any(part in name for part in TRAINED[stage.train])
    if spec.kind == "induced":
        return lambda name: ".mlp.expert." in name
    return lambda _name: True


def held_by_rank(shapes: Shapes, ranks: int) -> int:
    """Count the parameters that rank 0 holds, which is also what every rank stores with padding."""
    return sum(-(-shape[0] // ranks) * prod(shape[1:]) for _, shape in shapes)


def gathered(shapes: Shapes, ranks: int) -> int:
    """Count the numbers of a gathered group of tensors, padding included."""
    return ranks * held_by_rank(shapes, ranks)


def estimate(config: UpcycleConfig, spec: ModelSpec, stage: StageConfig, ranks: int) -> MemoryEstimate:
    """Estimate the bytes on each of `ranks` ranks in a stage.

    Args:
        config: The run's configuration.
        spec: Shape of the model, of the stage's kind.
        stage: Settings of the stage.
        ranks: Ranks that train.
    """
    computing = itemsize(SHORT_NAME[config.trainer.dtype])
    trains = learns(spec, stage)
    parameters = [(name, shape) for name, shape in tensor_shapes(spec) if shape != (1,)]
    trained = [(name, shape) for name, shape in parameters if trains(name)]
    on_device = 0 if config.trainer.cpu_offload else 1
    learned = held_by_rank(trained, ranks) * on_device
    tokens = local_sequences(config, stage, ranks) * config.data.sequence_length
    return MemoryEstimate(
        parameters=held_by_rank(parameters, ranks) * MASTER_BYTES * on_device,
        gradients=learned * MASTER_BYTES,
        optimizer=learned * ADAM_BYTES,
        gathered=_gathered(config, spec, trains, ranks, computing),
        activations=_activations(spec, tokens, computing, config.trainer.checkpointing, stage),
        logits=min(tokens * spec.vocabulary, LOGITS_AT_ONCE) * (computing + 2 * MASTER_BYTES),
        router_init=spec.layers * spec.hidden**2 * SUMS_BYTES
        if isinstance(stage, TrainRouterConfig) and stage.init_tokens
        else 0,
    )


def host_bytes(config: UpcycleConfig, spec: ModelSpec, stage: StageConfig, ranks: int, per_node: int) -> int:
    """Return the host memory that offloaded parameters, gradients and moments take on one node; 0 without offloading."""
    if not config.trainer.cpu_offload:
        return 0
    trains = learns(spec, stage)
    parameters = [(name, shape) for name, shape in tensor_shapes(spec) if shape != (1,)]
    trained = [(name, shape) for name, shape in parameters if trains(name)]
    each = held_by_rank(parameters, ranks) * MASTER_BYTES + held_by_rank(trained, ranks) * (MASTER_BYTES + ADAM_BYTES)
    return each * min(ranks, per_node)


def _gathered(config: UpcycleConfig, spec: ModelSpec, trains: Callable[[str], bool], ranks: int, computing: int) -> int:
    if ranks == 1 and config.trainer.dtype == "float32" and not config.trainer.cpu_offload:
        return 0
    layer = [(name, shape) for name, shape in layer_shapes(spec, 0) if shape != (1,)]
    root = [(name, shape) for name, shape in tensor_shapes(spec) if not name.startswith("model.layers.")]
    learning = [item for item in layer if trains(item[0])]
    return (2 * gathered(layer, ranks) + gathered(root, ranks)) * computing + gathered(learning, ranks) * (
        computing + MASTER_BYTES
    )


def _activations(spec: ModelSpec, tokens: int, computing: int, checkpointing: bool, stage: StageConfig) -> int:
    inside = tokens * _inside_layer(spec) * computing
    boundary = tokens * spec.hidden * computing
    if isinstance(stage, TrainRouterConfig):  # nothing runs backward but the routers' own products
        return boundary * spec.layers + inside
    return boundary * spec.layers + inside if checkpointing else (boundary + inside) * spec.layers


def _inside_layer(spec: ModelSpec) -> int:
    """Count the activations per token that one layer keeps for its backward pass."""
    attention = 4 * spec.hidden + 2 * (spec.heads + spec.kv_heads) * spec.head_dim
    width = 4 * spec.intermediate
    if spec.kind == "induced":
        width *= 2
    if spec.kind == "mixture":
        width += spec.top_k * (4 * spec.fine + 2 * spec.hidden) + spec.slots
    return attention + width
