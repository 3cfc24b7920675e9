"""Turn the checkpoint of a run into a Hugging Face folder that any library loads.

verl saves one file per rank with that rank's part of every weight. They are read with memory mapping and without
pickled code, joined weight by weight, and written in the precision that the user names. verl's own merger holds the
whole model in memory and writes bfloat16, whatever was trained.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from innovator_rl.errors import StorageError, UserError
from innovator_rl.integrations.verl.checkpoints import Checkpoint, checkpoints, latest_complete
from innovator_rl.integrations.verl.hf_folder import HuggingFaceFolder, in_layout, merged_adapters, tied_weights

Dtype = Literal["keep", "bfloat16", "float16", "float32"]
RANK_FILE = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")
NOT_COPIED = ("config.json", "generation_config.json", "model.safetensors.index.json")
ORIGIN = "trained_from.json"
LORA = "lora_train_meta.json"
"""Where verl writes rank and alpha of the adapters in a checkpoint."""


def find_checkpoint(folder: Path, step: int | None) -> Checkpoint:
    """Return the complete checkpoint of a step, or the newest one.

    Args:
        folder: The run's folder of checkpoints.
        step: The step; None for the newest complete checkpoint.

    Raises:
        UserError: There is none.
    """
    every = [found for found in checkpoints(folder) if found.complete]
    if step is None:
        newest = latest_complete(folder)
        if newest is None:
            raise UserError(f"{folder}: no complete checkpoint found; set schedule.save_every and let the run save one")
        return newest
    for found in every:
        if found.step == step:
            return found
    known = ", ".join(str(found.step) for found in every) or "none"
    raise UserError(f"--step {step}: no complete checkpoint of that step in {folder}; complete ones: {known}")


def export_checkpoint(checkpoint: Checkpoint, out: Path, dtype: Dtype = "keep") -> str:
    """Write the model of a checkpoint to `out`, which appears only when it is complete.

    Args:
        checkpoint: A complete checkpoint.
        out: The folder to write; one that exists is replaced.
        dtype: Precision of the weights; keep for the one they were trained in.

    Returns:
        Name of the precision that was written.

    Raises:
        StorageError: A file of the checkpoint is missing or damaged.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    if checkpoint.complete and (name := checkpoint.damage()):
        raise StorageError(f"{checkpoint.path / name}: differs from its checksum; export an older step with --step")
    actor = _model_folder(checkpoint.path)
    shards = _open_shards(actor)
    settings = actor / "huggingface"
    config = AutoConfig.from_pretrained(settings)
    with torch.device("meta"):
        module: Any = AutoModelForCausalLM.from_config(config)
    tied = tied_weights(module)
    written = HuggingFaceFolder(out)
    first = next(iter(shards[0].values()))
    precision = first.dtype if dtype == "keep" else getattr(torch, dtype)
    try:
        for name, whole in _weights(shards, actor):
            if name not in tied:
                for key, tensor in in_layout(module, name, whole, precision):
                    written.add(key, tensor)
        config.dtype = precision
        written.finish(config, _generation_config(settings), lambda folder: _add_files(folder, settings, checkpoint))
    finally:
        shutil.rmtree(written.draft, ignore_errors=True)
    return str(precision).removeprefix("torch.")


def _weights(shards: Sequence[Mapping[str, Any]], actor: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every weight of the model by its name there, adapters merged in."""

    def whole(name: str) -> torch.Tensor:
        return joined(name, [shard[name] for shard in shards])

    scale = 0.0
    if any(".lora_A." in name for name in shards[0]):
        try:
            meta = json.loads((actor / LORA).read_text())
            scale = float(meta["lora_alpha"]) / float(meta["r"])
        except (OSError, ValueError, KeyError) as error:
            raise StorageError(f"{actor / LORA}: rank and alpha of the adapters not found ({error})") from None
    return merged_adapters(shards[0], whole, scale)


def joined(name: str, parts: Sequence[Any]) -> torch.Tensor:
    """Return a whole weight from its parts on all ranks.

    Args:
        name: The weight's name, for messages.
        parts: Its value on each rank: a `DTensor` of a one- or two-dimensional mesh, or a tensor that all ranks hold.

    Raises:
        StorageError: The parts are cut in a way that this function does not join.
    """
    from torch.distributed.tensor import DTensor, Shard

    part = parts[0]
    if not isinstance(part, DTensor):
        return part
    mesh, placement = part.device_mesh.mesh, part.placements[-1]
    if mesh.ndim > 2 or any(not kind.is_replicate() for kind in part.placements[:-1]):
        raise StorageError(f"weight {name} is cut along {part.placements}, which cannot be joined")
    if placement.is_replicate():
        return part.to_local()
    if not isinstance(placement, Shard):
        raise StorageError(f"weight {name} is cut along {part.placements}, which cannot be joined")
    ranks = (mesh[0] if mesh.ndim == 2 else mesh).tolist()
    whole = torch.cat([parts[rank].to_local() for rank in ranks], dim=placement.dim)
    if whole.shape != part.shape:
        raise StorageError(
            f"weight {name} has the shape {tuple(whole.shape)} when joined, expected {tuple(part.shape)}"
        )
    return whole


def _model_folder(checkpoint: Path) -> Path:
    for folder in (checkpoint / "actor", checkpoint):
        if any(RANK_FILE.fullmatch(path.name) for path in folder.glob("model_world_size_*.pt")):
            return folder
    raise StorageError(f"{checkpoint}: holds no weights (model_world_size_*.pt); delete it and use an older one")


def _open_shards(folder: Path) -> list[Mapping[str, Any]]:
    # The class of sharded tensors becomes known to the loader of plain weights when its module is imported.
    import torch.distributed.tensor

    found = {}
    sizes = set()
    for path in folder.glob("model_world_size_*.pt"):
        match = RANK_FILE.fullmatch(path.name)
        if match:
            sizes.add(int(match[1]))
            found[int(match[2])] = path
    if len(sizes) != 1 or sorted(found) != list(range(*sizes)):
        raise StorageError(
            f"{folder}: expected one file per rank of {sorted(sizes)} ranks, found ranks {sorted(found)}"
        )
    shards = []
    for rank in sorted(found):
        try:
            shards.append(torch.load(found[rank], map_location="cpu", weights_only=True, mmap=True))
        except Exception as error:  # torch raises many kinds for a damaged file
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise StorageError(f"{found[rank]}: cannot be read ({line}); export an older step") from None
    return shards


def _generation_config(settings: Path) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig.from_pretrained(settings) if (settings / "generation_config.json").is_file() else None


def _add_files(folder: Path, settings: Path, checkpoint: Checkpoint) -> None:
    for path in settings.iterdir():
        if path.is_file() and path.name not in NOT_COPIED and path.suffix not in (".safetensors", ".bin"):
            shutil.copyfile(path, folder / path.name)
    origin = {"checkpoint": checkpoint.path.name, "step": checkpoint.step}
    (folder / ORIGIN).write_text(json.dumps(origin) + "\n")
