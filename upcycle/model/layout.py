"""Lay a model out over ranks: replicas, shards and expert-parallel groups.

The ranks form a mesh (replicate, shard, expert). A replica is a whole copy of the model, cut over its shard x expert
ranks. Fine experts are cut along the expert axis first: each of its ranks computes its own experts for the tokens of the
whole group. What is left, and every other tensor, is cut by FSDP2. `plan` counts with this module and training shards
with it, so both know the same bytes. It does not import torch.

    Layout.of(config.trainer, ranks=64, experts=64)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from innovator_rl.errors import UserError
from upcycle.config.stages import TrainerConfig

Shape = tuple[int, ...]
EXPERTS = ".mlp.experts."
"""Part of the names of the tensors that the expert axis cuts."""


def shard_dimension(shape: Shape, ranks: int) -> int:
    """Return the dimension along which FSDP2 cuts a tensor.

    It is the first. A tensor of experts that the ranks do not divide is cut along the first other dimension that they do
    divide, because FSDP2 pads an uneven first dimension and accepts no other uneven one.
    """
    if len(shape) < 3 or shape[0] % ranks == 0:
        return 0
    return next((dim for dim in (1, 2) if shape[dim] % ranks == 0), 0)


@dataclass(frozen=True)
class Layout:
    """Sizes of the three axes.

    Attributes:
        replicas: Copies of the model.
        shards: Ranks over which FSDP2 cuts the experts of a replica.
        experts: Ranks of an expert-parallel group.
    """

    replicas: int = 1
    shards: int = 1
    experts: int = 1

    @classmethod
    def of(cls, config: TrainerConfig, ranks: int, experts: int = 0) -> "Layout":
        """Return the layout of so many ranks.

        Args:
            config: `replicas` and `expert_parallel`.
            ranks: Ranks that train.
            experts: Fine experts of a layer; 0 for a model without, whose expert axis joins the shards.

        Raises:
            UserError: If the ranks or the experts cannot be divided so.
        """
        replicas = config.replicas
        parallel = config.expert_parallel if experts else 1
        if ranks % (replicas * parallel):
            raise UserError(
                f"trainer.replicas = {replicas} x trainer.expert_parallel = {parallel}: the {ranks} ranks are not a multiple "
                f"of {replicas * parallel}; set both so that their product divides {ranks}"
            )
        if parallel > 1 and experts % parallel:
            raise UserError(
                f"trainer.expert_parallel = {parallel}: the {experts} experts of a layer are not a multiple of it; "
                f"set one of {', '.join(str(n) for n in range(1, experts + 1) if experts % n == 0)}"
            )
        return cls(replicas, ranks // (replicas * parallel), parallel)

    @property
    def dense(self) -> int:
        """Ranks over which a tensor outside the experts is cut."""
        return self.shards * self.experts

    @property
    def ranks(self) -> int:
        """All ranks."""
        return self.replicas * self.dense

    def dimension(self, name: str, shape: Shape) -> int:
        """Return the dimension along which FSDP2 cuts a tensor, after the expert axis has."""
        if EXPERTS in name and self.experts > 1:
            # Never the dimension of the expert axis: the cuts would interleave.
            dims = [dim for dim in (1, 2) if shape[dim] % self.shards == 0]
            if not dims:
                raise UserError(
                    f"trainer.expert_parallel = {self.experts}: the {self.shards} ranks of the shard axis divide no dimension of "
                    f"{name} {shape}; choose another trainer.expert_parallel or trainer.replicas"
                )
            return dims[0]
        return shard_dimension(shape, self.dense)

    def held(self, tensors: Iterable[tuple[str, Shape]]) -> int:
        """Count the numbers that a rank stores of some tensors, padding included."""
        total = 0
        for name, shape in tensors:
            cut = self.shards if EXPERTS in name else self.dense
            own = (shape[0] // self.experts, *shape[1:]) if EXPERTS in name else shape
            dim = self.dimension(name, shape)
            total += prod(-(-size // cut) if axis == dim else size for axis, size in enumerate(own))
        return total

    def gathered(self, tensors: Iterable[tuple[str, Shape]]) -> int:
        """Count the numbers that a rank holds of some tensors while it computes with them, padding included."""
        return sum(
            self.held([(name, shape)]) * (self.shards if EXPERTS in name else self.dense) for name, shape in tensors
        )
