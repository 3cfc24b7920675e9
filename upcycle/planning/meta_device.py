"""The training model without memory: built on the meta device and cut by FSDP2 over imaginary ranks.

`plan` counts from shapes; this asks torch itself what rank 0 of `gpus` would hold, padding of uneven cuts included.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from upcycle.model.architecture import Spec
from upcycle.model.modeling import InnovatorForCausalLM


@contextmanager
def imaginary_ranks(count: int) -> Iterator[None]:
    """A process group of `count` ranks in which this process is rank 0 and nobody else exists."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    assert not dist.is_initialized(), "a process group is already running"
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=count)
    try:
        yield
    finally:
        dist.destroy_process_group()


def local_numbers(spec: Spec, gpus: int) -> tuple[int, int]:
    """(parameters of the whole model, parameters that rank 0 of `gpus` holds), from FSDP2's own cut."""
    with torch.device("meta"):
        model = InnovatorForCausalLM(spec)
    whole = sum(parameter.numel() for parameter in model.parameters())
    with imaginary_ranks(gpus):
        mesh = init_device_mesh("cpu", (gpus,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        local = sum(p.to_local().numel() for p in model.parameters() if isinstance(p, DTensor))
    return whole, local
