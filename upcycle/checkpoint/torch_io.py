"""Move weights between sources and torch modules.

A parameter that FSDP2 has sharded along its first dimension reads only its own rows, so no rank ever holds the whole
model.
"""

from collections.abc import Mapping
from math import prod

import numpy as np
import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from innovator_rl.errors import UserError
from upcycle.checkpoint.dtypes import Array
from upcycle.checkpoint.tensor_source import Entry, TensorSource

TORCH_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
SHORT = {dtype: short for short, dtype in TORCH_DTYPES.items()}


@torch.no_grad()
def load_weights(model: nn.Module, source: TensorSource) -> None:
    """Fill every parameter and buffer of a model from a source, cast to its own type.

    Raises:
        UserError: If the source lacks one of them.
    """
    state = model.state_dict(keep_vars=True)
    if getattr(getattr(model, "spec", None), "tied", False):
        state.pop("lm_head.weight", None)
    for name, tensor in state.items():
        if name not in source.entries:
            raise UserError(f"the weights lack {name}; give the folder of a matching model")
        if isinstance(tensor, DTensor):
            shape, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
            assert tuple(shape[1:]) == tuple(tensor.shape[1:]), "only the first dimension is sharded"
            local = tensor.to_local()
            _fill(local[: shape[0]], source, name, offset[0] if len(offset) else 0)
        else:
            _fill(tensor, source, name, 0)


def _fill(target: torch.Tensor, source: TensorSource, name: str, first: int) -> None:
    """Fill `target`, which holds the rows of the leading dimension from `first` on."""
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
    """Return rows of a source as a torch tensor of the same type.

    The type is one of BF16, F16 and F32.
    """
    values = np.ascontiguousarray(values)
    if not values.flags.writeable:
        values = values.copy()
    tensor = torch.from_numpy(values.view(np.int16) if dtype == "BF16" else values)
    return tensor.view(torch.bfloat16) if dtype == "BF16" else tensor


class StateDictSource:
    """The tensors of a module or a state dict as a source."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = {name: tensor.detach() for name, tensor in tensors.items()}
        self.entries = {name: Entry(SHORT[tensor.dtype], tuple(tensor.shape)) for name, tensor in self._tensors.items()}

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width)."""
        entry = self.entries[name]
        part = self._tensors[name].reshape(-1, entry.width)[start:stop].cpu().contiguous()
        return (part.view(torch.int16).numpy().view(np.uint16)) if entry.dtype == "BF16" else part.numpy()
