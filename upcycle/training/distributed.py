"""The ranks of a run: joined through torchrun's environment, or a world of one."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

WAIT = datetime.timedelta(minutes=30)  # a rank that is gone ends the others instead of holding them


@dataclass(frozen=True)
class World:
    """This process among its ranks."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this rank writes what is written once."""
        return self.rank == 0

    @cached_property
    def mesh(self) -> Any:
        """The one-dimensional mesh that parameters are spread over."""
        return init_device_mesh(self.device.type, (self.size,))

    def wait(self) -> None:
        """Until every rank is here."""
        if self.size > 1:
            dist.barrier()

    def describe(self) -> str:
        """`2 ranks on cpu (gloo)`."""
        ranks = f"{self.size} rank{'s' if self.size > 1 else ''} on {self.device.type}"
        return f"{ranks} ({dist.get_backend()})"


def join(threads: int = 0) -> World:
    """Join the process group that torchrun's variables describe, once; a process started alone is a world of one."""
    device = (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if threads and device.type == "cpu":
        torch.set_num_threads(threads)
    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        if "RANK" in os.environ:
            dist.init_process_group(backend, timeout=WAIT)
        else:
            alone = dist.HashStore()  # type: ignore[attr-defined]
            dist.init_process_group(backend, store=alone, rank=0, world_size=1, timeout=WAIT)
    return World(dist.get_rank(), dist.get_world_size(), device)
