"""Name the folders of a run of upcycling.

    runs/NAME/             results: data/, experts/DISCIPLINE/, split/, route/, integrate/, dense/, export/
    runs/NAME.STAGE/       run directory of a training stage: run.json, metrics.jsonl, checkpoints/

This module does not import torch.
"""

from __future__ import annotations

from pathlib import Path

from innovator_rl.errors import UserError
from innovator_rl.runs.run_dir import resolve_runs_dir
from upcycle.config.schema import UpcycleConfig
from upcycle.config.stages import STAGE_FOLDERS, Stage


def artifacts(config: UpcycleConfig) -> Path:
    """Return the absolute folder of a run's results, runs/NAME."""
    return resolve_runs_dir(config.runs_dir) / config.name


def stage_folder(config: UpcycleConfig, stage: Stage) -> Path:
    """Return the folder of the model that a stage trains, runs/NAME/STAGE."""
    return artifacts(config) / STAGE_FOLDERS[stage]


def stage_run(config: UpcycleConfig, stage: Stage, discipline: str = "") -> Path:
    """Return a stage's run directory, runs/NAME.STAGE[-DISCIPLINE]."""
    suffix = f"-{discipline}" if discipline else ""
    return resolve_runs_dir(config.runs_dir) / f"{config.name}.{STAGE_FOLDERS[stage]}{suffix}"


def latest_mixture(config: UpcycleConfig) -> Path:
    """Return the folder of the run's most trained mixture.

    Raises:
        UserError: If the run has no mixture yet.
    """
    folder = artifacts(config)
    for stage in (STAGE_FOLDERS["train_joint"], STAGE_FOLDERS["train_router"], "split"):
        if (folder / stage / "upcycle.json").is_file():
            return folder / stage
    raise UserError(f"{folder}: has no mixture yet (no integrate, route or split folder); run the stages first")
