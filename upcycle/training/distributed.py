"""Join the ranks that torchrun describes, or run as a single rank.

Ranks meet in collectives, which end after `TIMEOUT`. For what rank 0 does alone the others wait by asking the group's
store for a message of rank 0, because such work may take hours.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_default_store

from innovator_rl.errors import EngineError

TIMEOUT = datetime.timedelta(minutes=30)  # a rank that is gone ends the others instead of blocking them for ever
LONGEST_WORK = datetime.timedelta(hours=12)
"""Longest wait for rank 0 alone, which at full size reads and writes some hundred GB: hours on a slow disk."""
POLL_SECONDS = 0.1  # between two looks for a message of rank 0
END = "end"
"""The message that the work of rank 0 is done."""


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

    def on_main(self, work: Callable[[], object]) -> None:
        """Do some work on rank 0 while the other ranks wait; all ranks call this together."""
        if self.is_main:
            work()
            self.announce(END)
        else:
            self.await_main()

    def announce(self, message: str) -> None:
        """Send a message from rank 0 to every other rank, which gets it from `await_main`."""
        if self.world_size > 1:
            _get_default_store().set(self._next_message(), message)

    def await_main(self) -> str:
        """Wait for the next message of rank 0 and return it.

        The store is asked again and again, because one long wait would hold the connection that NCCL's watchdog uses.

        Raises:
            EngineError: If there is none after `LONGEST_WORK`.
        """
        key, end = self._next_message(), time.monotonic() + LONGEST_WORK.total_seconds()
        while not _get_default_store().check([key]):
            if time.monotonic() > end:
                raise EngineError(f"rank {self.rank}: rank 0 has not finished its work within {LONGEST_WORK}")
            time.sleep(POLL_SECONDS)
        return str(_get_default_store().get(key).decode())

    def _next_message(self) -> str:
        """Return the key of the next message; the store counts how many this rank has sent or received."""
        return f"rank-0/message-{_get_default_store().add(f'rank-0/count-{self.rank}', 1)}"

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
