"""Define what one run may use, and how a run can end."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

Ending = Literal[
    "finished",
    "time_limit_exceeded",
    "memory_limit_exceeded",
    "output_limit_exceeded",
    "runtime_error",
    "compile_error",
    "forbidden",
]


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of a run.

    Attributes:
        seconds: Processor time.
        wall_seconds: Wall time, by default twice the processor time and a second more, for a program that sleeps.
        memory_mb: MiB of the whole tree of processes.
        output_bytes: Bytes of each output stream.
        processes: Processes at the same time.
        files: Open files.
        file_mb: MiB of one file; all of /tmp together has `executor.SCRATCH_MB`.
    """

    seconds: float = 5.0
    wall_seconds: float | None = None
    memory_mb: int = 512
    output_bytes: int = 8 * 2**20
    processes: int = 80
    files: int = 256
    file_mb: int = 16

    @property
    def wall(self) -> float:
        """Seconds after which a run ends whatever it does."""
        return 2 * self.seconds + 1 if self.wall_seconds is None else self.wall_seconds

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the other side."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Run:
    """How a run ended and what it wrote.

    Attributes:
        ending: How it ended.
        stdout: Its standard output.
        stderr: Its standard error.
        status: The exit code, negative for a signal.
        cpu: Processor seconds.
        wall: Wall seconds.
        memory: The largest resident size in bytes.
        detail: What happened, in a few words.
    """

    ending: Ending
    stdout: bytes = b""
    stderr: bytes = b""
    status: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    memory: int = 0
    detail: str = ""


class SandboxFailure(Exception):
    """A sandbox that could not do its work, whatever the program."""
