"""Write a sharded model in memory as a Hugging Face folder, one tensor at a time.

Every rank takes part, because a tensor is gathered from all of them; rank 0 writes. Adapters (LoRA) are merged into the
weights, so that the folder is a model like any other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch.distributed.tensor import DTensor

from innovator_rl.integrations.verl.hf_folder import HuggingFaceFolder, in_layout, merged_adapters, tied_weights


def export_model(module: Any, tokenizer: Any, folder: Path, dtype: str) -> None:
    """Write weights, configuration and tokenizer under their final name once all are complete.

    Args:
        module: The trained model, sharded or not, with or without adapters.
        tokenizer: Its tokenizer, with the chat template.
        folder: The folder to write; one that exists is replaced.
        dtype: Name of the precision of the weights, "bfloat16" or "float32".
    """
    written = HuggingFaceFolder(folder) if torch.distributed.get_rank() == 0 else None
    state, model, scale = module.state_dict(), module, 0.0
    if isinstance(module, PeftModel):
        adapter: Any = module.peft_config["default"]
        model, scale = module.get_base_model(), adapter.lora_alpha / adapter.r

    def whole(name: str) -> torch.Tensor:
        return state[name].full_tensor() if isinstance(state[name], DTensor) else state[name]

    tied, precision = tied_weights(model), getattr(torch, dtype)
    for name, weight in merged_adapters(state, whole, scale):
        if written is not None and name not in tied:
            for key, tensor in in_layout(model, name, weight, precision):
                written.add(key, tensor)
    if written is not None:
        model.config.dtype = precision
        written.finish(model.config, getattr(model, "generation_config", None), tokenizer.save_pretrained)
    torch.distributed.barrier()
