"""Run one `innovator` command as a child that ends with its parent.

A runner that is killed with SIGKILL cannot end its child, and a child left behind would write the same folders as the
next run's. The kernel sends this process SIGTERM when its parent ends, for whatever reason.

    python -m innovator_rl.paper.child PARENT_PID data build configs/data/corpus-sample.yaml
    python -m innovator_rl.paper.child PARENT_PID -- srun --nodes=8 innovator sft configs/sft/innovator-53b.yaml
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

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


def run_program(words: Sequence[str]) -> int:
    """Run a program that starts the command on other hosts, pass signals on to it, and return its exit code.

    A signal that comes while it starts waits until there is a process to pass it on to.
    """
    passed = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, passed)
    unblock = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, passed)
    with subprocess.Popen(words, preexec_fn=unblock) as program:
        for number in passed:
            signal.signal(number, lambda number, _: program.send_signal(number))
        unblock()
        code = program.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    if sys.argv[2:3] == ["--"]:
        sys.exit(run_program(sys.argv[3:]))
    listen_to_interrupts()
    sys.argv = ["innovator", *sys.argv[2:]]
    runpy.run_module("innovator_rl", run_name="__main__")
