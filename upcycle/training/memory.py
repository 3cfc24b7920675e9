"""Measure the peak memory of this process."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_resident() -> int:
    """Return the largest resident size since the program started, in bytes.

    Linux keeps it per address space (`VmHWM`). `ru_maxrss`, the fallback, also counts the memory that the parent process
    had when it started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
