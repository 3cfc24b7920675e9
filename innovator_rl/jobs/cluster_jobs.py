"""List the runs of a cluster by its jobs, also those that have no run directory yet or on this machine.

A job that `innovator submit` started carries the run's name and directory as metadata. `runs list`, `show` and `stop`
use this module where an address is given, by `--address` or RAY_API_SERVER_ADDRESS.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.jobs.connection import call, client

LIVE = ("PENDING", "RUNNING")
PENDING_SECONDS = 30.0
"""After this time a pending job is explained: the cluster has no slot for its driver, or installs its environment."""


@dataclass(frozen=True)
class ClusterJob:
    """One job of a cluster; `run` and `run_dir` are empty where another tool submitted it."""

    submission_id: str
    status: str
    run: str
    run_dir: str
    cause: str
    seconds: float

    @property
    def live(self) -> bool:
        """Return whether it waits or runs."""
        return self.status in LIVE

    def sentence(self) -> str:
        """Return status and cause in one line."""
        if self.status == "PENDING" and self.seconds > PENDING_SECONDS:
            return (
                f"PENDING for {self.seconds:.0f} s: the head node has no free CPU slot for the job's driver, or is still "
                "unpacking the upload"
            )
        return f"{self.status}: {self.cause}" if self.cause and not self.live else self.status


def cluster_jobs(address: str, connection: Any = None) -> list[ClusterJob]:
    """Return the submitted jobs of a cluster, newest first.

    Args:
        address: Ray dashboard of the cluster.
        connection: A client that exists already.

    Raises:
        UserError: The cluster does not answer.
    """
    jobs = connection or client(address)
    details = call(address, jobs.list_jobs)
    found = [
        (
            int(job.start_time or 0),
            ClusterJob(
                submission_id=str(job.submission_id),
                status=str(getattr(job.status, "value", job.status)),
                run=str((job.metadata or {}).get("run", "")),
                run_dir=str((job.metadata or {}).get("run_dir", "")),
                cause=one_line(job.message or ""),
                seconds=max(0.0, time.time() - (job.start_time or 0) / 1000),
            ),
        )
        for job in details
        if job.submission_id
    ]
    return [job for _, job in sorted(found, key=lambda pair: -pair[0])]


def find_job(address: str, run: str) -> ClusterJob:
    """Return the newest job of a run.

    Args:
        address: Ray dashboard of the cluster.
        run: Name of the run, or submission id of the job.

    Raises:
        UserError: The cluster has no such job.
    """
    jobs = cluster_jobs(address)
    found = next((job for job in jobs if run in (job.run, job.submission_id)), None)
    if found is None:
        known = ", ".join(dict.fromkeys(job.run or job.submission_id for job in jobs[:8])) or "none"
        raise UserError(f"run {run!r} not found among the jobs at {address}; there are: {known}")
    return found


def one_line(message: str) -> str:
    """Return the line of a job's message that names the cause: the last one that an exception or command printed.

    Ray's messages end with the tail of the driver's log, and a traceback's last line is the exception itself.
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith("innovator: ") and "details: " not in line]
    return (named or lines or [""])[-1].removeprefix("innovator: ")
