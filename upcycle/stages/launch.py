"""Stages on several ranks and as Ray jobs.

`on_ranks` is torchrun in this process: it starts the ranks of one machine, watches them, and ends them all when one
fails. `as_jobs` submits one job a discipline to Ray's job API: induction's disciplines know nothing of each other.
Both run the `innovator upcycle` command, so what a job does can be repeated by hand.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

COMMAND = "innovator_rl.cli.main"
POLL_SECONDS = 5.0
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


def on_ranks(ranks: int, words: Sequence[str]) -> None:
    """Run `innovator WORDS` on `ranks` processes of this machine; returns when all are done.

    Raises `RuntimeError` with the first failing rank's cause; the other ranks are ended.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    try:
        main(["--standalone", "--nproc-per-node", str(ranks), "--max-restarts", "0", "-m", COMMAND, *words])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise RuntimeError(
            f"rank {rank} of {ranks} ended with exit code {failure.exitcode}: `innovator {shlex.join(words)}`"
        ) from error


def as_jobs(
    client: Any, config: Path, settings: Sequence[str], disciplines: Sequence[str], ranks: int, runs_dir: Path
) -> dict[str, str]:
    """Submit the induction of every discipline to a Ray `JobSubmissionClient`; submission id by discipline.

    The configuration is uploaded with the current directory; artefacts go to `runs_dir`, which every node must see.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    ids = {}
    for name in disciplines:
        words = ["innovator", "upcycle", "induct", config.as_posix(), *settings]
        ids[name] = client.submit_job(
            entrypoint=shlex.join([*words, "--discipline", name, "--ranks", str(ranks)]),
            submission_id=f"induct-{name}-{stamp}",
            runtime_env={"working_dir": ".", "env_vars": {"INNOVATOR_RUNS_DIR": str(runs_dir)}},
        )
    return ids


def wait_for_jobs(client: Any, ids: dict[str, str], say: Callable[[str], object]) -> dict[str, str]:
    """Until every job has ended; its last status (SUCCEEDED, FAILED, STOPPED) by discipline. Changes are told."""
    last: dict[str, str] = {}
    while True:
        for name, submission in ids.items():
            status = str(client.get_job_status(submission).value)
            if last.get(name) != status:
                say(f"{name}: {status} ({submission})")
                last[name] = status
        if all(status in ENDED for status in last.values()):
            return last
        time.sleep(POLL_SECONDS)
