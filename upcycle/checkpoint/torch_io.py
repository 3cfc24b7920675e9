"""Between sources and torch modules: load a model by rows, and a model's tensors as a source.

A parameter that FSDP2 has cut along its first dimension reads only its own rows, so no rank ever holds the whole model.
"""

from collections.abc import Mapping
from math import prod

import numpy as np
import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from upcycle.checkpoint.dtypes import Array
from upcycle.checkpoint.tensor_source import Entry, Source

TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
SHORT = {dtype: short for short, dtype in TORCH.items()}


@torch.no_grad()
def load_weights(model: nn.Module, source: Source) -> None:
    """Fill every parameter and buffer named in `source`, cast to its own type; `ValueError` names one that is missing."""
    state = model.state_dict(keep_vars=True)
    if getattr(getattr(model, "spec", None), "tied", False):
        state.pop("lm_head.weight", None)
    for name, tensor in state.items():
        if name not in source.entries:
            raise ValueError(f"the weights lack {name}; give the folder of a matching model")
        if isinstance(tensor, DTensor):
            shape, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
            assert tuple(shape[1:]) == tuple(tensor.shape[1:]), "only the first dimension is sharded"
            local = tensor.to_local()
            _fill(local[: shape[0]], source, name, offset[0] if len(offset) else 0)
        else:
            _fill(tensor, source, name, 0)


def _fill(target: torch.Tensor, source: Source, name: str, first: int) -> None:
    """`target` holds the rows of the leading dimension from `first` on."""
    entry = source.entries[name]
    if target.numel() == 0:
        return
    inner = prod(entry.shape[1:-1]) if len(entry.shape) > 1 else 1
    if len(entry.shape) == 1:
        values = source.rows(name, 0, 1)[:, first : first + target.numel()]
        target.copy_(as_tensor(values, entry.dtype).view_as(target))
        return
    flat = target.reshape(-1, entry.width)
    assert flat.data_ptr() == target.data_ptr()
    for start in range(0, len(flat), entry.chunk_rows):
        stop = min(start + entry.chunk_rows, len(flat))
        values = source.rows(name, first * inner + start, first * inner + stop)
        flat[start:stop].copy_(as_tensor(values, entry.dtype))


def as_tensor(values: Array, dtype: str) -> torch.Tensor:
    """Rows of a source as a torch tensor of their own type."""
    values = np.ascontiguousarray(values)
    if not values.flags.writeable:
        values = values.copy()
    tensor = torch.from_numpy(values.view(np.int16) if dtype == "BF16" else values)
    return tensor.view(torch.bfloat16) if dtype == "BF16" else tensor


class InMemory:
    """Tensors of a module or a state dict as a source."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = {name: tensor.detach() for name, tensor in tensors.items()}
        self.entries = {name: Entry(SHORT[tensor.dtype], tuple(tensor.shape)) for name, tensor in self._tensors.items()}

    def rows(self, name: str, start: int, stop: int) -> Array:
        entry = self.entries[name]
        part = self._tensors[name].reshape(-1, entry.width)[start:stop].cpu().contiguous()
        return (part.view(torch.int16).numpy().view(np.uint16)) if entry.dtype == "BF16" else part.numpy()
