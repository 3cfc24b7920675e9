"""Run stages on several ranks of one or more machines, or as Ray jobs.

`on_ranks` is torchrun in this process: it starts this machine's ranks, watches them and ends them all when one fails. `as_jobs`
submits one job per discipline to Ray's job API, because the experts of stage 1 are independent. Both run the
`innovator upcycle` command, so any job can be repeated by hand.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from innovator_rl.config.nodes import ADDRESS, PORT, node_rank
from innovator_rl.errors import UserError, WorkerError

MODULE = "innovator_rl.cli.main"
REFUSED = 2  # exit code of a command that refuses its input
POLL_SECONDS = 5.0
FIRST_MACHINE_SECONDS = 24 * 3600.0
"""Longest wait of other machines for the first one."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


def on_ranks(ranks: int, arguments: Sequence[str], nodes: int = 1) -> None:
    """Run `innovator ARGUMENTS` on `ranks` processes of this machine.

    Returns when all have ended.

    Args:
        ranks: Processes of each machine.
        arguments: Words after `innovator`.
        nodes: Machines; each runs this, with MASTER_ADDR, MASTER_PORT and NODE_RANK set.

    Raises:
        UserError: If a rank refused what the user asked for; it has printed the line that says so.
        WorkerError: With the cause of the first rank that failed; the other ranks are ended.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    try:
        main([*_place(nodes), "--nproc-per-node", str(ranks), "--max-restarts", "0", "-m", MODULE, *arguments])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == REFUSED:
            raise UserError(f"rank {rank} of {ranks} refused to go on, for the reason it printed above") from error
        raise WorkerError(
            f"rank {rank} of {ranks} ended with exit code {failure.exitcode}: `innovator {shlex.join(arguments)}`"
        ) from error


def _place(nodes: int) -> list[str]:
    """Return torchrun's options for the place of this machine among others."""
    if nodes == 1:
        return ["--standalone"]
    rank = node_rank(nodes, "--nodes")
    first = ["--master-addr", os.environ[ADDRESS], "--master-port", os.environ[PORT]]
    # The others wait for the first machine, which tokenizes text before it starts its ranks.
    wait = ["--rdzv-conf", f"timeout={int(FIRST_MACHINE_SECONDS)}"]
    return ["--nnodes", str(nodes), "--node-rank", str(rank), *first, *wait]


def as_jobs(
    client: Any, config: Path, settings: Sequence[str], disciplines: Sequence[str], ranks: int, runs_dir: Path
) -> dict[str, str]:
    """Submit stage 1 of every discipline as a Ray job.

    Ray uploads the current directory with the configuration.

    Args:
        client: A Ray `JobSubmissionClient`.
        config: Configuration file, relative to the current directory.
        settings: Overrides, `key=value`.
        disciplines: One job is submitted for each.
        ranks: Processes of each job.
        runs_dir: Folder of the results; it must be visible to every node.

    Returns:
        Submission id by discipline.
    """
    submitted = time.strftime("%Y%m%d-%H%M%S")
    ids = {}
    for name in disciplines:
        command = ["innovator", "upcycle", "train-experts", config.as_posix(), *settings]
        ids[name] = client.submit_job(
            entrypoint=shlex.join([*command, "--discipline", name, "--ranks", str(ranks)]),
            submission_id=f"train-experts-{name}-{submitted}",
            runtime_env={"working_dir": ".", "env_vars": {"INNOVATOR_RUNS_DIR": str(runs_dir)}},
        )
    return ids


def wait_for_jobs(client: Any, ids: dict[str, str], log: Callable[[str], object]) -> dict[str, str]:
    """Wait until every job has ended, and log each change of status.

    Returns:
        Last status (SUCCEEDED, FAILED or STOPPED) by discipline.
    """
    last: dict[str, str] = {}
    while True:
        for name, submission in ids.items():
            status = str(client.get_job_status(submission).value)
            if last.get(name) != status:
                log(f"{name}: {status} ({submission})")
                last[name] = status
        if all(status in ENDED for status in last.values()):
            return last
        time.sleep(POLL_SECONDS)
