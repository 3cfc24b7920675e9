"""Run one `innovator` command as a child that ends with its parent.

A runner that is killed with SIGKILL cannot end its child, and a child left behind would write the same folders as the
next run's. The kernel sends this process SIGTERM when its parent ends, for whatever reason.

    python -m innovator_rl.paper.child PARENT_PID data build configs/data/corpus-sample.yaml
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM at the parent's end; exit where it has already ended.

    Args:
        parent: Process id of the parent, as the parent itself knows it.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


def listen_to_interrupts() -> None:
    """Answer SIGINT, which the runner sends, also where a shell that started it in the background had it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    listen_to_interrupts()
    sys.argv = ["innovator", *sys.argv[2:]]
    runpy.run_module("innovator_rl", run_name="__main__")
