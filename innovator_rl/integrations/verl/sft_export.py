"""Write a sharded model in memory as a Hugging Face folder, one tensor at a time.

Every rank takes part, because a tensor is gathered from all of them; rank 0 writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from innovator_rl.integrations.verl.hf_folder import HuggingFaceFolder, in_layout, tied_weights


def export_model(module: Any, tokenizer: Any, folder: Path, dtype: str) -> None:
    """Write weights, configuration and tokenizer under their final name once all are complete.

    Args:
        module: The trained model, sharded or not.
        tokenizer: Its tokenizer, with the chat template.
        folder: The folder to write; one that exists is replaced.
        dtype: Name of the precision of the weights, "bfloat16" or "float32".
    """
    written = HuggingFaceFolder(folder) if torch.distributed.get_rank() == 0 else None
    tied, precision = tied_weights(module), getattr(torch, dtype)
    for name, value in module.state_dict().items():
        if name in tied:
            continue
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if written is not None:
            for key, tensor in in_layout(module, name, whole, precision):
                written.add(key, tensor)
    if written is not None:
        module.config.dtype = precision
        written.finish(module.config, getattr(module, "generation_config", None), tokenizer.save_pretrained)
    torch.distributed.barrier()
