"""Give an engine a temporary folder that goes with it, and remove what killed engines left.

    folder = PrivateFolder()                    # for a child: pass folder.environment(), call folder.remove() at its end
    use_private_folder()                        # for this process and its children; removed when the interpreter ends

vLLM and verl leave sockets, rendezvous files and lock files in the temporary folder, and a killed process removes
nothing. So the owner holds a lock on the folder (flock), which the kernel releases however the owner ends: a folder
that can be locked belongs to nobody. Each new folder removes those first (`sweep`). No process id is recorded, which
could be another's by then. What verl names by absolute paths outside the temporary folder is removed by
`sweep_weight_transfers`.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from innovator_rl.platform.socket_folder import compile_cache, socket_folder

PREFIX = "innovator-engine-"
SHARED_MEMORY, WEIGHTS = Path("/dev/shm"), "verl_weights_*"
SOCKETS, TRANSFERS = Path("/tmp"), "rl-colocate-zmq-*.sock"
TRANSFER_SECONDS = 3600.0  # no transfer of weights takes that long; another container's processes cannot be seen


class PrivateFolder:
    """A temporary folder that this process owns until `remove` or its end.

    Attributes:
        path: Where it is.
    """

    def __init__(self) -> None:
        """Make a new folder, after removing those that nobody owns any more."""
        place = socket_folder()
        sweep(place or Path(tempfile.gettempdir()))
        while True:  # until no sweep of another process came between making and locking
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            self._lock = _open(self.path)
            if self._lock is not None:
                _take(self._lock, wait=True)
            if self.path.is_dir():
                break
            self._unlock()

    def environment(self) -> dict[str, str]:
        """Return the variables that make it the temporary folder of a child, whose compiled code stays outside."""
        return {**compile_cache(), "TMPDIR": str(self.path)}

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def use_private_folder() -> Path:
    """Make a new folder the temporary folder of this process and of its children, and remove it at the end.

    Returns:
        The folder. A process that is inside one already, by a call before or by its parent's, keeps that.
    """
    current = Path(tempfile.gettempdir())
    if current.name.startswith(PREFIX):
        return current
    folder, owner = PrivateFolder(), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a fork runs this as well
            folder.remove()

    atexit.register(remove)
    os.environ.update(folder.environment())
    tempfile.tempdir = str(folder.path)
    return folder.path


def sweep(place: Path) -> list[Path]:
    """Delete the folders of engines that were killed, and return them.

    A folder goes when it is this user's, nobody holds its lock, and neither a process nor a socket names it: a child may
    outlive its owner. Nothing else is touched or reported.
    """
    deleted = []
    users: str | None = None
    for folder in place.glob(f"{PREFIX}*"):
        lock = _open(folder)
        if lock is None:
            continue
        try:
            if not _take(lock, wait=False):
                continue
            users = _users() if users is None else users
            if str(folder) not in users:
                shutil.rmtree(folder, ignore_errors=True)
                deleted.append(folder)
        finally:
            os.close(lock)
    return deleted


def sweep_weight_transfers(shared_memory: Path = SHARED_MEMORY, sockets: Path = SOCKETS) -> list[Path]:
    """Delete what killed runs left of verl's transfers of weights, and return it.

    verl names the shared memory and the socket of a transfer itself, outside of every temporary folder. One goes when it
    is this user's, older than any transfer, and in use by no process.
    """
    left = [*_old(shared_memory.glob(WEIGHTS), stat.S_ISREG), *_old(sockets.glob(TRANSFERS), stat.S_ISSOCK)]
    users = _users(maps=True) if left else ""
    stale = [path for path in left if str(path) not in users]
    for path in stale:
        with contextlib.suppress(OSError):
            path.unlink()
    return stale


def _old(paths: Iterator[Path], kind: Callable[[int], bool]) -> Iterator[Path]:
    for path in paths:
        with contextlib.suppress(OSError):  # it has gone since
            state = path.lstat()
            if kind(state.st_mode) and state.st_uid == os.getuid() and time.time() - state.st_mtime > TRANSFER_SECONDS:
                yield path


def _open(folder: Path) -> int | None:
    """Return a descriptor of a folder of this user; None for anything else, or where it has gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    if os.fstat(descriptor).st_uid == os.getuid():
        return descriptor
    os.close(descriptor)
    return None


def _take(descriptor: int, wait: bool) -> bool:
    """Return whether a folder could be locked; where the file system has no locks, it cannot."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _users(maps: bool = False) -> str:
    """Return the commands, environments and, if asked, the mapped files of this user's processes, and bound sockets."""
    found = []
    names = ("cmdline", "environ", "maps") if maps else ("cmdline", "environ")
    for process in psutil.pids():
        for name in names:
            with contextlib.suppress(OSError):  # another user's, or gone since
                found.append(Path(f"/proc/{process}/{name}").read_bytes())
    with contextlib.suppress(OSError):
        found.append(Path("/proc/net/unix").read_bytes())
    return b"\n".join(found).decode(errors="replace")
