"""Allow one build of a set at a time, because two would mix their files.

The lock is the kernel's: it ends with its process, so a killed build leaves nothing to clean up.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from innovator_rl.errors import UserError

LOCK = ".lock"


@contextmanager
def build_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder of a set, which is made where it is missing.

    Raises:
        UserError: Another build holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another build of {str(folder)!r} is running: wait for it or stop it") from None
        yield
