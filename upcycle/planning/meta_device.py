"""Build the training model without memory, on the meta device.

FSDP2 shards it over ranks that do not exist.

`plan` counts from shapes. This module asks torch itself how many parameters rank 0 would hold, padding of uneven shards
included.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from upcycle.model.architecture import ModelSpec
from upcycle.model.modeling import InnovatorForCausalLM


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


def local_parameters(spec: ModelSpec, gpus: int) -> tuple[int, int]:
    """Count the parameters of the model and of rank 0 of `gpus`.

    FSDP2 decides what rank 0 holds.
    """
    with torch.device("meta"):
        model = InnovatorForCausalLM(spec)
    whole = sum(parameter.numel() for parameter in model.parameters())
    with fake_process_group(gpus):
        mesh = init_device_mesh("cpu", (gpus,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        local = sum(p.to_local().numel() for p in model.parameters() if isinstance(p, DTensor))
    return whole, local
