"""Allow one trainer per run with an advisory lock.

The kernel drops the lock when its holder dies, however it dies. That is why it is `flock` and not a marker file: a
killed trainer leaves nothing behind to clean up. The lock is bound to the open file, which a forked child (a
data-loader worker) would share and keep alive, so children close it at once.
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

_OPEN_LOCKS: weakref.WeakSet[RunLock] = weakref.WeakSet()


class RunLock:
    """The exclusive right to write one run directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Return whether this object has the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock; taking it twice through the same object changes nothing.

        Raises:
            UserError: Another process has the lock; the message names the process and its host.
        """
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
        _OPEN_LOCKS.add(self)

    def _refusal(self) -> str:
        holder = read_json(self.path) or {}
        who = f"process {holder.get('pid', 'unknown')} on {holder.get('host', 'an unknown host')}"
        run = self.path.parent
        return (
            f"run {run.name!r} is being written by {who} since {holder.get('since', 'an unknown time')}: "
            f"`innovator runs stop {run.name}` ends it, `name=OTHER` starts another run"
        )

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _close_in_child() -> None:
    for lock in list(_OPEN_LOCKS):
        with contextlib.suppress(OSError):
            lock.release()


os.register_at_fork(after_in_child=_close_in_child)
