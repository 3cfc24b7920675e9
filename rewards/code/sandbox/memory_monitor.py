"""Monitor the memory of a tree of processes, beyond the limit of a single process, and how long it had to wait.

Control groups bound memory where they exist; otherwise the resident memory of the tree is added up from /proc while it
runs. Wall time is only a guard: what the tree or its monitor spent waiting for a processor is not charged to the tree.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
        self.waited = _waited_for_processor("/proc/thread-self")

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
        """Return whether a run is over its wall time, without what it or this process waited for a processor.

        Args:
            waited: Seconds since it began.
            wall: Seconds that it may take on an idle machine; `MAX_STRETCH` times that are the most.
        """
        if waited <= wall:
            return False
        if waited > MAX_STRETCH * wall:
            return True
        threads = _threads(self.root)
        if not threads or any(thread.runnable for thread in threads):
            return False  # it has reported, or is about to go on: its processor time is what bounds it
        ours = _waited_for_processor("/proc/thread-self") - self.waited
        return waited > wall + ours + max(thread.waited for thread in threads)


@dataclasses.dataclass(frozen=True)
class _Thread:
    """A live thread of a run.

    Attributes:
        runnable: It runs, or would if there were a processor for it.
        waited: Seconds that it was ready and had no processor; the wait that still lasts is not in them.
    """

    runnable: bool
    waited: float


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


def _threads(root: int) -> list[_Thread]:
    """Return the live threads of the run; the first two levels are the supervisor's, which is older than the run."""
    found = []
    for supervisor in _children(root):
        for pid in _descendants(supervisor):
            with contextlib.suppress(OSError, ValueError, IndexError):
                for number in os.listdir(f"/proc/{pid}/task"):
                    thread = f"/proc/{pid}/task/{number}"
                    state = Path(f"{thread}/stat").read_text().rpartition(")")[2].split()[0]
                    if state not in "ZX":
                        found.append(_Thread(state == "R", _waited_for_processor(thread)))
    return found


def _waited_for_processor(thread: str) -> float:
    """Return the seconds that a thread was ready and had no processor, from its folder in /proc."""
    try:
        return int(Path(f"{thread}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


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
