"""What an upcycling will be, counted before it runs: parameters, every tensor and file, operations, memory of each GPU.

Everything follows from the donor's config.json and the configuration in well under a second; nothing is loaded. The
memory model is FSDP2 as the training engine uses it: float32 parameters, gradients and AdamW moments cut over all
ranks, one layer gathered in the computing type while the next is fetched and its gradient reduced in float32,
activations kept at layer boundaries.
"""

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from upcycle.checkpoint.dtypes import BY_NAME, size
from upcycle.checkpoint.expert_split import expert_shapes
from upcycle.checkpoint.hf_export import Export
from upcycle.checkpoint.sharded_writer import Shard, plan_shards
from upcycle.checkpoint.tensor_source import Entry, Generated
from upcycle.checkpoint.vllm_limits import serving_notes
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import RouteConfig, StageConfig
from upcycle.model.architecture import Kind, Spec, layer_shapes, native_shapes
from upcycle.planning.flops import Flops, Stage, active_weights, flops_per_token

ADAM_BYTES = 8  # two float32 moments
MASTER_BYTES = 4  # parameters and gradients in float32
SUMS_BYTES = 8  # the router's start sums up in float64
LOGITS_AT_ONCE = 2**27
STAGES: tuple[tuple[Stage, Kind], ...] = (("induct", "induced"), ("route", "mixture"), ("integrate", "mixture"))


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU."""

    parameters: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    logits: int
    router_start: int = 0

    @property
    def total(self) -> int:
        return sum(asdict(self).values())


@dataclass(frozen=True)
class StagePlan:
    """One training stage; `runs` of them with `tokens` each."""

    stage: Stage
    runs: int
    tokens: int
    parameters: int
    trained: int
    flops: Flops
    memory: Memory

    @property
    def total_flops(self) -> float:
        return self.runs * self.tokens * self.flops.training


@dataclass(frozen=True)
class Plan:
    """The whole upcycling."""

    spec: Spec
    dtype: str
    total: int
    active: int
    dense: int
    expert_bytes: int
    native_bytes: int
    shards: list[Shard]
    stages: list[StagePlan]
    gpus: int
    notes: list[str]

    @property
    def export_bytes(self) -> int:
        """Bytes of weights in the exported checkpoint."""
        return sum(entry.bytes for shard in self.shards for entry in shard.entries.values())

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: every file and tensor, sizes in bytes."""
        return {
            "parameters": {"total": self.total, "active": self.active, "dense": self.dense},
            "dtype": self.dtype,
            "bytes": {"export": self.export_bytes, "native": self.native_bytes, "expert": self.expert_bytes},
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
                {**asdict(stage), "total_flops": stage.total_flops, "memory_bytes_per_gpu": stage.memory.total}
                for stage in self.stages
            ],
            "notes": self.notes,
        }


def plan(config: UpcycleConfig, donor_config: dict[str, Any], gpus: int) -> Plan:
    """Count `config` on a donor with this config.json, trained on `gpus` ranks."""
    spec = Spec.from_config(config, donor_config, "mixture")
    dtype = BY_NAME.get(str(donor_config.get("dtype") or donor_config.get("torch_dtype")), "F32")
    export = Export(spec, Generated(dict(native_shapes(spec)), dtype, pool=1), config.export.dtype)
    shards = plan_shards(export.entries, config.export.shard_bytes)
    dense = numbers(spec.of_kind("dense"))
    return Plan(
        spec,
        export.dtype,
        total=sum(entry.numbers for entry in export.entries.values()),
        active=active_parameters(spec, export.entries),
        dense=dense,
        expert_bytes=sum(map(prod, expert_shapes(spec).values())) * size(dtype),
        native_bytes=sum(map(prod, dict(native_shapes(spec)).values())) * size(dtype),
        shards=shards,
        stages=[_stage(config, spec.of_kind(kind), stage, gpus) for stage, kind in STAGES],
        gpus=gpus,
        notes=serving_notes(spec),
    )


def numbers(spec: Spec) -> int:
    """Parameters of a kind (a tied head once)."""
    return sum(prod(shape) for _, shape in native_shapes(spec) if shape != (1,))


def active_parameters(spec: Spec, entries: dict[str, Entry]) -> int:
    """Parameters of the exported checkpoint that one token meets, the embedding and the head counted whole."""
    experts = [entry.numbers for name, entry in entries.items() if ".mlp.experts." in name]
    outside = sum(entry.numbers for entry in entries.values()) - sum(experts)
    return outside + spec.layers * spec.top_k * 3 * spec.hidden * spec.fine


def _stage(config: UpcycleConfig, spec: Spec, stage: Stage, gpus: int) -> StagePlan:
    settings: StageConfig = getattr(config, stage)
    weights = active_weights(spec)
    parameters = numbers(spec)
    trained = {"induct": weights.coarse, "route": weights.router}.get(stage, parameters)
    return StagePlan(
        stage,
        runs=len(spec.disciplines) if stage == "induct" else 1,
        tokens=settings.budget,
        parameters=parameters,
        trained=trained,
        flops=flops_per_token(spec, stage, config.data.sequence_length),
        memory=memory(config, spec, settings, parameters, trained, gpus),
    )


def memory(
    config: UpcycleConfig, spec: Spec, settings: StageConfig, parameters: int, trained: int, gpus: int
) -> Memory:
    """Bytes on each of `gpus` ranks."""
    computing = size(BY_NAME[config.engine.dtype])
    shard = -(-parameters // gpus)
    layer = sum(prod(shape) for _, shape in layer_shapes(spec, 0))
    root = spec.vocabulary * spec.hidden * (1 if spec.tied else 2)
    tokens = config.engine.micro_batch_tokens or settings.batch_tokens
    local_tokens = max(-(-tokens // gpus), config.data.sequence_length)
    inside = local_tokens * _inside_layer(spec) * computing
    boundary = local_tokens * spec.hidden * computing
    kept = boundary * spec.layers + inside if config.engine.checkpointing else (boundary + inside) * spec.layers
    learned = -(-trained // gpus)
    logits = min(local_tokens * spec.vocabulary, LOGITS_AT_ONCE)
    return Memory(
        parameters=0 if config.engine.cpu_offload else shard * MASTER_BYTES,
        gradients=0 if config.engine.cpu_offload else learned * MASTER_BYTES,
        optimizer=0 if config.engine.cpu_offload else learned * ADAM_BYTES,
        gathered=(2 * layer + root) * computing + -(-trained // spec.layers) * MASTER_BYTES,
        activations=kept,
        logits=logits * (computing + 2 * MASTER_BYTES),
        router_start=spec.layers * spec.hidden**2 * SUMS_BYTES
        if isinstance(settings, RouteConfig) and settings.start_tokens
        else 0,
    )


def _inside_layer(spec: Spec) -> int:
    """Numbers that one layer keeps of one token for its backward pass."""
    attention = 4 * spec.hidden + 2 * (spec.heads + spec.kv_heads) * spec.head_dim
    width = 4 * spec.intermediate
    if spec.kind == "induced":
        width *= 2
    if spec.kind == "mixture":
        width += spec.top_k * (4 * spec.fine + 2 * spec.hidden) + spec.slots
    return attention + width
