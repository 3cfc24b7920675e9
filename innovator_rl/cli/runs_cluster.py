"""Show the jobs of a cluster next to the recorded runs."""

from __future__ import annotations

from typing import Any

import typer

from innovator_rl.errors import UserError
from innovator_rl.jobs.cluster_jobs import ClusterJob, cluster_jobs, find_job
from innovator_rl.runs.files import dump_json, duration


def with_cluster(rows: list[dict[str, Any]], address: str) -> list[dict[str, Any]]:
    """Add the jobs of a cluster that no recorded run describes, the jobs first.

    A cluster that does not answer is reported on standard error; the recorded runs are listed all the same.

    Args:
        rows: The recorded runs, as `runs list --json` writes them.
        address: Ray dashboard of the cluster.
    """
    try:
        jobs = cluster_jobs(address)
    except UserError as error:
        typer.echo(f"innovator: {error}", err=True)
        return rows
    recorded = {row["path"] for row in rows} | {row["ray_submission_id"] for row in rows}
    shown, seen = [], set()
    for job in jobs:
        key = job.run_dir or job.submission_id
        # A live job is shown although an earlier attempt of its run is recorded: it has not taken the directory yet.
        known = job.submission_id in recorded or (key in recorded and not _waits(job, rows))
        if not known and key not in seen:
            shown.append(_row(job))
        seen.add(key)
    return [*shown, *rows]


def _waits(job: ClusterJob, rows: list[dict[str, Any]]) -> bool:
    ended = any(row["path"] == job.run_dir and row["status"] not in ("starting", "running") for row in rows)
    return job.live and ended


def _row(job: ClusterJob) -> dict[str, Any]:
    return {
        "name": job.run or job.submission_id,
        "path": job.run_dir,
        "status": job.status.lower(),
        "detail": job.sentence() if job.status == "PENDING" else job.cause,
        "step": 0,
        "total_steps": None,
        "steps": "",
        "phase": "",
        "attempt": "",
        "heartbeat_age": None,
        "created": None,
        "host": None,
        "pid": None,
        "ray_submission_id": job.submission_id,
        "reward": None,
    }


def show_job(name: str, address: str, as_json: bool) -> None:
    """Print what a cluster knows of a run that is not recorded here."""
    job = find_job(address, name)
    if as_json:
        typer.echo(dump_json(_row(job), indent=1))
        return
    typer.echo(f"{job.run or job.submission_id}: {job.sentence()}, {duration(job.seconds)} after its start")
    typer.echo(f"job        {job.submission_id} at {address}; `ray job logs {job.submission_id}` has its output")
    if job.run_dir:
        typer.echo(f"directory  {job.run_dir}, which this machine does not have")
