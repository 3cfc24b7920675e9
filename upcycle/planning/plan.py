"""Count what a run needs: parameters, tensors, files, operations and memory.

Everything follows from the base model's config.json and the configuration in well under a second; nothing is loaded.
Stages keep their weights in float32 and write them so; the export has the base model's type unless `export.dtype` says
otherwise. `memory.py` estimates the memory of a rank, `costs.py` counts disk and hours. What a run would refuse is listed
in `refusals`.
"""

from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from upcycle.checkpoint.dtypes import itemsize
from upcycle.checkpoint.expert_split import expert_shapes
from upcycle.checkpoint.hf_export import ExportSource
from upcycle.checkpoint.sharded_writer import Shard, plan_shards
from upcycle.checkpoint.tensor_source import Entry, SyntheticSource
from upcycle.checkpoint.vllm_limits import require_servable, serving_notes
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import STAGE_FOLDERS, Stage, StageConfig
from upcycle.model.architecture import ModelSpec, tensor_shapes
from upcycle.planning.batches import even_micro_batches
from upcycle.planning.costs import KINDS, TRAINED_DTYPE, Speed, checkpoint_bytes, disk_bytes
from upcycle.planning.flops import Flops, active_weights, flops_per_token
from upcycle.planning.memory import MemoryEstimate, estimate, host_bytes
from upcycle.planning.preconditions import machine_problems, settings_problems, text_problems, trained_stages


@dataclass(frozen=True)
class StagePlan:
    """One training stage, run `runs` times with `tokens` each.

    Attributes:
        memory: Estimate of one GPU.
        host_bytes: Host memory of a node for what is offloaded.
        checkpoint_bytes: Disk of the checkpoints, those kept and the one being written.
        hours: Hours of all runs at the plan's assumed speed.
        steps: Optimizer steps of one run.
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
    steps: int = 1

    @property
    def step_seconds(self) -> float:
        """Seconds of an optimizer step at the plan's assumed speed."""
        return self.hours * 3600 / (self.runs * self.steps)

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
    """Counts of a whole upcycling run; bytes are those of weights.

    Attributes:
        disk: Bytes on disk by what they hold.
        save_every: Steps between checkpoints.
        checkpoints_kept: Checkpoints on the disk at once, with the one being written.
        notes: What the figures leave out, and limits of serving.
        refusals: What the run would refuse, one line each.
        missing_text: Text that is not on this machine, where the base model is not either.
    """

    spec: ModelSpec
    dtype: str
    total: int
    active: int
    dense: int
    expert_bytes: int
    training_bytes: int
    shards: list[Shard]
    disk: dict[str, int]
    stages: list[StagePlan]
    gpus: int
    gpus_per_node: int
    speed: Speed
    save_every: int
    checkpoints_kept: int
    notes: list[str]
    refusals: list[str]
    missing_text: list[str]

    @property
    def export_bytes(self) -> int:
        """Bytes of weights in the exported checkpoint."""
        return sum(entry.bytes for shard in self.shards for entry in shard.entries.values())

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
                    "step_seconds": stage.step_seconds,
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
    config: UpcycleConfig,
    base_config: dict[str, Any],
    gpus: int,
    gpus_per_node: int = 8,
    speed: Speed | None = None,
    *,
    base_model: Path | None = None,
    dense: bool = False,
) -> UpcyclePlan:
    """Count a run.

    Args:
        config: The run's configuration.
        base_config: The base model's config.json.
        gpus: Ranks that train.
        gpus_per_node: Ranks that share a host's memory.
        speed: Assumed speed; by default that of `Speed`, with the configuration's peak where it names one.
        base_model: Folder of the base model. With it, the run could start here, and everything that it would refuse on
            this machine is a refusal. Without it the text need not be here either: what is missing is only listed.
        dense: Also count the dense baseline.

    Raises:
        UserError: For a base model that the exported class cannot express, or a mesh that the ranks do not form.
    """
    spec = ModelSpec.from_config(config, base_config, "mixture")
    require_servable(spec)
    speed = speed or Speed(peak_tflops=config.trainer.peak_tflops or Speed.peak_tflops)
    export = ExportSource(spec, SyntheticSource(dict(tensor_shapes(spec)), TRAINED_DTYPE, pool=1), config.export.dtype)
    trained = trained_stages(dense)
    stages = [_stage(config, spec.of_kind(KINDS[stage]), stage, gpus, gpus_per_node, speed) for stage in trained]
    refusals = settings_problems(config, base_config, gpus, trained)
    if base_model is not None:
        refusals += machine_problems(config, base_config, base_model, dense=dense)
    return UpcyclePlan(
        spec,
        export.dtype,
        total=sum(entry.numel for entry in export.entries.values()),
        active=active_parameters(spec, export.entries),
        dense=parameter_count(spec.of_kind("dense")),
        expert_bytes=sum(map(prod, expert_shapes(spec).values())) * itemsize(TRAINED_DTYPE),
        training_bytes=sum(map(prod, dict(tensor_shapes(spec)).values())) * itemsize(TRAINED_DTYPE),
        shards=plan_shards(export.entries, config.export.shard_bytes),
        disk=disk_bytes(config, spec, dense),
        stages=stages,
        gpus=gpus,
        gpus_per_node=gpus_per_node,
        speed=speed,
        save_every=config.trainer.save_every,
        checkpoints_kept=config.trainer.keep + 1,
        notes=serving_notes(spec) + _idle(config, gpus) + _counted(config, stages),
        refusals=list(dict.fromkeys(refusals)),
        missing_text=text_problems(config) if base_model is None else [],
    )


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
    flops = next(stage.flops for stage in stages if stage.stage == "train_joint")
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
        steps=max(1, round(settings.budget / settings.batch_tokens)),
        micro_batches={tokens: with_micro_batch(tokens) for tokens in even_micro_batches(config, settings, gpus)},
    )
