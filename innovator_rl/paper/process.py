"""Run a stage's command to its end, and never leave it behind.

    code = run_to_the_end(words, log, limit_seconds=3600, grace_seconds=60, started=note_id, report=print_progress)

The command runs as a child that ends with this process (`paper/child.py`) and prints to its log. An interrupt, an error
and a limit ask it to end, which lets it save its work; after a while it is ended by force.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

CHILD = "innovator_rl.paper.child"
POLL_SECONDS = 0.5
REPORT_SECONDS = 15.0


def stage_command(command: Sequence[str], launcher: Sequence[str] = ()) -> list[str]:
    """Return the words that run an `innovator` command as a child that ends with this process.

    Args:
        command: Words after `innovator`.
        launcher: Words before it, which start it on several hosts.
    """
    words = [*launcher, sys.executable, "-m", "innovator_rl"] if launcher else []
    return [sys.executable, "-m", CHILD, str(os.getpid()), *(["--", *words] if launcher else []), *command]


def run_to_the_end(
    words: Sequence[str],
    log: Path,
    limit_seconds: float,
    grace_seconds: float,
    started: Callable[[int], None],
    report: Callable[[float], None],
) -> int:
    """Run a command until it ends, and return its exit code.

    Args:
        words: The command.
        log: File that receives what it prints.
        limit_seconds: Longest time.
        grace_seconds: Time between the request to end and its end by force.
        started: Called with its process id.
        report: Called with the seconds that it has run, now and then.

    Raises:
        TimeoutError: It passed its limit, and was ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    start = reported = time.monotonic()
    try:
        started(child.pid)
        while child.poll() is None:
            now = time.monotonic()
            if now - start > limit_seconds:
                raise TimeoutError(f"{log.stem} passed its limit")
            if now - reported >= REPORT_SECONDS:
                reported = now
                report(now - start)
            time.sleep(POLL_SECONDS)
    finally:
        _end(child, grace_seconds)
    return child.returncode


def is_stage_process(process: int) -> bool:
    """Return whether a process id is one of a stage's command; ids are used again."""
    try:
        return process > 0 and CHILD in psutil.Process(process).cmdline()
    except psutil.Error:
        return False


def ended(process: int, seconds: float) -> bool:
    """Return whether a stage's process ends within some seconds."""
    deadline = time.monotonic() + seconds
    while is_stage_process(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, where this thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def last_line(log: Path) -> str:
    """Return the last line with text of a log, without terminal control codes; at most 200 characters."""
    try:
        with log.open("rb") as handle:
            handle.seek(0, os.SEEK_END)
            handle.seek(max(0, handle.tell() - 4096))
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    plain = ["".join(char for char in line if char.isprintable()) for line in lines if line]
    return plain[-1][:200] if plain else ""


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    """Ask a child that still runs to end, with everything it started; end it by force after a while."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
