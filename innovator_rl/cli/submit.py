"""Train as a job on a Ray cluster.

    innovator submit configs/train/demo.yaml schedule.steps=5 --dry-run     # list the upload and the command
    innovator submit configs/train/demo.yaml --address http://10.0.0.1:8265 --follow

The command prints the equal `ray job submit` line. The nodes of the cluster must have this project's environment
installed and reach the runs directory (INNOVATOR_RUNS_DIR, or `logging.runs_dir` below the current directory) under
the same path.
"""

import sys
from typing import Annotated

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.parameters import Overrides
from innovator_rl.jobs.package import megabytes
from innovator_rl.jobs.submit import DEFAULT_ADDRESS, follow, plan_job
from innovator_rl.jobs.submit import submit as submit_job


def submit(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file inside the current directory.",
            autocompletion=completion.configurations("train"),
        ),
    ],
    overrides: Overrides = None,
    address: Annotated[
        str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="Address of the cluster's Ray dashboard.")
    ] = DEFAULT_ADDRESS,
    follow_output: Annotated[bool, typer.Option("--follow", help="Print the output of the job until it ends.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the upload and the command, start nothing.")
    ] = False,
) -> None:
    """Upload the code and the configuration, and start `innovator train` on a cluster."""
    job = plan_job(config, overrides or [], address)
    typer.echo(f"upload: {len(job.package.files)} files, {megabytes(job.package.size)} from {job.package.root}")
    typer.echo(f"run:    {job.run_path}")
    typer.echo(f"equals: {job.command_line}")
    if dry_run:
        for name, size in job.package.biggest():
            typer.echo(f"        {megabytes(size):>10}  {name}")
        return
    submission = submit_job(job)
    typer.echo(f"job:    {submission} at {address}")
    if not follow_output:
        typer.echo(f"watch:  innovator runs show {job.config.name}  |  ray job logs --follow {submission}")
        return

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    status = follow(address, submission, write)
    typer.echo(f"job {submission}: {status}")
    raise typer.Exit(0 if status == "SUCCEEDED" else 1)
