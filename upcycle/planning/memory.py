"""Estimate the memory of one rank, as FSDP2 cuts the model and the trainer uses it.

`upcycle.model.layout` says how FSDP2 and expert parallelism cut each tensor: along the first dimension, with padding, except
experts that the ranks do not divide. Parameters, gradients and AdamW's moments are float32. While a layer
runs backward, the next one is gathered; its gradient exists whole in the computing type and in float32 for the reduction.
One rank that computes in float32 is not sharded and gathers nothing. Gradients add up over slices, so they are held while
the activations of a later slice are.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from upcycle.checkpoint.dtypes import SHORT_NAME, itemsize
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import StageConfig, TrainerConfig, TrainJointConfig, TrainRouterConfig
from upcycle.model.architecture import LOGITS_AT_ONCE, ModelSpec, layer_shapes, tensor_shapes
from upcycle.model.layout import Layout
from upcycle.planning.batches import local_sequences

MASTER_BYTES = 4  # parameters and gradients in float32
ADAM_BYTES = 8  # two float32 moments
SUMS_BYTES = 8  # the router's initialization sums in float64
TRAINED = {  # parts of the parameter names that learn in stage 4
    "all": ("",),
    "experts": (".mlp.gate.", ".mlp.experts.", ".mlp.routed_scale"),
    "router": (".mlp.gate.", ".mlp.routed_scale"),
}


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


def layout_of(config: UpcycleConfig, spec: ModelSpec, ranks: int) -> Layout:
    """Return the layout of a model over so many ranks; only a mixture has an expert axis."""
    return Layout.of(config.trainer, ranks, spec.experts if spec.kind == "mixture" else 0)


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
    layout = layout_of(config, spec, ranks)
    learned = layout.held(trained) * on_device
    tokens = local_sequences(config, stage, ranks) * config.data.sequence_length
    return MemoryEstimate(
        parameters=layout.held(parameters) * MASTER_BYTES * on_device,
        gradients=learned * MASTER_BYTES,
        optimizer=learned * ADAM_BYTES,
        gathered=_gathered(config, spec, trains, layout, computing),
        activations=_activations(spec, tokens, computing, config.trainer, stage, layout.experts),
        logits=_logits(spec, tokens, computing, stage),
        router_init=spec.layers * spec.hidden**2 * SUMS_BYTES
        if isinstance(stage, TrainRouterConfig) and stage.init_tokens
        else 0,
    )


def _logits(spec: ModelSpec, tokens: int, computing: int, stage: StageConfig) -> int:
    """Count the logits of one part: in the computing type, and in float32 with their log-probabilities or gradient.

    The router's loss needs none. Evaluation does, after the layers, so what these took is free by then.
    """
    copies = 2 * MASTER_BYTES + (computing if computing != MASTER_BYTES else 0)  # float32 logits are not converted
    whole = min(tokens * spec.vocabulary, LOGITS_AT_ONCE) * copies
    inside = tokens * _inside_layer(spec) * computing
    return max(0, whole - inside) if isinstance(stage, TrainRouterConfig) else whole


def host_bytes(config: UpcycleConfig, spec: ModelSpec, stage: StageConfig, ranks: int, per_node: int) -> int:
    """Return the host memory that offloaded parameters, gradients and moments take on one node; 0 without offloading."""
    if not config.trainer.cpu_offload:
        return 0
    trains = learns(spec, stage)
    parameters = [(name, shape) for name, shape in tensor_shapes(spec) if shape != (1,)]
    trained = [(name, shape) for name, shape in parameters if trains(name)]
    layout = layout_of(config, spec, ranks)
    each = layout.held(parameters) * MASTER_BYTES + layout.held(trained) * (MASTER_BYTES + ADAM_BYTES)
    return each * min(ranks, per_node)


def _gathered(
    config: UpcycleConfig, spec: ModelSpec, trains: Callable[[str], bool], layout: Layout, computing: int
) -> int:
    if layout.ranks == 1 and config.trainer.dtype == "float32" and not config.trainer.cpu_offload:
        return 0
    layer = [(name, shape) for name, shape in layer_shapes(spec, 0) if shape != (1,)]
    root = [(name, shape) for name, shape in tensor_shapes(spec) if not name.startswith("model.layers.")]
    learning = [item for item in layer if trains(item[0])]
    whole = 2 * layout.gathered(layer) + layout.gathered(root)
    return whole * computing + layout.gathered(learning) * (computing + MASTER_BYTES)


def _activations(
    spec: ModelSpec, tokens: int, computing: int, trainer: TrainerConfig, stage: StageConfig, expert_ranks: int
) -> int:
    checkpointing = trainer.checkpointing
    exchanged, routed = 0, 0
    if expert_ranks > 1:
        exchanged = 4 * spec.top_k * spec.hidden  # rows sent and received, on both ways
        routed = spec.top_k * (4 * spec.fine + 2 * spec.hidden) + exchanged
    padding = round(routed * max(0.0, trainer.expert_capacity - 1))
    inside = tokens * (_inside_layer(spec) + exchanged + padding) * computing
    boundary = tokens * spec.hidden * computing
    if isinstance(stage, TrainRouterConfig):  # only the routers run backward; without recomputation their input is kept
        return (boundary if checkpointing else tokens * spec.hidden * MASTER_BYTES) * spec.layers + inside
    return boundary * spec.layers + inside if checkpointing else (boundary + inside) * spec.layers


def _inside_layer(spec: ModelSpec) -> int:
    """Count the activations per token that one layer keeps for its backward pass."""
    attention = 4 * spec.hidden + 2 * (spec.heads + spec.kv_heads) * spec.head_dim
    width = 4 * spec.intermediate
    if spec.kind == "induced":
        width *= 2
    if spec.kind == "mixture":
        # As if the gates weighted the wide rows. They weight the narrow ones, so this is k (H - F) more than is kept.
        width += spec.top_k * (4 * spec.fine + 2 * spec.hidden) + spec.slots
    return attention + width
