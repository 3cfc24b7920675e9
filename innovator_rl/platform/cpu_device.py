"""The module verl gets where it expects `torch.cuda`: the same names, answered for the machine's main memory.

`PlatformBase.device_module` must be a module with the functions verl calls on `torch.cuda`. `torch.cpu` has the half
about streams, events and synchronisation, which is passed through unchanged; the rest is here. "Allocated memory" is
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
    return True


def device_count() -> int:
    return 1


def current_device() -> torch.device:
    """verl passes this on to `tensor.to(...)` and `torch.device(...)`; an int would mean `cuda:0` there."""
    return torch.device("cpu")


def set_device(device: Any) -> None:
    """There is one device and it is always the current one."""


def get_device_name(device: Any = None) -> str:
    return "cpu"


def empty_cache() -> None:
    """torch keeps no cache of freed main memory."""


def ipc_collect() -> None:
    """No memory is shared by device handles: weights travel through shared memory, freed by its owner."""


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Main memory is limited by the operating system, not by torch."""


def memory_allocated(device: Any = None) -> int:
    return int(psutil.Process().memory_info().rss)


def memory_reserved(device: Any = None) -> int:
    return memory_allocated()


def max_memory_allocated(device: Any = None) -> int:
    """The largest resident size so far; Linux reports it in KiB and offers no way to reset it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def max_memory_reserved(device: Any = None) -> int:
    return max_memory_allocated()


def reset_peak_memory_stats(device: Any = None) -> None:
    """See `max_memory_allocated`."""


def mem_get_info(device: Any = None) -> tuple[int, int]:
    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def get_rng_state(device: Any = None) -> torch.Tensor:
    return torch.get_rng_state()


def set_rng_state(state: torch.Tensor, device: Any = None) -> None:
    torch.set_rng_state(state)


def manual_seed(seed: int) -> None:
    torch.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    torch.manual_seed(seed)
