"""Ending a run the way its trainer expects: it finishes the step, writes a checkpoint and says so in run.json.

On the machine of the trainer that is SIGINT to the process run.json describes, after making sure that it is that process.
Elsewhere it takes Ray, for runs that are Ray jobs.
"""

from __future__ import annotations

import signal
import time

from innovator_rl.errors import UserError
from innovator_rl.runs.provenance import find_process
from innovator_rl.runs.run_dir import RunDir, RunState


def stop_run(run: RunDir, address: str | None = None) -> str:
    """Ask a run to end; returns a sentence saying who was asked. Raises `UserError` when there is nobody to ask."""
    state = run.state()
    if not state.live:
        raise UserError(
            f"run {run.name!r} is not running: {state.status}{f' ({state.detail})' if state.detail else ''}"
        )
    process = find_process(state.record)
    if process is not None:
        process.send_signal(signal.SIGINT)
        return f"asked process {process.pid} to stop after this step"
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
        raise UserError(f"Ray at {dashboard} says that job {submission} was not running")
    return f"asked Ray at {dashboard} to stop job {submission}"


def wait_until_over(run: RunDir, seconds: float, poll_seconds: float = 0.5) -> RunState:
    """The run's state when it is no longer live, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while (state := run.state()).live and time.monotonic() < deadline:
        time.sleep(poll_seconds)
    return state
