"""Write a sharded model as a Hugging Face folder, one tensor in memory at a time.

Every rank takes part, because a tensor is gathered from all of them; rank 0 writes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

SHARD_BYTES = 4 * 2**30
INDEX = "model.safetensors.index.json"


def export_model(module: Any, tokenizer: Any, folder: Path, dtype: str) -> None:
    """Write weights, configuration and tokenizer under their final name once all are complete.

    Args:
        module: The trained model, sharded or not.
        tokenizer: Its tokenizer, with the chat template.
        folder: The folder to write; one that exists is replaced.
        dtype: Name of the precision of the weights, "bfloat16" or "float32".
    """
    writes = torch.distributed.get_rank() == 0
    draft = folder.with_name(f".{folder.name}.draft")
    if writes:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
    shard: dict[str, torch.Tensor] = {}
    files: list[list[str]] = []
    size = total = 0
    for name, tensor in _tensors(module, getattr(torch, dtype), writes):
        if shard and size + tensor.nbytes > SHARD_BYTES:
            _write(draft, shard, files)
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
        total += tensor.nbytes
    if writes:
        _write(draft, shard, files)
        _finish(draft, files, total)
        module.config.dtype = getattr(torch, dtype)
        vars(module.config).pop("attn_implementation", None)  # of the training machine, not of the model
        module.config.save_pretrained(draft)
        if getattr(module, "generation_config", None) is not None:
            module.generation_config.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    torch.distributed.barrier()


def _tensors(module: Any, dtype: torch.dtype, writes: bool) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the names and weights of the checkpoint's layout; nothing on ranks that do not write."""
    from transformers.core_model_loading import revert_weight_conversion

    tied = set(getattr(module, "_tied_weights_keys", None) or ()) if module.config.tie_word_embeddings else set()
    for name, value in module.state_dict().items():
        if name in tied:
            continue
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if not writes:
            continue
        whole = whole.detach().to("cpu", dtype if whole.is_floating_point() else whole.dtype)
        for key, tensor in revert_weight_conversion(module, {name: whole}).items():
            yield key, tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor.contiguous()


def _write(draft: Path, shard: dict[str, torch.Tensor], files: list[list[str]]) -> None:
    files.append(list(shard))
    save_file(shard, draft / f"shard-{len(files):05d}.safetensors", metadata={"format": "pt"})


def _finish(draft: Path, files: list[list[str]], total: int) -> None:
    """Give the files the names that loaders expect, with an index where there are several."""
    if len(files) == 1:
        (draft / "shard-00001.safetensors").rename(draft / "model.safetensors")
        return
    places: dict[str, str] = {}
    for number, names in enumerate(files, 1):
        final = f"model-{number:05d}-of-{len(files):05d}.safetensors"
        (draft / f"shard-{number:05d}.safetensors").rename(draft / final)
        places.update(dict.fromkeys(names, final))
    (draft / INDEX).write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=1))
