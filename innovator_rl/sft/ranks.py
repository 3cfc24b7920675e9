"""Start the training processes of this machine, follow what rank 0 reports, and end all of them together."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from innovator_rl.config.nodes import node_rank
from innovator_rl.errors import EngineError

WORKER = "innovator_rl.integrations.verl.sft_worker"
EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Failure)\b(:|$)")
POLL_SECONDS = 0.2
LAST_SECONDS = 60.0
"""How long the other ranks may take after the first one has ended."""


class Ranks:
    """The ranks of this machine.

    Args:
        run_dir: The run, with verl.yaml.
        local: Ranks of this machine.
        nodes: Machines; above 1, MASTER_ADDR and NODE_RANK must be set.
        environment: Of every rank.
        rendezvous: A file that does not exist yet, by which the ranks of one machine find each other.
    """

    def __init__(self, run_dir: Path, local: int, nodes: int, environment: Mapping[str, str], rendezvous: Path) -> None:
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._processes: list[subprocess.Popen[str]] = []
        self._logs = run_dir / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        node = node_rank(nodes)
        for rank in range(local):
            variables = {
                **os.environ,
                **environment,
                "RANK": str(node * local + rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(nodes * local),
                "LOCAL_WORLD_SIZE": str(local),
                "PYTHONUNBUFFERED": "1",  # the log's lines in the order of what happened
            }
            if nodes == 1:
                variables |= {
                    "DIST_INIT_METHOD": f"file://{rendezvous}",
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": "0",
                }
            self._start(run_dir, node * local + rank, variables)

    def _start(self, run_dir: Path, rank: int, variables: dict[str, str]) -> None:
        passed: tuple[int, ...] = ()
        if rank == 0:
            reading, writing = os.pipe()
            variables["INNOVATOR_EVENTS_FD"], passed = str(writing), (writing,)
            threading.Thread(target=self._follow, args=(reading,), name="sft-events", daemon=True).start()
        with self.log(rank).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(run_dir)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=passed,
                env=variables,
                text=True,
                start_new_session=True,  # Ctrl-C is the launcher's to handle
            )
        for descriptor in passed:
            os.close(descriptor)
        self._processes.append(process)

    def log(self, rank: int) -> Path:
        """Return where a rank's output goes."""
        return self._logs / ("driver.log" if rank == 0 else f"rank-{rank}.log")

    def _follow(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8") as pipe:
            for line in pipe:
                with contextlib.suppress(ValueError):
                    self._events.put(json.loads(line))

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what rank 0 reports until every rank has ended.

        Raises:
            EngineError: A rank failed; the others have been ended.
        """
        first_end: float | None = None
        while True:
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=POLL_SECONDS)
                if event is not None:
                    yield event
                continue
            codes = [process.poll() for process in self._processes]
            failed = next((rank for rank, code in enumerate(codes) if code not in (None, 0)), None)
            if failed is not None:
                self.end()
                raise EngineError(self._cause(failed, codes[failed]))
            if all(code == 0 for code in codes):
                return
            if any(code == 0 for code in codes):
                first_end = first_end or time.monotonic()
                if time.monotonic() - first_end > LAST_SECONDS:
                    self.end()
                    raise EngineError(
                        f"a rank did not end within {LAST_SECONDS:g} s of the first one; see {self._logs}"
                    )

    def _cause(self, rank: int, code: int | None) -> str:
        last = last_error(self.log(rank).read_text(encoding="utf-8", errors="replace"))
        signal = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
        return f"rank {rank} ended with {signal}: {last}; see {self.log(rank)}"

    def stop(self) -> None:
        """Ask every rank to end after its update, with a checkpoint."""
        for process in self._processes:
            if process.stdin is not None:
                with contextlib.suppress(OSError, ValueError):
                    process.stdin.write("stop\n")
                    process.stdin.flush()

    def end(self) -> None:
        """End every rank at once."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        for process in self._processes:
            process.wait()
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()


def last_error(text: str) -> str:
    """Return the line of a rank's output that says why it ended: the last exception, or the last line."""
    lines = [line for line in text.splitlines() if line.strip()]
    raised = (line for line in reversed(lines) if EXCEPTION.match(line))
    return next(raised, lines[-1] if lines else "no output").strip()[:300]
