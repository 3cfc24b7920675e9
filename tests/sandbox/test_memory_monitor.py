"""The wall time of a run is a guard against programs that sleep, on a busy machine too."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewards.code.sandbox import memory_monitor
from rewards.code.sandbox.memory_monitor import MAX_STRETCH, MemoryMonitor

WALL = 1.0
SUPERVISOR = """
import subprocess, sys, time
program = subprocess.Popen(["sh", "-c", sys.argv[1]])
print(program.pid, flush=True)
time.sleep(60)  # it never asks how the program ended
"""


@contextlib.contextmanager
def monitored(program: str, state: str) -> Iterator[MemoryMonitor]:
    """Monitor a shell program where a run stands: a process below the supervisor, which is below the root.

    Args:
        program: The program.
        state: What to wait for: the end of its name and its state, as /proc has them.
    """
    words = ["sh", "-c", '"$@" & wait', "root", sys.executable, "-c", SUPERVISOR, program]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as root:
        try:
            assert root.stdout is not None
            stat = Path(f"/proc/{int(root.stdout.readline())}/stat")
            deadline = time.monotonic() + 30
            while state not in stat.read_text():
                assert time.monotonic() < deadline, "the program did not get there"
                time.sleep(0.02)
            yield MemoryMonitor(root.pid, 512, None)
        finally:
            for pid in memory_monitor._descendants(root.pid):
                with contextlib.suppress(ProcessLookupError):
                    subprocess.run(["kill", "-9", str(pid)], check=False, stderr=subprocess.DEVNULL)


def test_a_program_that_sleeps_is_late() -> None:
    with monitored("exec sleep 60", "sleep) S") as monitor:
        assert not monitor.late(0.9 * WALL, WALL)
        assert monitor.late(1.5 * WALL, WALL)


def test_what_waited_for_a_processor_is_not_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    with monitored("exec sleep 60", "sleep) S") as monitor:
        monitor.waited = 0.0
        monkeypatch.setattr(memory_monitor, "_waited_for_processor", lambda thread: 1.0 * ("self" not in thread))
        assert not monitor.late(1.9 * WALL, WALL), "the program waited a second"
        assert monitor.late(2.1 * WALL, WALL)
        monkeypatch.setattr(memory_monitor, "_waited_for_processor", lambda thread: 2.0 * ("self" in thread))
        assert not monitor.late(2.9 * WALL, WALL), "its monitor waited two seconds"
        assert monitor.late(3.1 * WALL, WALL)


def test_a_program_with_work_to_do_is_not_late_before_the_very_last() -> None:
    with monitored("while :; do :; done", ") R") as monitor:
        assert not monitor.late(5 * WALL, WALL)
        assert monitor.late(1.01 * MAX_STRETCH * WALL, WALL)


def test_a_program_that_ended_is_not_late() -> None:
    with monitored("exit 3", ") Z") as monitor:
        assert not monitor.late(5 * WALL, WALL), "its report is on the way"
