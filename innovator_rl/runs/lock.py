"""One trainer per run: an advisory lock that the kernel drops when its holder dies, however it dies.

`flock` rather than a file that says "locked": a killed trainer leaves nothing behind to clean up. The lock is bound to
the open file, which a forked child (a data-loader worker) would share and keep alive, so children close it at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from pathlib import Path

from innovator_rl.errors import UserError
from innovator_rl.runs.files import dump_json, read_json, utc_now
from innovator_rl.runs.provenance import process_identity

_HELD: weakref.WeakSet[RunLock] = weakref.WeakSet()


class RunLock:
    """The exclusive right to write one run directory; `acquire` raises `UserError` naming the holder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock or raise `UserError`; taking it twice through the same object changes nothing."""
        if self.held:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise UserError(self._refusal()) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, dump_json({**process_identity(), "since": utc_now()}).encode())
        self._descriptor = descriptor
        _HELD.add(self)

    def _refusal(self) -> str:
        holder = read_json(self.path) or {}
        who = f"process {holder.get('pid', 'unknown')} on {holder.get('host', 'an unknown host')}"
        run = self.path.parent
        return (
            f"run {run.name!r} is being written by {who} since {holder.get('since', 'an unknown time')}: "
            f"`innovator runs stop {run.name}` ends it, `name=OTHER` starts another run"
        )

    def release(self) -> None:
        """Give the lock up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _close_in_child() -> None:
    for lock in list(_HELD):
        with contextlib.suppress(OSError):
            lock.release()


os.register_at_fork(after_in_child=_close_in_child)
