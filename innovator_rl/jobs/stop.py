"""Stop a run gracefully: it finishes the step and writes a checkpoint.

On the machine of the trainer that is SIGINT to the process in run.json, after making sure that it is that process.
Elsewhere it requires Ray, for runs that are Ray jobs.
"""

from __future__ import annotations

import signal
import time

from innovator_rl.errors import UserError
from innovator_rl.runs.provenance import find_process
from innovator_rl.runs.run_dir import RunDir, RunState


def stop_run(run: RunDir, address: str | None = None) -> str:
    """Request the end of a run.

    Returns:
        A sentence about where the request went.

    Raises:
        UserError: The run is not running, or cannot be reached from here.
    """
    state = run.state()
    if not state.live:
        raise UserError(
            f"run {run.name!r} is not running: {state.status}{f' ({state.detail})' if state.detail else ''}"
        )
    process = find_process(state.record)
    if process is not None:
        process.send_signal(signal.SIGINT)
        return f"process {process.pid} will stop after this step"
    submission, dashboard = state.record.get("ray_submission_id"), address or state.record.get("ray_dashboard")
    host = state.record.get("host")
    if not submission:
        raise UserError(f"run {run.name!r} is written by process {state.record.get('pid')} on {host}: stop it there")
    if not dashboard:
        raise UserError(
            f"run {run.name!r} is Ray job {submission} on {host}: give its cluster's dashboard, --address http://HOST:8265"
        )
    from innovator_rl.jobs.submit import stop

    if not stop(dashboard, submission):
        raise UserError(f"Ray at {dashboard} reports that job {submission} was not running")
    return f"Ray at {dashboard} will stop job {submission}"


def stop_job(name: str, address: str) -> str:
    """Request the end of a run that is known by its job alone.

    Args:
        name: Name of the run, or submission id of the job.
        address: Ray dashboard of the cluster.

    Returns:
        A sentence about where the request went.

    Raises:
        UserError: The cluster has no such job, or it has ended.
    """
    from innovator_rl.jobs.cluster_jobs import find_job
    from innovator_rl.jobs.submit import stop

    job = find_job(address, name)
    if not job.live or not stop(address, job.submission_id):
        raise UserError(f"job {job.submission_id} at {address} is not running: {job.sentence()}")
    return f"Ray at {address} will stop job {job.submission_id}"


def wait_until_over(run: RunDir, seconds: float, poll_seconds: float = 0.5) -> RunState:
    """Return the run's state when it is no longer live, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while (state := run.state()).live and time.monotonic() < deadline:
        time.sleep(poll_seconds)
    return state
