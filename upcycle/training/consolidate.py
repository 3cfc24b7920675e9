"""The end of a stage: its tensors as a folder, gathered one at a time, so that no rank ever holds more than its shard and one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from upcycle.checkpoint.dtypes import Array
from upcycle.checkpoint.sharded_writer import finish, write
from upcycle.checkpoint.tensor_source import Entry
from upcycle.checkpoint.torch_io import SHORT, InMemory
from upcycle.training.distributed import World

SHARD_BYTES = 5_000_000_000


class Gathered:
    """A sharded model's tensors as a source. Reading a tensor is a collective: every rank must walk `entries` in order."""

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        state = model.state_dict()
        self._state = {name: state[name] for name in names}
        self.entries: Mapping[str, Entry] = {
            name: Entry(SHORT[tensor.dtype], tuple(tensor.shape)) for name, tensor in self._state.items()
        }
        self._name, self._whole = "", InMemory({})

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Rows of a tensor; the first call for a tensor gathers it."""
        if name != self._name:
            self._name, self._whole = name, InMemory({name: self.gather(name)})
        return self._whole.rows(name, start, stop)

    def gather(self, name: str) -> torch.Tensor:
        """The whole tensor, on every rank."""
        tensor = self._state[name]
        return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def save_folder(
    model: nn.Module, names: list[str], folder: Path, world: World, complete: Callable[[Path], None]
) -> None:
    """Write the named tensors as safetensors into `folder`; `complete` adds what makes it whole, then it gets its name."""
    source = Gathered(model, names)
    aside = folder.with_name(f".{folder.name}")
    if world.first:
        shutil.rmtree(aside, ignore_errors=True)
        write(source, aside, SHARD_BYTES, "model", lambda _line: None)
        finish(aside, (), {})
        complete(aside)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    else:
        for name in names:
            source.gather(name)
    world.wait()
