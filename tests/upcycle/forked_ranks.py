"""Ranks of one training run as forked processes of this machine."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch


def fork_ranks(ranks: int, rank_main: Callable[[int, Path], None], folder: Path) -> list[int]:
    """Fork a process per rank, each with one thread, and return their process ids."""
    torch.set_num_threads(1)
    children = []
    for rank in range(ranks):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                rank_main(rank, folder)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    return children


def exit_code(children: Iterable[int]) -> int:
    """Wait for processes and return their largest exit code."""
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
