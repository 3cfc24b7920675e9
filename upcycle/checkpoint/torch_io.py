"""Move weights between sources and torch modules.

A sharded parameter reads only the rows that it holds a part of, so no rank ever holds the whole model.
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
            local = tensor.to_local()[tuple(slice(0, size) for size in shape)]  # without FSDP2's padding
            _fill(local, source, name, tuple(offset) or (0,) * local.dim())
        else:
            _fill(tensor, source, name, (0,) * tensor.dim())


def _fill(target: torch.Tensor, source: TensorSource, name: str, first: tuple[int, ...]) -> None:
    """Fill `target`, the part of a tensor whose first element lies at `first`."""
    entry = source.entries[name]
    if target.numel() == 0:
        return
    if target.dim() <= 1:
        start = first[0] if first else 0
        values = source.rows(name, 0, 1)[:, start : start + target.numel()]
        target.copy_(as_tensor(values, entry.dtype).view_as(target))
        return
    if target.dim() > 2 and tuple(target.shape[1:]) != tuple(entry.shape[1:]):  # cut inside: matrix by matrix
        for index in range(len(target)):
            _fill_matrix(target[index], source, name, (first[0] + index) * entry.shape[1] + first[1], first[2])
        return
    inner = prod(entry.shape[1:-1])
    flat = target.reshape(-1, target.shape[-1])
    assert flat.data_ptr() == target.data_ptr()
    _fill_matrix(flat, source, name, first[0] * inner, first[-1])


def _fill_matrix(target: torch.Tensor, source: TensorSource, name: str, row: int, column: int) -> None:
    """Fill a matrix from the rows of a source from `row` on, and of those the columns from `column` on."""
    entry = source.entries[name]
    for start in range(0, len(target), entry.chunk_rows):
        stop = min(start + entry.chunk_rows, len(target))
        values = source.rows(name, row + start, row + stop)[:, column : column + target.shape[1]]
        target[start:stop].copy_(as_tensor(values, entry.dtype))


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
