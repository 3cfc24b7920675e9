"""Several ranks from one command, and per discipline a Ray job."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from innovator_rl.errors import UserError
from innovator_rl.runs.run_dir import RunDir
from upcycle.stages import launch

ROOT = Path(__file__).resolve().parents[2]


class Jobs:
    """Ray's job client as far as it is used: jobs end after two questions, the last one badly."""

    def __init__(self) -> None:
        self.submitted: list[dict[str, Any]] = []
        self.asked: dict[str, int] = {}

    def submit_job(self, **job: Any) -> str:
        self.submitted.append(job)
        return str(job["submission_id"])

    def get_job_status(self, submission: str) -> Any:
        self.asked[submission] = self.asked.get(submission, 0) + 1
        ended = "FAILED" if "biology" in submission else "SUCCEEDED"
        return SimpleNamespace(value="RUNNING" if self.asked[submission] < 3 else ended)


def test_every_discipline_is_a_job_that_can_be_repeated_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "POLL_SECONDS", 0.0)
    jobs, said = Jobs(), []
    config = Path("configs/upcycle/tiny.yaml")
    ids = launch.as_jobs(jobs, config, ["train_experts.tokens=64"], ["physics", "biology"], 2, Path("/shared/runs"))
    first = jobs.submitted[0]
    command = "innovator upcycle train-experts configs/upcycle/tiny.yaml train_experts.tokens=64 --discipline physics --ranks 2"
    assert first["entrypoint"] == command
    assert first["runtime_env"]["env_vars"] == {"INNOVATOR_RUNS_DIR": "/shared/runs"}
    assert launch.wait_for_jobs(jobs, ids, said.append) == {"physics": "SUCCEEDED", "biology": "FAILED"}
    assert [line.split(" (")[0] for line in said] == [
        "physics: RUNNING",
        "biology: RUNNING",
        "physics: SUCCEEDED",
        "biology: FAILED",
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_trains_on_two_ranks_and_says_which_one_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = [
        "upcycle",
        "train-experts",
        "configs/upcycle/tiny.yaml",
        f"runs_dir={tmp_path}",
        "train_experts.tokens=2048",
    ]
    launch.on_ranks(2, [*words, "--discipline", "physics"])
    assert RunDir(tmp_path / "tiny-upcycle.induct-physics").state().status == "finished"
    assert (tmp_path / "tiny-upcycle/experts/physics/expert.json").is_file()
    with pytest.raises(UserError, match=r"of 2 refused to go on"):
        launch.on_ranks(2, [*words, "--discipline", "alchemy"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_machines_run_one_path(tmp_path: Path) -> None:
    """Two processes stand for two machines, as a launcher starts them; the first one exports and verifies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "innovator_rl", "upcycle", "run", "configs/upcycle/tiny.yaml", "--nodes", "2"]
    settings = [f"runs_dir={tmp_path}", "train_experts.tokens=1024", "train_joint.tokens=1024"]
    place = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with contextlib.ExitStack() as stack:
        machines = [
            stack.enter_context(
                subprocess.Popen(
                    [*words, *settings],
                    env={**place, "NODE_RANK": str(rank)},
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            for rank in range(2)
        ]
        shown = [machine.communicate(timeout=600)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], shown
    assert (tmp_path / "tiny-upcycle" / "export" / "config.json").is_file()
    assert "logits" in shown[0], "the first machine verifies"
    assert "logits" not in shown[1]


def test_a_machine_without_a_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODE_RANK", raising=False)
    monkeypatch.delenv("SLURM_NODEID", raising=False)
    with pytest.raises(UserError, match=r"--nodes = 2: NODE_RANK .* found ''"):
        launch.on_ranks(1, [], nodes=2)
