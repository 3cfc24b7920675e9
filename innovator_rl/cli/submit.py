"""Train as a job on a Ray cluster.

    innovator submit configs/train/demo.yaml schedule.steps=5 --dry-run     # list the upload and the command
    innovator submit configs/train/demo.yaml --address http://10.0.0.1:8265 --follow
    innovator submit configs/train/demo.yaml --secret WANDB_API_KEY logging.wandb=true

The configuration is checked before anything is uploaded. The command prints the equal `ray job submit` line. The nodes
of the cluster must have this project's environment installed and reach the runs directory (INNOVATOR_RUNS_DIR, or
`logging.runs_dir` below the current directory) under the same path. The same command again resumes the run.
"""

import sys
from typing import Annotated

import typer

from innovator_rl.cli import completion
from innovator_rl.cli.parameters import Overrides
from innovator_rl.config import load
from innovator_rl.integrations.verl.checkpoints import latest_complete
from innovator_rl.jobs.connection import DEFAULT_ADDRESS
from innovator_rl.jobs.follow import ConnectionGone, follow
from innovator_rl.jobs.package import megabytes
from innovator_rl.jobs.preflight import require_ready
from innovator_rl.jobs.submit import Job, plan_job
from innovator_rl.jobs.submit import submit as submit_job
from innovator_rl.packaged_files import find_config
from innovator_rl.runs.run_dir import RunDir


def submit(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file inside the current directory, or the name of one in configs/train.",
            autocompletion=completion.configurations("train"),
        ),
    ],
    overrides: Overrides = None,
    address: Annotated[
        str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="Address of the cluster's Ray dashboard.")
    ] = DEFAULT_ADDRESS,
    follow_output: Annotated[bool, typer.Option("--follow", help="Print the output of the job until it ends.")] = False,
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="NAME", help="A secret that the job looks up on its nodes; repeat for more."),
    ] = None,
    remote_paths: Annotated[
        bool, typer.Option("--remote-paths", help="Accept absolute paths that only the cluster's nodes have.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, print the upload and the command, start nothing.")
    ] = False,
) -> None:
    """Check a run, upload the code and the configuration, and start `innovator train` on a cluster."""
    words = list(overrides or [])
    file = str(find_config(config, "train"))
    for finding in require_ready(load(file, words), remote_paths):
        typer.echo(f"innovator: {finding.line()}", err=True)
    job = plan_job(file, words, address, secrets=secret or ())
    typer.echo(f"upload: {len(job.package.files)} files, {megabytes(job.package.size)} from {job.package.root}")
    found = latest_complete(RunDir(job.run_path).checkpoints)
    typer.echo(f"run:    {job.run_path}{f' (resumes after step {found.step})' if found else ''}")
    typer.echo(f"equals: {job.command_line}")
    if dry_run:
        for name, size in job.package.biggest():
            typer.echo(f"        {megabytes(size):>10}  {name}")
        return
    submission = submit_job(job)
    typer.echo(f"job:    {submission} at {address}")
    if follow_output:
        raise typer.Exit(_follow(job, address, submission))
    typer.echo(
        f"watch:  innovator runs show {job.config.name} --address {address}  |  ray job logs --follow {submission}"
    )


def _follow(job: Job, address: str, submission: str) -> int:
    """Print the job's output, and return the exit code of the command."""

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        status = follow(address, submission, write, lambda line: typer.echo(f"innovator: {line}", err=True))
    except ConnectionGone as gone:
        typer.echo(f"innovator: {gone}", err=True)
        return 1
    except KeyboardInterrupt:
        typer.echo(
            f"innovator: job {submission} goes on; `innovator runs stop {job.config.name} --address {address}` ends it",
            err=True,
        )
        return 130
    typer.echo(f"job {submission}: {status}")
    return 0 if status == "SUCCEEDED" else 1
