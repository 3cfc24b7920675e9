"""Write a sharded model as one folder, gathering one tensor at a time.

No rank ever holds more than its own shard and one whole tensor.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from upcycle.checkpoint.dtypes import Array
from upcycle.checkpoint.sharded_writer import finish, write
from upcycle.checkpoint.tensor_source import Entry
from upcycle.checkpoint.torch_io import SHORT, StateDictSource
from upcycle.training.distributed import DistributedContext

SHARD_BYTES = 5_000_000_000


class ShardedModelSource:
    """The tensors of a sharded model as a source.

    Reading a tensor is a collective operation: every rank must read the `entries` in order.
    """

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        state = model.state_dict()
        self._state = {name: state[name] for name in names}
        self.entries: Mapping[str, Entry] = {
            name: Entry(SHORT[tensor.dtype], tuple(tensor.shape)) for name, tensor in self._state.items()
        }
        self._name, self._whole = "", StateDictSource({})

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width).

        The first call for a tensor gathers it.
        """
        if name != self._name:
            self._name, self._whole = name, StateDictSource({name: self.gather(name)})
        return self._whole.rows(name, start, stop)

    def gather(self, name: str) -> torch.Tensor:
        """Gather a whole tensor on every rank."""
        tensor = self._state[name]
        return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def save_folder(
    model: nn.Module, names: list[str], folder: Path, distributed: DistributedContext, complete: Callable[[Path], None]
) -> None:
    """Write tensors of a sharded model as safetensors.

    The folder appears only when it is complete.

    Args:
        model: The model; all ranks call this together.
        names: Names of the tensors to write.
        folder: The folder to write.
        distributed: This process among the ranks.
        complete: Adds the files that make the folder complete, before it gets its name.
    """
    source = ShardedModelSource(model, names)
    aside = folder.with_name(f".{folder.name}")
    if distributed.is_main:
        shutil.rmtree(aside, ignore_errors=True)
        write(source, aside, SHARD_BYTES, "model", lambda _line: None)
        finish(aside, (), {})
        complete(aside)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    else:
        for name in names:
            source.gather(name)
    distributed.barrier()
