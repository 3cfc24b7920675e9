"""Count what a run takes besides memory: disk and hours.

The speed is an assumption that the plan states: a share of the peak (MFU) and where it comes from.
"""

import shutil
from dataclasses import dataclass
from math import prod

from innovator_rl.errors import UserError
from innovator_rl.runs.run_dir import resolve_runs_dir
from upcycle.checkpoint.dtypes import itemsize
from upcycle.checkpoint.expert_split import expert_shapes
from upcycle.checkpoint.hf_export import ExportSource
from upcycle.checkpoint.tensor_source import SyntheticSource
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import Stage, StageConfig
from upcycle.model.architecture import Kind, ModelSpec, tensor_shapes
from upcycle.planning.flops import PEAK_SOURCE, PEAK_TFLOPS
from upcycle.planning.memory import ADAM_BYTES, MASTER_BYTES, learns

TRAINED: tuple[Stage, ...] = ("train_experts", "train_router", "train_joint")
"""The stages that train, in order; the dense baseline comes on top."""
KINDS: dict[Stage, Kind] = {
    "train_experts": "induced",
    "train_router": "mixture",
    "train_joint": "mixture",
    "train_dense": "dense",
}
TRAINED_DTYPE = "F32"  # stages write the float32 parameters that they train
MFU, LOW_MFU = 0.21, 0.135
MFU_SOURCE = "torchtitan issue 1993: 13.5 to 21 % on a mixture of 16 billion parameters with FSDP2"


@dataclass(frozen=True)
class Speed:
    """Assumed speed of one device.

    Attributes:
        peak_tflops: Peak in 10^12 operations per second.
        mfu: Share of the peak that training reaches.
        source: Where both figures come from.
    """

    peak_tflops: float = PEAK_TFLOPS
    mfu: float = MFU
    source: str = f"{MFU_SOURCE}; {PEAK_SOURCE}"

    def hours(self, flops: float, gpus: int) -> float:
        """Return the hours that `gpus` devices take for so many operations."""
        return flops / (self.peak_tflops * 1e12 * self.mfu * gpus) / 3600


def checkpoint_bytes(config: UpcycleConfig, spec: ModelSpec, stage: StageConfig) -> int:
    """Return the disk that a stage's checkpoints take: trained parameters and moments, those kept and one being written."""
    trains = learns(spec, stage)
    trained = sum(prod(shape) for name, shape in tensor_shapes(spec) if shape != (1,) and trains(name))
    return trained * (MASTER_BYTES + ADAM_BYTES) * (config.trainer.keep + 1)


def disk_bytes(config: UpcycleConfig, spec: ModelSpec, dense: bool = False) -> dict[str, int]:
    """Return the bytes of what a run has on the disk at most, by what they hold.

    Every stage keeps its checkpoints; those of the largest are counted with the one that is being written.

    Args:
        config: The run's configuration.
        spec: Shape of the mixture.
        dense: Whether the dense baseline is trained and exported, too.
    """
    training = _numbers(spec) * MASTER_BYTES
    export = ExportSource(spec, SyntheticSource(dict(tensor_shapes(spec)), TRAINED_DTYPE, pool=1), config.export.dtype)
    keep, runs = config.trainer.keep, {"train_experts": len(spec.disciplines)}
    each = {
        stage: checkpoint_bytes(config, spec.of_kind(kind), getattr(config, stage)) // (keep + 1)
        for stage, kind in KINDS.items()
        if dense or stage in TRAINED
    }
    baseline = _numbers(spec.of_kind("dense")) * (MASTER_BYTES + itemsize(export.dtype)) if dense else 0
    return {
        "coarse experts": sum(map(prod, expert_shapes(spec).values())) * MASTER_BYTES * len(spec.disciplines),
        "split": training,
        "routed": training,
        "integrated": training,
        "export": sum(entry.bytes for entry in export.entries.values()),
        **({"dense and its export": baseline} if dense else {}),
        "checkpoints": (keep + 1) * max(each.values()),
        "checkpoints of other stages": keep
        * (sum(size * runs.get(stage, 1) for stage, size in each.items()) - max(each.values())),
    }


def _numbers(spec: ModelSpec) -> int:
    return sum(prod(shape) for _, shape in tensor_shapes(spec))


def require_disk(config: UpcycleConfig, spec: ModelSpec, dense: bool = False) -> None:
    """Check that the disk of `runs_dir` has room for what the run has not written yet.

    Raises:
        UserError: With what is free and what is needed.
    """
    runs = resolve_runs_dir(config.runs_dir)
    needed = sum(disk_bytes(config, spec, dense).values())
    own = [runs / config.name, *runs.glob(f"{config.name}.*")]
    written = sum(path.stat().st_size for folder in own for path in folder.rglob("*") if path.is_file())
    place = runs
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed - written:
        raise UserError(
            f"runs_dir = {config.runs_dir}: {free / 1e9:,.3g} GB free, the run needs {(needed - written) / 1e9:,.3g} GB more "
            "(weights of every stage, checkpoints, export); free some space, or set runs_dir to another disk"
        )
