"""Run a Python program in the sandbox that also runs the programs of coding tasks."""

from __future__ import annotations

import os

from rewards.code.sandbox.executor import Sandbox
from rewards.code.sandbox.layers import probe_isolation
from rewards.code.sandbox.limits import Limits

MAX_PROGRAM_CHARS = 20_000
OUTPUT_BYTES = 64 * 1024
START_SECONDS = 10.0
"""What starting the sandbox may take on a busy machine, in addition to the program's own time."""


class Python:
    """The tool `python`, with one warm sandbox per process.

    Args:
        code_isolation: Level of isolation below which programs are refused: standard, strict or none.
        timeout_seconds: Wall seconds of a program.
        memory_mb: Memory of a program.

    Attributes:
        call_seconds: Seconds after which a whole call counts as hung.
    """

    def __init__(self, code_isolation: str = "standard", timeout_seconds: float = 10.0, memory_mb: int = 512) -> None:
        self.refused = code_isolation != "none" and bool(probe_isolation().missing(code_isolation))  # type: ignore[arg-type]
        self.call_seconds = timeout_seconds + START_SECONDS
        self.limits = Limits(
            seconds=timeout_seconds,
            wall_seconds=timeout_seconds,
            memory_mb=min(memory_mb, 512),
            output_bytes=OUTPUT_BYTES,
        )
        self._sandbox: Sandbox | None = None
        self._owner = 0

    def __call__(self, code: str) -> str:
        """Run a Python program and return what it prints.

        Args:
            code: The program, standard library only. Print what you want to read.
        """
        if self.refused:
            raise PermissionError("programs are refused on this machine: it does not isolate them")
        if len(code) > MAX_PROGRAM_CHARS:
            raise ValueError(f"the program has {len(code)} characters; at most {MAX_PROGRAM_CHARS} are run")
        if self._sandbox is None or self._owner != os.getpid():
            self._sandbox, self._owner = Sandbox(), os.getpid()
        with self._sandbox.open(code, limits=self.limits) as solution:
            run = solution.run(b"")
        printed = run.stdout.decode("utf-8", "replace").rstrip()
        if run.ending != "finished":
            failed = f"error: {run.ending.replace('_', ' ')}" + (f", {run.detail}" if run.detail else "")
            return f"{printed}\n{failed}".strip()
        return printed or "(the program printed nothing; print what you want to read)"
