"""Stand in for `torch.cuda` in verl, for the machine's main memory.

`PlatformBase.device_module` must be a module with the functions verl calls on `torch.cuda`. `torch.cpu` has the half
about streams, events and synchronization, which is passed through unchanged; the rest is here. "Allocated memory" is
this process's resident memory, and "free memory" what the kernel says is available, so that verl's memory metrics
mean something on a CPU.
"""

import resource
from typing import Any

import psutil
import torch
from torch.cpu import Event, Stream, StreamContext, current_stream, is_initialized, stream, synchronize

__all__ = ["Event", "Stream", "StreamContext", "current_stream", "is_initialized", "stream", "synchronize"]

_KIB = 1024


def is_available() -> bool:
    """Return True."""
    return True


def device_count() -> int:
    """Return 1."""
    return 1


def current_device() -> torch.device:
    """Return the device that verl passes to `tensor.to(...)`.

    An int would mean `cuda:0` there.
    """
    return torch.device("cpu")


def set_device(device: Any) -> None:
    """Do nothing; the only device is always the current one."""


def get_device_name(device: Any = None) -> str:
    """Return "cpu"."""
    return "cpu"


def empty_cache() -> None:
    """Do nothing; there is no cache of freed main memory in torch."""


def ipc_collect() -> None:
    """Do nothing; weights are sent through shared memory, which its owner frees."""


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Do nothing; the operating system limits main memory, not torch."""


def memory_allocated(device: Any = None) -> int:
    """Return the resident size of this process in bytes."""
    return int(psutil.Process().memory_info().rss)


def memory_reserved(device: Any = None) -> int:
    """Return the resident size of this process in bytes."""
    return memory_allocated()


def max_memory_allocated(device: Any = None) -> int:
    """Return the largest resident size so far in bytes.

    Linux offers no way to reset it.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def max_memory_reserved(device: Any = None) -> int:
    """Return the largest resident size so far in bytes."""
    return max_memory_allocated()


def reset_peak_memory_stats(device: Any = None) -> None:
    """Do nothing; see `max_memory_allocated`."""


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Return available and total main memory in bytes."""
    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def get_rng_state(device: Any = None) -> torch.Tensor:
    """Return the state of torch's generator."""
    return torch.get_rng_state()


def set_rng_state(state: torch.Tensor, device: Any = None) -> None:
    """Set the state of torch's generator."""
    torch.set_rng_state(state)


def manual_seed(seed: int) -> None:
    """Seed torch's generator."""
    torch.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed torch's generator."""
    torch.manual_seed(seed)
