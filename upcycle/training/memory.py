"""How much memory this process held at most."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_resident() -> int:
    """The largest resident size since the program started, in bytes.

    Linux keeps it for each address space (`VmHWM`); `ru_maxrss`, used elsewhere, also counts what the parent held when
    it started this process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
