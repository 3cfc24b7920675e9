"""Bound every phase of a step, and name the cause when one hangs.

The start, log-probabilities, updates, weight syncs and checkpoints are calls to other processes without a limit: a frozen process or a
collective that never ends would hold the run for ever, with a heartbeat that says all is well. A thread watches the phase
that the trainer is in. After three times the longest such phase so far (at least a minute) it says what stands still; after
ten times (at least half an hour) it ends the run by ending the workers that the trainer waits for. The first phase of a kind
has no history: it is remarked after ten minutes and may take four hours.

Generation may take any time, and the sampler that waits for it looks at its queue every two seconds or more often. Each look is a
`beat`; where they stop, the sampler itself waits for a frozen worker or queue, and the same limits count from the last beat.

Where ended workers do not free the trainer within two minutes, nothing of the run can be trusted to end it: `abandon` records
the cause and ends the process.

    with Watchdog(notice=print, end=kill_workers, cause=stopped_processes, abandon=record_and_exit) as watchdog:
        watchdog.enter("updating")
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

from innovator_rl.errors import EngineError
from innovator_rl.runs.files import duration

WATCHED = ("starting", "pausing", "log-probabilities", "updating", "syncing", "saving")
BEATING = {"generating": 60.0, "validating": 600.0}
"""Phase whose beats are watched -> seconds without a beat before it is remarked; a validation also sums up its responses."""
REMARK_FACTOR, REMARK_SECONDS, FIRST_REMARK_SECONDS = 3.0, 60.0, 600.0
END_FACTOR, END_SECONDS, FIRST_END_SECONDS = 10.0, 1800.0, 4 * 3600.0
ABANDON_SECONDS = 120.0
LOOK_SECONDS = 5.0


class PhaseStalled(EngineError):
    """A phase that took many times as long as ever before."""


class Watchdog:
    """The phase that the trainer is in, and a thread that looks at it every few seconds."""

    def __init__(
        self,
        notice: Callable[[str], None],
        end: Callable[[], None],
        cause: Callable[[], str],
        abandon: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notice, self._end, self._cause, self._abandon, self._clock = notice, end, cause, abandon, clock
        self._longest: dict[str, float] = {}
        self._phase, self._since, self._remarked = "", clock(), False
        self._ended: float | None = None  # when the workers were ended
        self._over = threading.Event()
        self.stalled = ""
        """Why the run was ended; empty where it was not."""

    def enter(self, phase: str) -> None:
        """Begin a phase; the one before is over."""
        now = self._clock()
        if self._phase in WATCHED:
            self._longest[self._phase] = max(now - self._since, self._longest.get(self._phase, 0.0))
        self._phase, self._since, self._remarked = phase, now, False

    def beat(self) -> None:
        """Note that a phase which may take any time goes on."""
        self._since, self._remarked = self._clock(), False

    def limits(self, phase: str) -> tuple[float, float]:
        """Return after how many seconds a phase is remarked and ended."""
        if phase in BEATING:
            return BEATING[phase], END_SECONDS
        if phase not in self._longest:
            return FIRST_REMARK_SECONDS, FIRST_END_SECONDS
        longest = self._longest[phase]
        return max(REMARK_SECONDS, REMARK_FACTOR * longest), max(END_SECONDS, END_FACTOR * longest)

    def look(self) -> None:
        """Compare the phase with its limits: remark it once, end it once, and abandon a run that does not end."""
        phase, waited = self._phase, self._clock() - self._since
        if self._ended is not None and self._clock() - self._ended > ABANDON_SECONDS:
            self._abandon(self.stalled)
        if (phase not in WATCHED and phase not in BEATING) or self.stalled:
            return
        remark, end = self.limits(phase)
        if waited <= remark:
            return
        longest = self._longest.get(phase)
        usual = f"the longest before took {duration(longest)}" if longest is not None else "it is the first"
        what = f"{phase} has taken {duration(waited)}; {usual}"
        if phase in BEATING:
            what = f"{phase} has stood still for {duration(waited)}: the trainer waits for its queue or for a worker"
        if waited > end:
            self.stalled = f"{what}; {self._cause() or 'no process is visibly stopped'}"
            self._ended = self._clock()
            self._end()
        elif not self._remarked:
            self._remarked = True
            self._notice(f"{what}; {self._cause() or 'no process is visibly stopped'}; the run ends at {duration(end)}")

    def __enter__(self) -> Watchdog:
        threading.Thread(target=self._watch, name="phase-watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with contextlib.suppress(Exception):  # a look that fails must not end the run
                self.look()


def stopped_processes() -> str:
    """Name the processes below this one that are stopped (by a signal or a debugger); empty where none is."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
                title = " ".join(process.cmdline()[:1]) or process.name()
                found.append(f"{title} ({process.pid})")
    return f"stopped: {', '.join(found[:5])}" if found else ""
