"""Save and load checkpoints: trained parameters and AdamW moments, by shard.

A checkpoint is written into a hidden folder and renamed when every rank has written, so the last complete one survives
a kill at any time. Frozen weights are not saved, because they come from the stage's input. Any number of ranks can read
what another number of ranks wrote.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from innovator_rl.errors import StorageError, UserError
from upcycle.training.distributed import DistributedContext

_NAME = re.compile(r"step=(\d{6,})")
_TRAINED = StateDictOptions(ignore_frozen_params=True)
_INTO_PART = StateDictOptions(ignore_frozen_params=True, strict=False)


def steps_saved(folder: Path) -> list[int]:
    """Return the steps of the complete checkpoints in `folder`, ascending."""
    found = (_NAME.fullmatch(path.name) for path in folder.glob("step=*"))
    return sorted(int(match[1]) for match in found if match)


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Return the folder of one step's checkpoint in `folder`."""
    return folder / f"step={step:06d}"


def save(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    distributed: DistributedContext,
    keep: int,
) -> None:
    """Write the checkpoint of `step` and remove all but the newest `keep`.

    Raises:
        StorageError: If it cannot be written; the checkpoints before it stay.
    """
    aside, target = folder / f".step={step:06d}", checkpoint_folder(folder, step)
    if distributed.is_main:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
    distributed.barrier()
    try:
        state_dict_saver.save(_state(model, optimizer, step), checkpoint_id=aside)
    except (OSError, RuntimeError, CheckpointException) as error:
        raise StorageError(
            f"{aside}: the checkpoint of step {step} cannot be written ({_first_line(error)}); free some disk and give the "
            "same command again, it goes on from the checkpoint before"
        ) from error
    distributed.barrier()
    if distributed.is_main:
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
        for old in steps_saved(folder)[:-keep]:
            shutil.rmtree(checkpoint_folder(folder, old))
    distributed.barrier()


def load_latest(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, distributed: DistributedContext
) -> int:
    """Load the newest checkpoint into model and optimizer.

    Returns:
        The checkpoint's step; 0 if there is none.

    Raises:
        UserError: If the checkpoint is damaged or of another model.
    """
    distributed.barrier()
    saved = steps_saved(folder)
    if not saved:
        return 0
    path = checkpoint_folder(folder, saved[-1])
    state = _state(model, optimizer, 0)
    try:
        state_dict_loader.load(state, checkpoint_id=path)
    except (Exception, CheckpointException) as error:
        raise UserError(
            f"{path}: does not fit this model or is damaged ({_first_line(error)}); remove it to resume from an older checkpoint"
        ) from error
    set_state_dict(
        model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"], options=_INTO_PART
    )
    return int(state["step"])


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _state(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> dict[str, Any]:
    weights, moments = get_state_dict(model, optimizer, options=_TRAINED)
    return {"model": weights, "optimizer": moments, "step": torch.tensor(step)}
