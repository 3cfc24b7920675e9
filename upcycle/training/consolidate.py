"""Write a sharded model as one folder, gathering one tensor at a time.

No rank ever holds more than its own shard and one whole tensor. Rank 0 writes and announces each tensor before it is
gathered. The other ranks wait for these messages, so no collective waits for a disk, and they gather only what an
interrupted write has not finished.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from upcycle.checkpoint.convert import digest
from upcycle.checkpoint.dtypes import Array
from upcycle.checkpoint.sharded_writer import begun_from, finish, write
from upcycle.checkpoint.tensor_source import Entry
from upcycle.checkpoint.torch_io import SHORT, StateDictSource
from upcycle.training.distributed import END, DistributedContext

SHARD_BYTES = 5_000_000_000


class ShardedModelSource:
    """The tensors of a sharded model as a source.

    Only rank 0 reads rows. The others gather each tensor that it announces.
    """

    def __init__(self, model: nn.Module, names: list[str], distributed: DistributedContext) -> None:
        self._distributed = distributed
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
            self._distributed.announce(name)
            self._name, self._whole = name, StateDictSource({name: self.gather(name)})
        return self._whole.rows(name, start, stop)

    def gather(self, name: str) -> torch.Tensor:
        """Gather a whole tensor on every rank."""
        tensor = self._state[name]
        return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def save_folder(
    model: nn.Module,
    names: list[str],
    folder: Path,
    distributed: DistributedContext,
    complete: Callable[[Path], None],
    inputs: Sequence[Path],
) -> None:
    """Write tensors of a sharded model as safetensors.

    The folder appears only when it is complete. An interrupted write of the same inputs continues after its last file.

    Args:
        model: The model; all ranks call this together.
        names: Names of the tensors to write.
        folder: The folder to write.
        distributed: This process among the ranks.
        complete: Adds the files that make the folder complete, before it gets its name.
        inputs: Folders of the files from which the model's weights come: its checkpoint, and what is frozen.
    """
    source = ShardedModelSource(model, names, distributed)
    if not distributed.is_main:
        while (name := distributed.await_main()) != END:
            source.gather(name)
        return
    aside, identity = folder.with_name(f".{folder.name}"), _identity(inputs)
    if not begun_from(aside, identity):
        shutil.rmtree(aside, ignore_errors=True)
    write(source, aside, SHARD_BYTES, identity, lambda _line: None)
    complete(aside)
    finish(aside, (), {})
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    distributed.announce(END)


def _identity(folders: Sequence[Path]) -> str:
    """Return a hash of name, bytes and modification time of the files in some folders."""
    files = [path for folder in folders for path in sorted(folder.glob("*"))]
    return digest([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files])
