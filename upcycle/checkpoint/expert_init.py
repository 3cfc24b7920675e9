"""Make coarse experts in other ways than stage 1.

The ablations use them as baselines.

- `CopiedExpert`: the base model's own network, untrained (sparse upcycling, arXiv 2212.05055; Megatron-Core's
  `upcycling_utils`, arXiv 2410.07524).
- `PartlyRedrawnExpert`: the same with a share of the channels drawn again (drop-upcycling, arXiv 2502.19261).
- `ShuffledExpert`: a trained expert with its channels in random order, so that slices are random instead of contiguous.

A channel is a row of gate and up and the same column of down. The network's function does not depend on their order.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from upcycle.checkpoint.dtypes import Array, from_float32, to_float32
from upcycle.checkpoint.expert_split import expert_shapes
from upcycle.checkpoint.tensor_source import Entry, TensorSource
from upcycle.model.architecture import ModelSpec


class CopiedExpert:
    """The networks of a dense base model under the names of a coarse expert."""

    def __init__(self, spec: ModelSpec, base_model: TensorSource) -> None:
        self._base_model = base_model
        self.entries: Mapping[str, Entry] = {
            name: Entry(base_model.entries[_dense(name)].dtype, shape) for name, shape in expert_shapes(spec).items()
        }

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width)."""
        return self._base_model.rows(_dense(name), start, stop)


class PartlyRedrawnExpert:
    """An expert in which a share of the channels is drawn again at random.

    Mean and standard deviation are those of each matrix.
    """

    def __init__(self, expert: TensorSource, share: float, seed: int) -> None:
        self._expert, self._share, self._seed = expert, share, seed
        self.entries = expert.entries

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width)."""
        entry = self.entries[name]
        whole = to_float32(self._expert.rows(name, 0, entry.rows), entry.dtype).copy()
        down = name.endswith("down_proj.weight")
        layer = int(name.split(".")[2])
        channels = whole.shape[1] if down else whole.shape[0]
        chosen = np.random.default_rng([self._seed, layer]).random(channels) < self._share
        fresh = np.random.default_rng([self._seed, *name.encode()]).normal(whole.mean(), whole.std(), whole.shape)
        if down:
            whole[:, chosen] = fresh[:, chosen]
        else:
            whole[chosen] = fresh[chosen]
        return from_float32(np.ascontiguousarray(whole[start:stop]), entry.dtype)


class ShuffledExpert:
    """An expert with its channels in random order, a different one in every layer."""

    def __init__(self, expert: TensorSource, seed: int) -> None:
        self._expert, self._seed = expert, seed
        self.entries = expert.entries

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width)."""
        entry = self.entries[name]
        layer = int(name.split(".")[2])
        if name.endswith("down_proj.weight"):
            order = np.random.default_rng([self._seed, layer]).permutation(entry.width)
            return np.ascontiguousarray(self._expert.rows(name, start, stop)[:, order])
        order = np.random.default_rng([self._seed, layer]).permutation(entry.rows)
        return np.ascontiguousarray(self._expert.rows(name, 0, entry.rows)[order[start:stop]])


def _dense(name: str) -> str:
    return name.replace(".mlp.expert.", ".mlp.")
