"""The job API for real: a head node, `ray job submit` by hand, and a run that outlives the uploaded copy."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from innovator_rl.runs.run_dir import RunDir

ROOT = Path(__file__).resolve().parents[2]
RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def folder() -> Iterator[Path]:
    """Ray's files: the names of its sockets are cut at 107 characters, so pytest's own folder is too deep."""
    path = Path(tempfile.mkdtemp(prefix="ray-"))
    yield path
    for _ in range(60):  # processes of the node still write while they end
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.5)
    pytest.fail(f"{path} is still written to")


@pytest.fixture
def head(tmp_path: Path, folder: Path) -> Iterator[str]:
    """A head node of its own; the address of its job API."""
    port, dashboard = free_port(), free_port()
    command = [str(RAY), "start", "--head", "--block", f"--port={port}", f"--dashboard-port={dashboard}"]
    command += [f"--dashboard-agent-listen-port={free_port()}", f"--temp-dir={folder}"]  # the usual one may be taken
    command += ["--num-cpus=64", "--num-gpus=1", "--disable-usage-stats"]
    environment = {**os.environ, "PATH": f"{RAY.parent}:{os.environ['PATH']}", "HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    with (tmp_path / "head.log").open("w") as log:
        node = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    address = f"http://127.0.0.1:{dashboard}"
    try:
        for _ in range(120):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api/version", timeout=2).close()
                break
            time.sleep(0.5)
        else:
            pytest.fail((tmp_path / "head.log").read_text())
        yield address
    finally:
        node.terminate()
        try:
            node.wait(60)
        except subprocess.TimeoutExpired:
            node.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ray_job_submit_trains_and_the_record_stays(head: str, folder: Path, tmp_path: Path) -> None:
    words = ["name=job", "schedule.steps=1", "schedule.validate_every=0", "schedule.validate_before=false"]
    words += ["algorithm.prompts_per_step=2", "algorithm.dynamic_sampling.enabled=false", "resources.platform=cpu"]
    submit = [str(RAY), "job", "submit", "--address", head, "--working-dir", ".", "--"]
    for _ in range(60):  # the agent that starts jobs comes up after the head node
        done = subprocess.run(
            [*submit, "innovator", "train", "configs/train/moe.yaml", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        if "No available agent" not in done.stderr:
            break
        time.sleep(1)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    state = RunDir(tmp_path / "home/runs/job").state()
    assert (state.status, state.step) == ("finished", 1)
    assert state.record["ray_submission_id"].startswith("raysubmit_")
    assert state.record["ray_job_id"]
    uploaded = next(folder.rglob("working_dir_files/_ray_pkg_*"), None)
    assert uploaded is None or sum(f.stat().st_size for f in uploaded.rglob("*") if f.is_file()) < 20 << 20
