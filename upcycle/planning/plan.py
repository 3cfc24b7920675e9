"""Count what a run needs: parameters, tensors, files, operations and memory.

Everything follows from the base model's config.json and the configuration in well under a second; nothing is loaded.
Stages keep their weights in float32 and write them so; the export has the base model's type unless `export.dtype` says
otherwise. `memory.py` estimates the memory of a rank, `costs.py` counts disk and hours. What a run would refuse is listed
in `refusals`.
"""

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from innovator_rl.errors import UserError
from upcycle.checkpoint.dtypes import itemsize
from upcycle.checkpoint.expert_split import expert_shapes
from upcycle.checkpoint.hf_export import ExportSource
from upcycle.checkpoint.sharded_writer import Shard, plan_shards
from upcycle.checkpoint.tensor_source import Entry, SyntheticSource
from upcycle.checkpoint.vllm_limits import require_servable, serving_notes
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import STAGE_FOLDERS, Stage, StageConfig
from upcycle.model.architecture import Kind, ModelSpec, tensor_shapes
from upcycle.planning.batches import batch_sizes, even_micro_batches
from upcycle.planning.costs import Speed, checkpoint_bytes, text_problems
from upcycle.planning.flops import Flops, active_weights, flops_per_token
from upcycle.planning.memory import MemoryEstimate, estimate, host_bytes

TRAINED_DTYPE = "F32"  # stages write the float32 parameters that they train
STAGES: tuple[tuple[Stage, Kind], ...] = (
    ("train_experts", "induced"),
    ("train_router", "mixture"),
    ("train_joint", "mixture"),
)


@dataclass(frozen=True)
class StagePlan:
    """One training stage, run `runs` times with `tokens` each.

    Attributes:
        memory: Estimate of one GPU.
        host_bytes: Host memory of a node for what is offloaded.
        checkpoint_bytes: Disk of the checkpoints, those kept and the one being written.
        hours: Hours of all runs at the plan's assumed speed.
        micro_batches: Estimated bytes of a GPU by `trainer.micro_batch_tokens`, for those that the ranks share evenly.
    """

    stage: Stage
    runs: int
    tokens: int
    parameters: int
    trained: int
    flops: Flops
    memory: MemoryEstimate
    host_bytes: int
    checkpoint_bytes: int
    hours: float
    micro_batches: dict[int, int]

    @property
    def command(self) -> str:
        """The command of `innovator upcycle` that runs the stage."""
        return self.stage.replace("_", "-")

    @property
    def total_flops(self) -> float:
        """Training operations of all runs of the stage."""
        return self.runs * self.tokens * self.flops.training

    def largest_micro_batch(self, gpu_bytes: float) -> int | None:
        """Return the largest even micro batch, in tokens over all ranks, that fits a GPU; None where none does."""
        return max((tokens for tokens, size in self.micro_batches.items() if size <= gpu_bytes), default=None)


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
    gpus_per_node: int
    speed: Speed
    notes: list[str]
    refusals: list[str]
    missing_text: list[str]

    @property
    def export_bytes(self) -> int:
        """Bytes of weights in the exported checkpoint."""
        return sum(entry.bytes for shard in self.shards for entry in shard.entries.values())

    @property
    def disk(self) -> dict[str, int]:
        """Bytes on disk by what they hold; checkpoints are those of the stage with the largest."""
        experts = self.expert_bytes * len(self.spec.disciplines)
        return {
            "coarse experts": experts,
            "split": self.training_bytes,
            "routed": self.training_bytes,
            "integrated": self.training_bytes,
            "export": self.export_bytes,
            "checkpoints": max(stage.checkpoint_bytes for stage in self.stages),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the plan for `--json`, with every file and tensor and sizes in bytes.

        `bytes.native` and `stages[].folder` are the names of the previous release; `bytes.training` and
        `stages[].stage` are today's.
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
                    "stage": stage.command,
                    "folder": STAGE_FOLDERS[stage.stage],
                    "command": stage.command,
                    "total_flops": stage.total_flops,
                    "memory_bytes_per_gpu": stage.memory.total,
                }
                for stage in self.stages
            ],
            "disk": self.disk,
            "speed": asdict(self.speed),
            "notes": self.notes,
            "refusals": self.refusals,
            "missing_text": self.missing_text,
        }


def plan(
    config: UpcycleConfig, base_config: dict[str, Any], gpus: int, gpus_per_node: int = 8, speed: Speed | None = None
) -> UpcyclePlan:
    """Count a run.

    Args:
        config: The run's configuration.
        base_config: The base model's config.json.
        gpus: Ranks that train.
        gpus_per_node: Ranks that share a host's memory.
        speed: Assumed speed; by default that of `Speed`, with the configuration's peak where it names one.

    Raises:
        UserError: For a base model that the exported class cannot express.
    """
    spec = ModelSpec.from_config(config, base_config, "mixture")
    require_servable(spec)
    speed = speed or Speed(peak_tflops=config.trainer.peak_tflops or Speed.peak_tflops)
    export = ExportSource(spec, SyntheticSource(dict(tensor_shapes(spec)), TRAINED_DTYPE, pool=1), config.export.dtype)
    stages = [_stage(config, spec.of_kind(kind), stage, gpus, gpus_per_node, speed) for stage, kind in STAGES]
    return UpcyclePlan(
        spec,
        export.dtype,
        total=sum(entry.numel for entry in export.entries.values()),
        active=active_parameters(spec, export.entries),
        dense=parameter_count(spec.of_kind("dense")),
        expert_bytes=sum(map(prod, expert_shapes(spec).values())) * itemsize(TRAINED_DTYPE),
        training_bytes=sum(map(prod, dict(tensor_shapes(spec)).values())) * itemsize(TRAINED_DTYPE),
        shards=plan_shards(export.entries, config.export.shard_bytes),
        stages=stages,
        gpus=gpus,
        gpus_per_node=gpus_per_node,
        speed=speed,
        notes=serving_notes(spec) + _idle(config, gpus) + _counted(config, stages),
        refusals=_refusals(config, gpus),
        missing_text=text_problems(config),
    )


def _refusals(config: UpcycleConfig, gpus: int) -> list[str]:
    """Return what the stages would refuse about ranks and batches, one line each, with a setting that works."""
    found = []
    for stage, _ in STAGES:
        settings: StageConfig = getattr(config, stage)
        try:
            batch_sizes(config, settings, gpus)
        except UserError as error:
            even = even_micro_batches(config, settings, gpus)
            unit = gpus * config.data.sequence_length
            fix = (
                f"set trainer.micro_batch_tokens={even[-1]}"
                if even
                else f"set {stage}.batch_tokens={max(1, round(settings.batch_tokens / unit)) * unit} and "
                f"trainer.micro_batch_tokens={unit}"
            )
            found.append(f"{stage}: {error}; {fix}")
    return found


def _idle(config: UpcycleConfig, gpus: int) -> list[str]:
    """Return a note where the ranks do not share a slice evenly."""
    batch = config.train_joint.batch_tokens // config.data.sequence_length
    micro = min(batch, config.trainer.micro_batch_tokens // config.data.sequence_length) or batch
    most = -(-micro // gpus)
    if micro < gpus or micro % gpus == 0:
        return []
    return [
        f"train_joint: {gpus} ranks share slices of {micro} sequences, so some compute {most} and others {most - 1}: "
        f"{1 - micro / (most * gpus):.0%} of their time is idle"
    ]


def _counted(config: UpcycleConfig, stages: list[StagePlan]) -> list[str]:
    """Return a note for a stage whose load balance costs another forward pass."""
    settings = config.train_joint
    slices = settings.batch_tokens // (config.trainer.micro_batch_tokens or settings.batch_tokens)
    if not settings.balance or settings.balance_counts != "batch" or slices <= 1:
        return []
    flops = stages[-1].flops
    return [
        f"train_joint: one more forward pass counts the tokens per expert of a batch in {slices} micro batches: "
        f"+{flops.forward / flops.hardware:.0%} operations, not in the hours; train_joint.balance_counts=running needs none"
    ]


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


def _stage(
    config: UpcycleConfig, spec: ModelSpec, stage: Stage, gpus: int, gpus_per_node: int, speed: Speed
) -> StagePlan:
    settings: StageConfig = getattr(config, stage)
    weights = active_weights(spec)
    parameters = parameter_count(spec)
    flops = flops_per_token(spec, stage, config.data.sequence_length)
    runs = len(spec.disciplines) if stage == "train_experts" else 1

    def with_micro_batch(tokens: int) -> int:
        trainer = config.trainer.model_copy(update={"micro_batch_tokens": tokens})
        return estimate(config.model_copy(update={"trainer": trainer}), spec, settings, gpus).total

    return StagePlan(
        stage,
        runs=runs,
        tokens=settings.budget,
        parameters=parameters,
        trained={"train_experts": weights.coarse, "train_router": weights.router}.get(stage, parameters),
        flops=flops,
        memory=estimate(config, spec, settings, gpus),
        host_bytes=host_bytes(config, spec, settings, gpus, gpus_per_node),
        checkpoint_bytes=checkpoint_bytes(config, spec, settings),
        hours=speed.hours(runs * settings.budget * flops.training, gpus),
        micro_batches={tokens: with_micro_batch(tokens) for tokens in even_micro_batches(config, settings, gpus)},
    )
