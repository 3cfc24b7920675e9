"""Between sources and torch modules: load a model by rows, shard by shard, and save one.

A parameter that FSDP2 has cut along its first dimension reads only its own rows, so no rank ever holds the whole model.
"""

from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from upcycle.checkpoints import Donor as Donor
from upcycle.checkpoints import donor_config as donor_config
from upcycle.checkpoints import donor_fingerprint as donor_fingerprint
from upcycle.checkpoints import native_source as native_source
from upcycle.numbers import Array
from upcycle.shards import finish, write
from upcycle.source import Entry, Source
from upcycle.spec import Spec, native_shapes

TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
SHARD_BYTES = 5_000_000_000
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


class _Passing:
    """Tensors that come one after another, in the order of `shapes`, each cast to `dtype`; one is held at a time."""

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], tensors: Iterable[tuple[str, torch.Tensor]], dtype: str
    ) -> None:
        self.entries = {
            name: Entry("F32" if name.endswith(".routed_scale") else dtype, shape) for name, shape in shapes.items()
        }
        self._tensors = iter(tensors)
        self._name, self._current = "", InMemory({})

    def rows(self, name: str, start: int, stop: int) -> Array:
        if self._name != name:
            self._name, tensor = next(self._tensors)
            assert self._name == name, f"{self._name} came where {name} was due"
            self._current = InMemory({name: tensor.to(TORCH[self.entries[name].dtype])})
        return self._current.rows(name, start, stop)


def save_tensors(
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Iterable[tuple[str, torch.Tensor]],
    folder: Path,
    dtype: str = "F32",
    files: Iterable[Path] = (),
) -> None:
    """Write tensors, given in the order of `shapes`, as a safetensors folder; `files` (tokenizer, ...) travel along.

    Only the tensor at hand is asked of the iterator, so it may gather each from all ranks.
    """
    write(_Passing(shapes, tensors, dtype), folder, SHARD_BYTES, "training", lambda _line: None, resume=False)
    finish(folder, files, {})


def save_native(
    spec: Spec,
    tensors: Iterable[tuple[str, torch.Tensor]],
    folder: Path,
    dtype: str = "F32",
    files: Iterable[Path] = (),
) -> None:
    """Write a native folder from tensors in the order of `native_shapes(spec)`; upcycle.json comes last."""
    save_tensors(dict(native_shapes(spec)), tensors, folder, dtype, files)
    spec.save(folder)
