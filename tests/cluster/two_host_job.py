"""A run of the smallest kind for the two-host test: the project's run directory, Ray connection and actor monitor.

    python two_host_job.py RUN_DIR STEPS [ADDRESS]

Each step is one call of an actor, with an address on the other host of that cluster, else in a Ray of its own. It resumes
after the last recorded step. A real trainer differs in what a step does, not in how a lost host is noticed and recorded.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import ray

from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.actor_health import ActorHealth
from innovator_rl.platform.slots import Need
from innovator_rl.runs.run_dir import RunDir
from innovator_rl.training.cluster import ray_cluster

STEP_SECONDS = 0.2


class Worker:
    """What runs on the other host."""

    def step(self, number: int) -> int:
        """Work for a moment."""
        time.sleep(STEP_SECONDS)
        return number * number

    def host(self) -> str:
        """Return the name of the host."""
        return os.uname().nodename


def train(run: RunDir, done: int, steps: int, address: str | None) -> None:
    """Do the steps that are missing."""
    with ray_cluster(address, Need(cpus=1, accelerators_per_node=0), {}, run.logs):
        place: dict[str, Any] = {"num_cpus": 1, "resources": {"other_host": 1} if address else {}}
        worker: Any = ray.remote(Worker).options(**place).remote()
        run.note(worker_host=ray.get(worker.host.remote(), timeout=60))
        health = ActorHealth({"worker of the other host": worker})
        for step in range(done + 1, steps + 1):
            run.heartbeat(step, "updating")
            call = worker.step.remote(step)
            while not ray.wait([call], timeout=0.1)[0]:
                health.check()
            run.write_metrics(step, {"critic/score/mean": float(ray.get(call))})


def main(folder: str, steps: str, address: str | None = None) -> int:
    """Run, and return the exit code of `innovator train` in the same case."""
    run = RunDir(folder)
    done = max((row["step"] for row in run.metrics()), default=0)
    try:
        run.open_attempt(resume_step=done, total_steps=int(steps))
    except UserError as error:
        sys.stderr.write(f"innovator: {error}\n")
        return 2
    try:
        train(run, done, int(steps), address)
    except BaseException as error:
        run.finish("failed", cause=f"{type(error).__name__}: {error}")
        sys.stderr.write(f"innovator: the run failed: {error}\n")
        return 1
    run.finish("finished")
    return 0


if __name__ == "__main__":
    os._exit(main(str(Path(sys.argv[1])), *sys.argv[2:]))
