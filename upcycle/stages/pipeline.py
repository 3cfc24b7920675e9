"""Run all stages in order.

Complete stages are skipped, so the same command continues an interrupted run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from upcycle.checkpoint import convert
from upcycle.checkpoint.readers import read_base_config
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import Stage
from upcycle.planning.preconditions import machine_problems, settings_problems, text_problems, trained_stages
from upcycle.stages.dense_baseline import train_dense
from upcycle.stages.folders import artifacts, stage_folder
from upcycle.stages.induction import train_expert
from upcycle.stages.integration import train_joint
from upcycle.stages.routing import train_router
from upcycle.training.distributed import join
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


def check(
    config: UpcycleConfig,
    base_config: dict[str, Any],
    ranks: int = 1,
    dense: bool = False,
    base_model: Path | None = None,
    stages: Sequence[Stage] = (),
) -> None:
    """Check what would stop any stage, before the first one is paid for; `plan` refuses the same.

    Args:
        config: The run's configuration.
        base_config: The base model's config.json.
        ranks: Ranks that train.
        dense: Whether the dense baseline is trained too.
        base_model: Folder of the base model, where it is on this machine.
        stages: Check these stages alone; by default all that `run` trains.

    Raises:
        UserError: With one line per problem.
    """
    problems = settings_problems(config, base_config, ranks, stages or trained_stages(dense))
    if base_model is None:
        problems += text_problems(config)
    else:
        problems += machine_problems(config, base_config, base_model, dense=dense, windows=False)
    if problems:
        raise UserError("\n".join(problems))


def train(config: UpcycleConfig, base_model: Path, log: Log, dense: bool = False) -> None:
    """Run all stages on the ranks of this process; rank 0 splits the experts while the others wait.

    Args:
        config: The run's configuration.
        base_model: Folder of the dense checkpoint.
        log: Receives one line per finished file.
        dense: Also train the dense baseline.
    """
    distributed = join(config.trainer.threads)
    base_config = read_base_config(base_model)
    check(config, base_config, distributed.world_size, dense, base_model)
    folder, train_stage = artifacts(config), in_process(config)
    for discipline in config.disciplines:
        train_stage("train_experts", discipline)
    distributed.on_main(
        lambda: convert.split(config, base_config, base_model, folder / "experts", folder / "split", log)
    )
    train_stage("train_router", "")
    train_stage("train_joint", "")
    if dense:
        train_stage("train_dense", "")


def export(config: UpcycleConfig, log: Log, dense: bool = False) -> Path:
    """Export the result of stage 4 and return the folder of the checkpoint.

    Args:
        config: The run's configuration.
        log: Receives one line per finished file.
        dense: Also export the dense baseline, to `export-dense`.
    """
    how = (config.export.dtype, config.export.shard_bytes, log)
    if dense:
        convert.export(stage_folder(config, "train_dense"), artifacts(config) / "export-dense", *how)
    return convert.export(stage_folder(config, "train_joint"), artifacts(config) / "export", *how)


def run(config: UpcycleConfig, base_model: Path, log: Log, dense: bool = False) -> Path:
    """Run the four stages and export the result, in this process.

    What would stop a later stage (text that is missing, a base model of another family) stops here, before the first.

    Returns:
        The folder of the exported mixture.
    """
    train(config, base_model, log, dense)
    return export(config, log, dense)
