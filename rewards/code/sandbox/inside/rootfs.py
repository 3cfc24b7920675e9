"""Build the file tree a program sees: interpreter, libraries, devices, empty /tmp.

No /proc, no /sys, no home, no other program: what is not there needs no guard.
"""

from __future__ import annotations

import os

import kernel

SCRATCH = "/tmp"
_STAGE = "/tmp"


def build(paths: list[str], hidden: list[str], packages: list[str], devices: list[str]) -> None:
    """Make a read-only tree with `paths` at their own places, and move into it.

    Folders in `hidden` are empty there but for `packages`. It needs a mount namespace of its own.
    """
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    wanted = [path for path in (*paths, *devices, *packages) if os.path.exists(path)]
    sources = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in wanted}
    kernel.mount("view", _STAGE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=1m,nr_inodes=4096")
    for path in (*paths, *devices):
        if path in sources:
            _place(path, sources[path])
        _links(path)
    for path in hidden:
        if os.path.isdir(_STAGE + path):
            kernel.mount("hidden", _STAGE + path, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=64k")
    for path in packages:
        _place(path, sources[path])
    for source in sources.values():
        os.close(source)
    os.makedirs(_STAGE + SCRATCH, exist_ok=True)
    os.symlink(SCRATCH, _STAGE + "/dev/shm")  # where the C library keeps the semaphores of multiprocessing
    kernel.pivot(_STAGE)
    kernel.protect("/", kernel.ATTR_RDONLY | kernel.ATTR_NOSUID)


def _place(path: str, source: int) -> None:
    target = _STAGE + path
    origin = f"/proc/self/fd/{source}"
    if os.path.islink(path):
        return
    if os.path.isdir(origin):
        os.makedirs(target, mode=0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        if not os.path.exists(target):
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o644))
    kernel.mount(origin, target, None, kernel.MS_BIND | kernel.MS_REC)


def _links(path: str) -> None:
    """Repeat the symbolic links along a path, such as /lib -> usr/lib."""
    parts = path.strip("/").split("/")
    for size in range(1, len(parts) + 1):
        step = "/" + "/".join(parts[:size])
        if os.path.islink(step):
            if not os.path.lexists(_STAGE + step):
                os.makedirs(os.path.dirname(_STAGE + step), exist_ok=True)
                os.symlink(os.readlink(step), _STAGE + step)
            return


class Scratch:
    """A sized tmpfs at /tmp that is replaced whenever a program left a trace on it."""

    def __init__(self, megabytes: int) -> None:
        self.options = f"mode=0755,size={megabytes}m,nr_inodes=4096"
        self.mark: tuple[int, ...] | None = None
        self.renew()

    def renew(self) -> bool:
        """Mount a fresh one unless the present one is untouched; return whether it did."""
        if self.mark is not None:
            if self.mark == trace(SCRATCH) and not os.listdir(SCRATCH):
                return False
            kernel.unmount(SCRATCH)
        kernel.mount("scratch", SCRATCH, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, self.options)
        self.mark = trace(SCRATCH)
        return True


def trace(path: str) -> tuple[int, ...]:
    """Return what anybody's use of a directory changes about it."""
    state = os.stat(path)
    return state.st_mode, state.st_nlink, state.st_mtime_ns, state.st_ctime_ns, state.st_size


def public(path: str) -> bool:
    """May every user read what is at `path`?"""
    steps = [path[:end] for end in range(1, len(path) + 1) if end == len(path) or path[end] == "/"]
    return all(os.stat(step).st_mode & 0o005 == 0o005 for step in steps)
