"""The ranks: the backends they get."""

from typing import Any

import pytest
import torch
import torch.distributed as dist

from upcycle.training.distributed import join


@pytest.mark.parametrize(("cuda", "backend"), [(True, "cpu:gloo,cuda:nccl"), (False, "gloo")])
def test_tensors_in_host_memory_have_a_backend(cuda: bool, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`trainer.cpu_offload` keeps gradients there, also where the model computes on a GPU."""
    chosen: list[str] = []

    def init(name: str, **settings: Any) -> None:
        chosen.append(name)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)
    monkeypatch.setattr(dist, "init_process_group", init)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 1)
    assert join().device.type == ("cuda" if cuda else "cpu")
    assert chosen == [backend]
