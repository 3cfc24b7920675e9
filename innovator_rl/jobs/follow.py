"""Print a job's output until it ends, across connections that break.

The job runs on the cluster whether someone looks or not. After a lost connection the output is read again from its
beginning, as Ray's interface wants it, and what was printed before is left out. A job counts as ended only when the
cluster says so; where it does not answer for a while, the command ends with the words that look at the job later.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from innovator_rl.errors import WorkerError
from innovator_rl.jobs.connection import client

TERMINAL = ("SUCCEEDED", "FAILED", "STOPPED")
PATIENCE_SECONDS = 600.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 15.0


class ConnectionGone(WorkerError):
    """The cluster did not answer for `PATIENCE_SECONDS`; the job may still run."""


class JobClient(Protocol):
    """What is used of Ray's job client."""

    def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """Yield the output of a job from its beginning, and what it adds."""

    def get_job_logs(self, job_id: str) -> str:
        """Return the output of a job so far."""

    def get_job_status(self, job_id: str) -> Any:
        """Return a job's status."""


def follow(
    address: str,
    submission_id: str,
    write: Callable[[str], object],
    note: Callable[[str], object] = lambda line: None,
    *,
    connect: Callable[[str], JobClient] = client,
    patience: float = PATIENCE_SECONDS,
    pause: float = FIRST_PAUSE_SECONDS,
) -> str:
    """Pass a job's output to `write` until it ends.

    Args:
        address: Ray dashboard of the cluster.
        submission_id: Name of the job.
        write: Called with each piece of output, once.
        note: Called with a sentence when the connection is lost and when it is back.
        connect: Makes the client.
        patience: Seconds without an answer after which to give up.
        pause: Seconds before the first further try; each later one doubles them.

    Returns:
        SUCCEEDED, FAILED or STOPPED.

    Raises:
        ConnectionGone: The cluster stopped answering.
    """
    shown, wait, lost = 0, pause, None
    jobs: JobClient | None = connect(address)  # a first connection that fails is the user's mistake
    while True:
        try:
            jobs = jobs or connect(address)
            before = shown
            shown = asyncio.run(_copy(jobs, submission_id, shown, write))
            status = str(getattr(found := jobs.get_job_status(submission_id), "value", found))
            if status in TERMINAL:
                if lost is not None:
                    note("connected again")
                # The output may have ended early, just before the job did.
                with contextlib.suppress(Exception):
                    if rest := jobs.get_job_logs(submission_id)[shown:]:
                        write(rest)
                return status
            answered = True
            reason = "the output ended early"
        except Exception as error:  # the client raises the errors of three libraries; each means the same
            before, answered, jobs = shown, False, None
            shown = error.shown if isinstance(error, _Broken) else shown
            reason = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]
        now = time.monotonic()
        if answered or shown > before:
            if lost is not None:
                note("connected again")
            wait, lost = pause, None
        if not answered:
            if lost is None:
                note(f"connection lost ({reason}); the job goes on, trying again")
                lost = now
            elif now - lost > patience:
                raise ConnectionGone(
                    f"{address} has not answered for {now - lost:.0f} s; job {submission_id} may still run: "
                    f"`innovator runs show {submission_id} --address {address}` looks later"
                )
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_PAUSE_SECONDS)


class _Broken(Exception):
    """A connection that ended with an error after `shown` characters of the output."""

    def __init__(self, shown: int) -> None:
        super().__init__()
        self.shown = shown


async def _copy(jobs: JobClient, submission_id: str, shown: int, write: Callable[[str], object]) -> int:
    """Write the output after its first `shown` characters, and return how many were shown in all."""
    seen = 0
    try:
        async for text in jobs.tail_job_logs(submission_id):
            new = text[max(0, shown - seen) :]
            seen += len(text)
            if new:
                write(new)
                shown = seen
    except Exception as error:
        raise _Broken(shown) from error
    return shown
