"""Bound memory and processes of a whole tree by control groups, where allowed.

Version 1 as root, version 2 as root or where the group was delegated. Elsewhere the engine watches the tree itself.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_numbers = itertools.count()


class ControlGroups:
    """The groups of one sandbox.

    `folders` are what its supervisor joins and its outer process removes.
    """

    def __init__(self, version: int, folders: list[Path]) -> None:
        self.version = version
        self.folders = folders
        self.limit = (0, 0)

    @staticmethod
    def make() -> ControlGroups | None:
        """Make groups next to this process's own.

        None where that is not allowed or has no effect.
        """
        name = f"innovator-sandbox-{os.getpid()}-{next(_numbers)}"
        homes = _homes()
        made: list[Path] = []
        try:
            if "memory" in homes and "pids" in homes:
                for controller in ("memory", "pids"):
                    (homes[controller] / name).mkdir()
                    made.append(homes[controller] / name)
                return ControlGroups(1, made)
            if "" in homes:
                home = homes[""]
                if {"memory", "pids"} <= set((home / "cgroup.subtree_control").read_text().split()):
                    (home / name).mkdir()
                    return ControlGroups(2, [home / name])
        except OSError:
            for folder in made:
                with contextlib.suppress(OSError):
                    folder.rmdir()
        return None

    def set(self, memory_mb: int, processes: int) -> None:
        """Bound the group: `memory_mb` MiB besides what the interpreter takes.

        Raises:
            OSError: On failure.
        """
        wanted = (memory_mb + 48) * 2**20
        if (wanted, processes) == self.limit:
            return
        memory, pids = self.folders[0], self.folders[-1]
        (pids / "pids.max").write_text(str(processes + 8))
        if self.version == 2:
            (memory / "memory.max").write_text(str(wanted))
            with contextlib.suppress(OSError):
                (memory / "memory.swap.max").write_text("0")
        else:
            (memory / "memory.limit_in_bytes").write_text(str(wanted))
        self.limit = (wanted, processes)

    def remove(self, seconds: float) -> None:
        """Remove the groups, which a supervisor does itself unless it was killed.

        Waits for the last of its processes, and tries each group at least once.
        """
        end = time.monotonic() + seconds
        for folder in self.folders:
            while folder.exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                if time.monotonic() >= end:
                    break
                time.sleep(0.05)

    def kills(self) -> int:
        """Return processes that the kernel killed for memory so far."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        with contextlib.suppress(OSError):
            for line in (self.folders[0] / name).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0


def _homes() -> dict[str, Path]:
    """Return where this process's groups are.

    Controller -> folder, with "" for version 2.
    """
    found: dict[str, Path] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                for base in (ROOT / controller, ROOT / "unified") if not controller else (ROOT / controller,):
                    folder = base / path.lstrip("/")
                    if not controller and not (base / "cgroup.controllers").exists():
                        continue
                    if folder.is_dir() and os.access(folder, os.W_OK):
                        found.setdefault(controller, folder)
    return found
