"""Join the ranks that torchrun describes, or run as a single rank."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist

TIMEOUT = datetime.timedelta(minutes=30)  # a rank that is gone ends the others instead of blocking them for ever


@dataclass(frozen=True)
class DistributedContext:
    """This process among the ranks of a run."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes what is written once."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until every rank has called this."""
        if self.world_size > 1:
            dist.barrier()

    def describe(self) -> str:
        """Describe the ranks for people, as in `2 ranks on cpu (gloo)`."""
        ranks = f"{self.world_size} rank{'s' if self.world_size > 1 else ''} on {self.device.type}"
        return f"{ranks} ({dist.get_backend()})"


def backend_for(device: str) -> str:
    """Return the backends of the process group.

    On CUDA there are two, because `trainer.cpu_offload` keeps gradients in host memory, which NCCL cannot reduce.

    Args:
        device: Type of the ranks' devices, `cuda` or `cpu`.
    """
    return "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"


def join(threads: int = 0) -> DistributedContext:
    """Join the process group that torchrun's environment variables describe.

    A process that torchrun did not start becomes the only rank of its own group. Calling this again is harmless.

    Args:
        threads: Threads of this rank on a CPU; 0: torch's default.
    """
    device = (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if threads and device.type == "cpu":
        torch.set_num_threads(threads)
    if not dist.is_initialized():
        backend = backend_for(device.type)
        if "RANK" in os.environ:
            dist.init_process_group(backend, timeout=TIMEOUT)
        else:
            alone = dist.HashStore()  # type: ignore[attr-defined]
            dist.init_process_group(backend, store=alone, rank=0, world_size=1, timeout=TIMEOUT)
    return DistributedContext(dist.get_rank(), dist.get_world_size(), device)
