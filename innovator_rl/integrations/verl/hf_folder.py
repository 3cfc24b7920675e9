"""Write a Hugging Face folder tensor by tensor, under its final name only once it is complete.

    folder = HuggingFaceFolder(path)
    for name, tensor in tensors:
        folder.add(name, tensor)
    folder.finish(config, generation_config)

One shard is in memory at a time. A folder of the same name is replaced at the end, so a reader never sees half a model.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

SHARD_BYTES = 4 * 2**30
INDEX = "model.safetensors.index.json"


class HuggingFaceFolder:
    """A model folder while it is written.

    Args:
        path: Where it will be; the draft is next to it until `finish`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.draft = path.with_name(f".{path.name}.draft")
        shutil.rmtree(self.draft, ignore_errors=True)
        self.draft.mkdir(parents=True)
        self._shard: dict[str, torch.Tensor] = {}
        self._files: list[list[str]] = []
        self._size = self._total = 0

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Add one tensor under the name that the checkpoint's layout gives it."""
        if self._shard and self._size + tensor.nbytes > SHARD_BYTES:
            self._write()
        self._shard[name] = tensor
        self._size += tensor.nbytes
        self._total += tensor.nbytes

    def finish(self, config: Any, generation_config: Any, add_files: Callable[[Path], object]) -> None:
        """Write the configuration and the remaining weights, and give the folder its name.

        Args:
            config: Configuration of the model, a `PretrainedConfig` whose dtype is that of the weights.
            generation_config: Its `GenerationConfig`, or None.
            add_files: Receives the folder and adds tokenizer and chat template.
        """
        self._write()
        self._name_files()
        vars(config).pop("attn_implementation", None)  # of the training machine, not of the model
        config.save_pretrained(self.draft)
        if generation_config is not None:
            generation_config.save_pretrained(self.draft)
        add_files(self.draft)
        for path in self.draft.iterdir():  # safetensors makes files that only their owner may read
            path.chmod(0o666 & ~_umask())
        if self.path.exists():
            shutil.rmtree(self.path)
        self.draft.rename(self.path)

    def _write(self) -> None:
        self._files.append(list(self._shard))
        save_file(self._shard, self.draft / f"shard-{len(self._files):05d}.safetensors", metadata={"format": "pt"})
        self._shard, self._size = {}, 0

    def _name_files(self) -> None:
        """Give the files the names that loaders expect, with an index where there are several."""
        if len(self._files) == 1:
            (self.draft / "shard-00001.safetensors").rename(self.draft / "model.safetensors")
            return
        places: dict[str, str] = {}
        for number, names in enumerate(self._files, 1):
            final = f"model-{number:05d}-of-{len(self._files):05d}.safetensors"
            (self.draft / f"shard-{number:05d}.safetensors").rename(self.draft / final)
            places.update(dict.fromkeys(names, final))
        document = {"metadata": {"total_size": self._total}, "weight_map": places}
        (self.draft / INDEX).write_text(json.dumps(document, indent=1))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def tied_weights(module: Any) -> set[str]:
    """Return the names of weights that a checkpoint leaves out, because they are another tensor's."""
    return set(getattr(module, "_tied_weights_keys", None) or ()) if module.config.tie_word_embeddings else set()


def merged_adapters(
    names: Iterable[str], whole: Callable[[str], torch.Tensor], scale: float
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every weight by its name in the model without adapters, with its adapter merged in.

    Args:
        names: The names of the weights and of PEFT's adapters; those of a model without adapters stay as they are.
        whole: Returns the value by such a name, gathered from all ranks.
        scale: How often an adapter counts: alpha / rank.
    """
    for name in names:
        if ".lora_" in name:
            continue
        weight, layer = whole(name), name.removesuffix(".base_layer.weight")
        if layer != name:
            a, b = (whole(f"{layer}.lora_{part}.default.weight") for part in "AB")
            weight = (weight.float() + scale * (b.float() @ a.float())).to(weight.dtype)
        yield name.removeprefix("base_model.model.").replace(".base_layer.", "."), weight


def in_layout(module: Any, name: str, whole: torch.Tensor, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a weight under the names of the checkpoint's layout: an expert has a tensor of its own there.

    Args:
        module: The model that has the weight; it may be on the meta device.
        name: The weight's name in the model.
        whole: Its value, gathered from all ranks.
        dtype: Precision of floating-point weights in the checkpoint.
    """
    from transformers.core_model_loading import revert_weight_conversion

    whole = whole.detach().to("cpu", dtype if whole.is_floating_point() else whole.dtype)
    for key, tensor in revert_weight_conversion(module, {name: whole}).items():
        yield key, tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor.contiguous()
