"""Run all stages in order.

Complete stages are skipped, so the same command continues an interrupted run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from upcycle.checkpoint import convert
from upcycle.checkpoint.readers import read_base_config
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import Stage
from upcycle.stages.common import artifacts, check_sources, stage_folder
from upcycle.stages.dense_baseline import train_dense
from upcycle.stages.induction import train_expert
from upcycle.stages.integration import train_joint
from upcycle.stages.routing import train_router
from upcycle.training.trainer import Log

StageRunner = Callable[[Stage, str], object]  # trains (stage, discipline or "")


def in_process(config: UpcycleConfig) -> StageRunner:
    """Return a runner that trains stages in this process."""
    runners: dict[Stage, Callable[[UpcycleConfig], Path]] = {
        "train_router": train_router,
        "train_joint": train_joint,
        "train_dense": train_dense,
    }

    def train(stage: Stage, discipline: str) -> object:
        return train_expert(config, discipline) if stage == "train_experts" else runners[stage](config)

    return train


def run(config: UpcycleConfig, base_model: Path, train: StageRunner, log: Log, dense: bool = False) -> Path:
    """Run the four stages and export the result.

    What would stop a later stage (sources without files, a base model of another family) stops here, before the first.

    Args:
        config: The run's configuration.
        base_model: Folder of the dense checkpoint.
        train: Runs one stage, in this process or on several ranks.
        log: Receives one line per finished file.
        dense: Also train the dense baseline and export it to `export-dense`.

    Returns:
        The folder of the exported mixture.
    """
    check_sources(config)
    folder = artifacts(config)
    for discipline in config.disciplines:
        train("train_experts", discipline)
    convert.split(config, read_base_config(base_model), base_model, folder / "experts", folder / "split", log)
    train("train_router", "")
    train("train_joint", "")
    if dense:
        train("train_dense", "")
        baseline = stage_folder(config, "train_dense")
        convert.export(baseline, folder / "export-dense", config.export.dtype, config.export.shard_bytes, log)
    trained = stage_folder(config, "train_joint")
    return convert.export(trained, folder / "export", config.export.dtype, config.export.shard_bytes, log)
