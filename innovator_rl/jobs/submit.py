"""Run a training as a Ray job: plan, submit and stop it.

`plan_job` needs no cluster: it checks the configuration, measures the upload and describes the job. What a job reads
relative to the checkout but does not upload (built data, converted models) is passed as an absolute path, and so is the
directory of runs, because Ray deletes the uploaded copy. A run that ended early is submitted again with the same
command, and continues from its last checkpoint.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from innovator_rl.config import RunConfig, load
from innovator_rl.errors import UserError
from innovator_rl.jobs.cluster_jobs import cluster_jobs
from innovator_rl.jobs.connection import DEFAULT_ADDRESS, call, client, load_token
from innovator_rl.jobs.package import EXCLUDES, Upload, measure
from innovator_rl.runs.files import dump_json
from innovator_rl.runs.provenance import git_state
from innovator_rl.runs.run_dir import RUNS_DIR_VARIABLE, RunDir, page_link, resolve_runs_dir
from innovator_rl.secret_values import NAME, SECRETS_VARIABLE, mask, written_out

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
        line = f"{shlex.join([*words, '--no-wait'])} -- {self.entrypoint}"
        return f"RAY_AUTH_MODE=token {line}" if load_token() else line


def plan_job(
    config_path: str | Path,
    overrides: Sequence[str] = (),
    address: str = DEFAULT_ADDRESS,
    working_dir: Path | None = None,
    secrets: Sequence[str] = (),
) -> Job:
    """Describe the job that trains a configuration; start nothing.

    Args:
        config_path: A YAML file inside the working directory.
        overrides: Settings to change, as `key=value`.
        address: Ray dashboard of the cluster.
        working_dir: Folder to upload; by default the current one.
        secrets: Names of secrets that the job looks up on its nodes; their values are never sent.

    Raises:
        UserError: for a secret's value on the command line, mistakes in the configuration, one outside the working
            directory, a run of the same name that is being written, or an upload that is too large.
    """
    root = (working_dir or Path.cwd()).absolute()
    path = Path(config_path).absolute()
    config = load(path, overrides)
    _require_references(overrides, secrets)
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
    moved = absolute_overrides(config, root, package)
    replaced = {word.partition("=")[0] for word in moved}
    words = [*(word for word in overrides if word.partition("=")[0].strip() not in replaced), *moved]
    entrypoint = shlex.join(["innovator", "train", path.relative_to(root).as_posix(), *words])
    environment = {
        RUNS_DIR_VARIABLE: str(runs_dir),
        "INNOVATOR_RAY_DASHBOARD": address,
        "RAY_JOB_STOP_SIGNAL": "SIGINT",
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
    }
    if secrets:
        environment[SECRETS_VARIABLE] = ",".join(dict.fromkeys(secrets))
    revision = git_state(root)["revision"]
    if revision:
        environment["INNOVATOR_GIT_REVISION"] = revision
    runtime_env = {"working_dir": str(root), "excludes": excludes, "env_vars": environment}
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Job(config, address, f"{config.name}-{stamp}", entrypoint, runtime_env, package, run.path)


def _require_references(overrides: Sequence[str], secrets: Sequence[str]) -> None:
    """Refuse the value of a secret where the cluster's page would show it, and a name that is none."""
    for masked in written_out(overrides):
        raise UserError(
            f"{masked!r} holds the value of a secret, which the cluster's page would show; write ${{env:NAME}} in its "
            "place and add --secret NAME"
        )
    for name in secrets:
        if not NAME.fullmatch(name):
            raise UserError(f"--secret {mask(name)!r} must be a name, for example WANDB_API_KEY, not a value")


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


def submit(job: Job) -> str:
    """Upload and start a job, and return its submission id.

    Raises:
        UserError: A job of this run is there already, or the cluster cannot start jobs.
    """
    page = page_link(RunDir(job.run_path))
    metadata = {"run": job.config.name, "run_dir": str(job.run_path), "dashboard": page}
    jobs = client(job.address)
    for other in cluster_jobs(job.address, jobs):
        if other.live and other.run_dir == str(job.run_path):
            raise UserError(
                f"job {other.submission_id} at {job.address} is {other.status} and writes run {job.config.name!r}: "
                f"`innovator runs stop {job.config.name} --address {job.address}` ends it, name=OTHER starts another run"
            )
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


def stop(address: str, submission_id: str) -> bool:
    """Stop a job: SIGINT, and a kill after STOP_SECONDS.

    Returns:
        False when it was not running.
    """
    jobs = client(address)
    return call(address, lambda: bool(jobs.stop_job(submission_id)))
