"""Run a training as a Ray job: plan, submit, follow and stop it.

`plan_job` needs no cluster: it checks the configuration, measures the upload and describes the job. What a job reads
relative to the checkout but does not upload (built data, converted models) is passed as an absolute path, and so is the
directory of runs, because Ray deletes the uploaded copy.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from innovator_rl.config import RunConfig, load
from innovator_rl.errors import UserError
from innovator_rl.jobs.package import EXCLUDES, Upload, measure
from innovator_rl.runs.files import dump_json
from innovator_rl.runs.provenance import git_state
from innovator_rl.runs.run_dir import RUNS_DIR_VARIABLE, RunDir, page_link, resolve_runs_dir

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
# Ray stops a job with SIGTERM and kills it three seconds later; a run needs until its step's end and a checkpoint.
STOP_SECONDS = 600
# A head node answers some seconds before the agent that starts its jobs does.
AGENT_SECONDS, NO_AGENT = 90, "No available agent"


@dataclass(frozen=True)
class Job:
    """A run in the form of Ray's job API."""

    config: RunConfig
    address: str
    submission_id: str
    entrypoint: str
    runtime_env: dict[str, Any]
    package: Upload = field(repr=False)
    run_path: Path = Path()

    @property
    def command_line(self) -> str:
        """Return the `ray job submit` line that does the same."""
        environment = {name: value for name, value in self.runtime_env.items() if name != "working_dir"}
        words = ["ray", "job", "submit", "--address", self.address, "--submission-id", self.submission_id]
        words += ["--working-dir", self.runtime_env["working_dir"], "--runtime-env-json", dump_json(environment)]
        return f"{shlex.join([*words, '--no-wait'])} -- {self.entrypoint}"


def plan_job(
    config_path: str | Path,
    overrides: Sequence[str] = (),
    address: str = DEFAULT_ADDRESS,
    working_dir: Path | None = None,
) -> Job:
    """Describe the job that trains a configuration; start nothing.

    Raises:
        UserError: for mistakes in the configuration, one outside the working directory, a run of the same name that is
            being written, or an upload that is too large.
    """
    root = (working_dir or Path.cwd()).absolute()
    path = Path(config_path).absolute()
    config = load(path, overrides)
    runs_dir = resolve_runs_dir(config.logging.runs_dir)
    run = RunDir(runs_dir / config.name)
    state = run.state()
    if state.live:
        raise UserError(
            f"run {config.name!r} is {state.status} (process {state.record.get('pid')} on {state.record.get('host')}): "
            f"`innovator runs stop {config.name}` ends it, name=OTHER starts another run"
        )
    excludes = list(EXCLUDES)
    if runs_dir.is_relative_to(root) and runs_dir != root:
        excludes.append(f"/{runs_dir.relative_to(root).as_posix()}")
    package = measure(root, excludes)
    package.require_size()
    if not package.includes(path):
        raise UserError(
            f"{path} is not among the files uploaded from {root}: put the configuration into that directory "
            "(configs/train/ is the place), where no ignore file leaves it out"
        )
    words = [*overrides, *absolute_overrides(config, root, package)]
    entrypoint = shlex.join(["innovator", "train", path.relative_to(root).as_posix(), *words])
    environment = {
        RUNS_DIR_VARIABLE: str(runs_dir),
        "INNOVATOR_RAY_DASHBOARD": address,
        "RAY_JOB_STOP_SIGNAL": "SIGINT",
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
    }
    revision = git_state(root)["revision"]
    if revision:
        environment["INNOVATOR_GIT_REVISION"] = revision
    runtime_env = {"working_dir": str(root), "excludes": excludes, "env_vars": environment}
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Job(config, address, f"{config.name}-{stamp}", entrypoint, runtime_env, package, run.path)


def absolute_overrides(config: RunConfig, root: Path, package: Upload) -> list[str]:
    """Return `key=value` overrides for relative paths that exist but are not uploaded.

    A job reads them in place, under their absolute path.
    """

    def in_place(entry: str) -> str:
        there = root / entry
        return str(there) if not Path(entry).is_absolute() and there.exists() and not package.includes(there) else entry

    def built(entry: str, split: str) -> str:
        # A dataset's name means its built file where there is one; data/ is not uploaded, so the name alone would
        # train on the sample that is.
        there = root / "data" / entry / f"{split}.parquet"
        return str(there) if "/" not in entry and there.is_file() else in_place(entry)

    words = []
    if (moved := in_place(config.model.path)) != config.model.path:
        words.append(f"model.path={moved}")
    for key, entries, split in (
        ("data.train", config.data.train, "train"),
        ("data.validation", config.data.validation, "validation"),
    ):
        files = [built(entry, split) for entry in entries]
        if files != list(entries):
            words.append(f"{key}={yaml.safe_dump(files, default_flow_style=True, width=10**6).strip()}")
    return words


def client(address: str) -> Any:
    """Return Ray's job client.

    Raises:
        UserError: Nothing answers at the address.
    """
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"--address {address}: no Ray dashboard answers there ({reason}); "
            f"`ray start --head` starts one at {DEFAULT_ADDRESS}"
        ) from error


def submit(job: Job) -> str:
    """Upload and start a job, and return its submission id.

    Raises:
        UserError: The cluster cannot start jobs.
    """
    page = page_link(RunDir(job.run_path))
    metadata = {"run": job.config.name, "run_dir": str(job.run_path), "dashboard": page}
    jobs = client(job.address)
    deadline = time.monotonic() + AGENT_SECONDS
    while True:
        try:
            return str(
                jobs.submit_job(
                    entrypoint=job.entrypoint,
                    submission_id=job.submission_id,
                    runtime_env=dict(job.runtime_env),
                    metadata=metadata,
                )
            )
        except RuntimeError as error:
            if NO_AGENT not in str(error):
                raise
            if time.monotonic() > deadline:
                raise UserError(
                    f"--address {job.address}: the cluster runs no job agent after {AGENT_SECONDS} s; "
                    "see dashboard_agent.log in its log folder"
                ) from error
            time.sleep(1.0)


def follow(address: str, submission_id: str, write: Callable[[str], object]) -> str:
    """Pass a job's output to `write` until it ends.

    Returns:
        SUCCEEDED, FAILED or STOPPED.
    """
    jobs = client(address)

    async def copy() -> None:
        async for text in jobs.tail_job_logs(submission_id):
            write(text)

    asyncio.run(copy())
    return str(jobs.get_job_status(submission_id).value)


def stop(address: str, submission_id: str) -> bool:
    """Stop a job: SIGINT, and a kill after STOP_SECONDS.

    Returns:
        False when it was not running.
    """
    return bool(client(address).stop_job(submission_id))
