"""Monitor the memory of a tree of processes, beyond the limit of a single process, and how long it had to wait.

Control groups bound memory where they exist; otherwise the resident memory of the tree is added up from /proc while it
runs. Wall time is only a guard: what the tree spent waiting for a processor is not charged to it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from rewards.code.sandbox.cgroup import ControlGroups

TICK_SECONDS = 0.05
MAX_STRETCH = 8.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryMonitor:
    """A monitor of one run: `over()` while it runs, `killed()` when it has ended."""

    def __init__(self, root: int, memory_mb: int, groups: ControlGroups | None) -> None:
        self.root = root
        self.limit = memory_mb * 2**20
        self.groups = groups
        self.kills = groups.kills() if groups else 0
        self.next = time.monotonic() + TICK_SECONDS
        self.was_over = False

    def over(self) -> bool:
        """Return whether the tree takes more than it may; looks at most once per tick."""
        if self.groups is not None or time.monotonic() < self.next:
            return False
        self.next = time.monotonic() + TICK_SECONDS
        sizes = [_private(pid) for pid in _descendants(self.root)]
        base = min((size for size in sizes if size), default=0)  # the warm interpreter, which all of them share
        self.was_over = sum(max(0, size - base) for size in sizes) > self.limit
        return self.was_over

    def killed(self) -> bool:
        """Return whether part of the tree was killed for its memory."""
        return self.was_over or (self.groups is not None and self.groups.kills() > self.kills)

    def late(self, waited: float, wall: float) -> bool:
        """Return whether a run is over its wall time, without what it waited for a processor.

        Args:
            waited: Seconds since it began.
            wall: Seconds that it may take on an idle machine; `MAX_STRETCH` times that are the most.
        """
        if waited <= wall:
            return False
        return waited > MAX_STRETCH * wall or waited > wall + _starved(self.root)


def _descendants(root: int) -> list[int]:
    found: list[int] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError, ValueError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
                waiting += map(int, children)
                found += map(int, children)
    return found


def _starved(root: int) -> float:
    """Return the longest time that a process of the run was ready and had no processor, in seconds.

    The first two levels are the supervisor's, which is older than the run.
    """
    longest = 0.0
    for supervisor in _children(root):
        for pid in _descendants(supervisor):
            with contextlib.suppress(OSError, ValueError, IndexError):
                for thread in os.listdir(f"/proc/{pid}/task"):
                    waited = int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[1]) / 1e9
                    longest = max(longest, waited)
    return longest


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError, ValueError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def _private(pid: int) -> int:
    """Resident bytes that are not mapped from a file."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
        return (int(resident) - int(shared)) * _PAGE
    return 0
