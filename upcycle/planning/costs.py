"""Count what a run takes besides memory: disk, hours, and what stops it before it starts.

The speed is an assumption that the plan states: a share of the peak (MFU) and where it comes from.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path

from innovator_rl.errors import UserError
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import StageConfig
from upcycle.data.order import GENERAL
from upcycle.data.tokens import check_text
from upcycle.model.architecture import ModelSpec, tensor_shapes
from upcycle.planning.flops import PEAK_SOURCE, PEAK_TFLOPS
from upcycle.planning.memory import ADAM_BYTES, MASTER_BYTES, learns

MFU = 0.21
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


def text_problems(config: UpcycleConfig) -> list[str]:
    """Return what a run would refuse about the text, one line each: disciplines without any, missing files, no general text."""
    problems = []
    sources = {**config.disciplines, **({GENERAL: config.general} if config.general else {})}
    for name, found in sources.items():
        try:
            check_text(name, found)
        except UserError as error:
            problems.append(str(error))
    return [*dict.fromkeys(problems), *missing_general(config)]


def missing_general(config: UpcycleConfig) -> list[str]:
    """Return a line per stage whose share of general text has no text."""
    if config.general:
        return []
    shares = {
        f"{stage}.general_share": getattr(config, stage).general_share for stage in ("train_router", "train_joint")
    }
    wanted = {key: share for key, share in shares.items() if share}
    if not wanted:
        return []
    named = " and ".join(f"{key} = {share:g}" for key, share in wanted.items())
    return [
        f"{named}, but `general` lists no text: list general text under `general`, or set {' and '.join(f'{k}=0' for k in wanted)}"
    ]


def free_disk(folder: Path) -> int:
    """Return the free bytes of the disk that will hold a folder."""
    import shutil

    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
