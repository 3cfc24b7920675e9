"""Count what a run needs: parameters, tensors, files, operations and memory.

Everything follows from the base model's config.json and the configuration in well under a second; nothing is loaded.
The memory estimate describes FSDP2 as the trainer uses it: float32 parameters, gradients and AdamW moments sharded over
all ranks, one layer gathered in the computing type while the next is fetched and its gradient reduced in float32,
activations kept at layer boundaries.
"""

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from upcycle.checkpoint.dtypes import SHORT_NAME, itemsize
from upcycle.checkpoint.expert_split import expert_shapes
from upcycle.checkpoint.hf_export import ExportSource
from upcycle.checkpoint.sharded_writer import Shard, plan_shards
from upcycle.checkpoint.tensor_source import Entry, SyntheticSource
from upcycle.checkpoint.vllm_limits import serving_notes
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import STAGE_FOLDERS, Stage, StageConfig, TrainRouterConfig
from upcycle.model.architecture import LOGITS_AT_ONCE, Kind, ModelSpec, layer_shapes, tensor_shapes
from upcycle.planning.flops import Flops, active_weights, flops_per_token

ADAM_BYTES = 8  # two float32 moments
MASTER_BYTES = 4  # parameters and gradients in float32
SUMS_BYTES = 8  # the router's initialization sums in float64
STAGES: tuple[tuple[Stage, Kind], ...] = (
    ("train_experts", "induced"),
    ("train_router", "mixture"),
    ("train_joint", "mixture"),
)


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


@dataclass(frozen=True)
class StagePlan:
    """One training stage, run `runs` times with `tokens` each."""

    stage: Stage
    runs: int
    tokens: int
    parameters: int
    trained: int
    flops: Flops
    memory: MemoryEstimate

    @property
    def command(self) -> str:
        """The command of `innovator upcycle` that runs the stage."""
        return self.stage.replace("_", "-")

    @property
    def total_flops(self) -> float:
        """Training operations of all runs of the stage."""
        return self.runs * self.tokens * self.flops.training


@dataclass(frozen=True)
class UpcyclePlan:
    """Counts of a whole upcycling run; bytes are those of weights."""

    spec: ModelSpec
    dtype: str
    total: int
    active: int
    dense: int
    expert_bytes: int
    training_bytes: int
    shards: list[Shard]
    stages: list[StagePlan]
    gpus: int
    notes: list[str]

    @property
    def export_bytes(self) -> int:
        """Bytes of weights in the exported checkpoint."""
        return sum(entry.bytes for shard in self.shards for entry in shard.entries.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the plan for `--json`, with every file and tensor and sizes in bytes.

        `bytes.native` and the values of `stages[].stage` are the names of the previous release; `bytes.training` and
        `stages[].command` are today's.
        """
        return {
            "parameters": {"total": self.total, "active": self.active, "dense": self.dense},
            "dtype": self.dtype,
            "bytes": {
                "export": self.export_bytes,
                "training": self.training_bytes,
                "native": self.training_bytes,
                "expert": self.expert_bytes,
            },
            "shards": [
                {
                    "file": shard.file,
                    "bytes": shard.bytes,
                    "tensors": {
                        name: {"dtype": entry.dtype, "shape": list(entry.shape), "bytes": entry.bytes}
                        for name, entry in shard.entries.items()
                    },
                }
                for shard in self.shards
            ],
            "tensors": sum(len(shard.entries) for shard in self.shards),
            "gpus": self.gpus,
            "stages": [
                {
                    **asdict(stage),
                    "stage": STAGE_FOLDERS[stage.stage],
                    "command": stage.command,
                    "total_flops": stage.total_flops,
                    "memory_bytes_per_gpu": stage.memory.total,
                }
                for stage in self.stages
            ],
            "notes": self.notes,
        }


def plan(config: UpcycleConfig, base_config: dict[str, Any], gpus: int) -> UpcyclePlan:
    """Count a run.

    Args:
        config: The run's configuration.
        base_config: The base model's config.json.
        gpus: Ranks that train.
    """
    spec = ModelSpec.from_config(config, base_config, "mixture")
    dtype = SHORT_NAME.get(str(base_config.get("dtype") or base_config.get("torch_dtype")), "F32")
    export = ExportSource(spec, SyntheticSource(dict(tensor_shapes(spec)), dtype, pool=1), config.export.dtype)
    shards = plan_shards(export.entries, config.export.shard_bytes)
    dense = parameter_count(spec.of_kind("dense"))
    return UpcyclePlan(
        spec,
        export.dtype,
        total=sum(entry.numel for entry in export.entries.values()),
        active=active_parameters(spec, export.entries),
        dense=dense,
        expert_bytes=sum(map(prod, expert_shapes(spec).values())) * itemsize(dtype),
        training_bytes=sum(map(prod, dict(tensor_shapes(spec)).values())) * itemsize(dtype),
        shards=shards,
        stages=[_stage(config, spec.of_kind(kind), stage, gpus) for stage, kind in STAGES],
        gpus=gpus,
        notes=serving_notes(spec),
    )


def parameter_count(spec: ModelSpec) -> int:
    """Count the parameters of a model; a tied head counts once."""
    return sum(prod(shape) for _, shape in tensor_shapes(spec) if shape != (1,))


def active_parameters(spec: ModelSpec, entries: dict[str, Entry]) -> int:
    """Count the parameters of the exported checkpoint that one token uses.

    The embedding and the head count whole.
    """
    experts = [entry.numel for name, entry in entries.items() if ".mlp.experts." in name]
    outside = sum(entry.numel for entry in entries.values()) - sum(experts)
    return outside + spec.layers * spec.top_k * 3 * spec.hidden * spec.fine


def _stage(config: UpcycleConfig, spec: ModelSpec, stage: Stage, gpus: int) -> StagePlan:
    settings: StageConfig = getattr(config, stage)
    weights = active_weights(spec)
    parameters = parameter_count(spec)
    trained = {"train_experts": weights.coarse, "train_router": weights.router}.get(stage, parameters)
    return StagePlan(
        stage,
        runs=len(spec.disciplines) if stage == "train_experts" else 1,
        tokens=settings.budget,
        parameters=parameters,
        trained=trained,
        flops=flops_per_token(spec, stage, config.data.sequence_length),
        memory=memory(config, spec, settings, parameters, trained, gpus),
    )


def memory(
    config: UpcycleConfig, spec: ModelSpec, settings: StageConfig, parameters: int, trained: int, gpus: int
) -> MemoryEstimate:
    """Estimate the bytes on each of `gpus` ranks.

    Args:
        config: The run's configuration.
        spec: Shape of the model, of the stage's kind.
        settings: Settings of the stage.
        parameters: Parameters of the whole model.
        trained: Parameters that learn.
        gpus: Ranks that train.
    """
    computing = itemsize(SHORT_NAME[config.trainer.dtype])
    shard = -(-parameters // gpus)
    layer = sum(prod(shape) for _, shape in layer_shapes(spec, 0))
    root = spec.vocabulary * spec.hidden * (1 if spec.tied else 2)
    tokens = config.trainer.micro_batch_tokens or settings.batch_tokens
    local_tokens = max(-(-tokens // gpus), config.data.sequence_length)
    inside = local_tokens * _inside_layer(spec) * computing
    boundary = local_tokens * spec.hidden * computing
    kept = boundary * spec.layers + inside if config.trainer.checkpointing else (boundary + inside) * spec.layers
    learned = -(-trained // gpus)
    logits = min(local_tokens * spec.vocabulary, LOGITS_AT_ONCE)
    return MemoryEstimate(
        parameters=0 if config.trainer.cpu_offload else shard * MASTER_BYTES,
        gradients=0 if config.trainer.cpu_offload else learned * MASTER_BYTES,
        optimizer=0 if config.trainer.cpu_offload else learned * ADAM_BYTES,
        gathered=(2 * layer + root) * computing + -(-trained // spec.layers) * MASTER_BYTES,
        activations=kept,
        logits=logits * (computing + 2 * MASTER_BYTES),
        router_init=spec.layers * spec.hidden**2 * SUMS_BYTES
        if isinstance(settings, TrainRouterConfig) and settings.init_tokens
        else 0,
    )


def _inside_layer(spec: ModelSpec) -> int:
    """Count the activations per token that one layer keeps for its backward pass."""
    attention = 4 * spec.hidden + 2 * (spec.heads + spec.kv_heads) * spec.head_dim
    width = 4 * spec.intermediate
    if spec.kind == "induced":
        width *= 2
    if spec.kind == "mixture":
        width += spec.top_k * (4 * spec.fine + 2 * spec.hidden) + spec.slots
    return attention + width
