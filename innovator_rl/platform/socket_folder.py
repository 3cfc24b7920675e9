"""Choose a temporary folder whose sockets can be opened.

Ray, vLLM and the queue of a run make Unix sockets below the temporary folder, and the kernel allows 107 bytes for the
path of one. Ray's own folders take 87 of them, so a TMPDIR of more than 20 characters, as on many clusters, would end a
run after seconds with `AF_UNIX path length cannot exceed 107 bytes`. `/tmp` or `/dev/shm` is taken instead.

An engine also leaves sockets and lock files there when it ends. So a run's workers get a folder inside Ray's own, and a
process with an engine of its own takes one that goes with it (see `private_folder`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOCKET_PATH_BYTES = 107
RAY_PATH_BYTES = len("/innovator-ray-12345678/session_2026-01-31_09-15-02_123456_1234567/sockets/plasma_store")
ALTERNATIVES = ("/tmp", "/dev/shm")


def socket_folder(alternatives: Sequence[str] = ALTERNATIVES) -> Path | None:
    """Return the temporary folder, or a shorter one that can be written; None where there is none."""
    for folder in (tempfile.gettempdir(), *alternatives):
        short = len(os.fsencode(folder)) + RAY_PATH_BYTES <= SOCKET_PATH_BYTES
        if short and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    return None


def use_socket_folder() -> dict[str, str]:
    """Make the chosen folder the temporary folder of this process.

    Returns:
        The environment that does the same in a worker; empty where TMPDIR is short enough already.
    """
    folder = socket_folder()
    if folder is None or str(folder) == tempfile.gettempdir():
        return {}
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    return {"TMPDIR": str(folder)}


def compile_cache() -> dict[str, str]:
    """Return the environment that keeps torch's compiled code where the next run finds it, not in a folder that goes."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    return {name: os.environ.get(name) or str(Path(tempfile.gettempdir()) / f"torchinductor_{os.getuid()}")}
