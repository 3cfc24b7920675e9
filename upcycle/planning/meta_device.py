"""Build the training model without memory, on the meta device.

FSDP2 shards it over ranks that do not exist.

`plan` counts from shapes. This module asks torch itself how many parameters rank 0 would hold, padding of uneven shards
included.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from upcycle.model.architecture import ModelSpec
from upcycle.model.layout import Layout
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.model.sharding import fully_shard_model


@contextmanager
def fake_process_group(count: int) -> Iterator[None]:
    """Open a process group of `count` ranks of which only this one, 0, exists."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    assert not dist.is_initialized(), "a process group is already running"
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=count)
    try:
        yield
    finally:
        dist.destroy_process_group()


def local_parameters(spec: ModelSpec, layout: Layout) -> tuple[int, int]:
    """Count the parameters of the model and those that rank 0 of a layout holds.

    torch decides what rank 0 holds, by the calls with which training shards.
    """
    with torch.device("meta"):
        model = InnovatorForCausalLM(spec)
    whole = sum(parameter.numel() for parameter in model.parameters())
    with fake_process_group(layout.ranks):
        fully_shard_model(model, list(model.model.layers), layout, "cpu")
        local = sum(p.to_local().numel() for p in model.parameters() if isinstance(p, DTensor))
    return whole, local
