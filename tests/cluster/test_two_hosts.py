"""Two hosts, one of which loses its network: the run goes on or ends with the cause, and resumes on the other host.

The hosts are network namespaces on a cable, each with its own host name and a Ray node; the run directory lies where both
see it. The job is `two_host_job.py`, one Ray actor on the other host, because a whole training run would take minutes here.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from innovator_rl.runs.run_dir import RunDir

ROOT = Path(__file__).resolve().parents[2]
JOB = Path(__file__).with_name("two_host_job.py")
RAY = Path(sys.executable).with_name("ray")
SHORT_SECONDS, START_SECONDS, DEATH_SECONDS = 2.0, 90.0, 60.0


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


@dataclass
class Host:
    """A network namespace with an address and a host name."""

    name: str
    address: str
    folder: Path

    @property
    def link(self) -> str:
        return f"{self.name}-eth"

    def start(self, *words: str, log: str) -> "subprocess.Popen[bytes]":
        """Start a program on this host."""
        inside = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name, *words]
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
            **{"HOME": str(home), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            # A lost node is dead after about 10 seconds in place of 30.
            **{"RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "3000"},
            **{"RAY_health_check_initial_delay_ms": "1000", "RAY_health_check_failure_threshold": "3"},
            **{"RAY_USAGE_STATS_ENABLED": "0", "PATH": f"{RAY.parent}:{os.environ['PATH']}"},
        }
        with (self.folder / log).open("wb") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *inside],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def job(self, run: RunDir, steps: int, *address: str, log: str) -> "subprocess.Popen[bytes]":
        """Start the job on this host."""
        return self.start(sys.executable, str(JOB), str(run.path), str(steps), *address, log=log)

    def connected(self, wanted: bool) -> None:
        """Plug the network in or pull it out."""
        ip("-n", self.name, "link", "set", self.link, "up" if wanted else "down")

    def remove(self) -> None:
        """End every process of this host, and the host."""
        for end in (signal.SIGTERM, signal.SIGKILL):
            pids = subprocess.run(
                ["ip", "netns", "pids", self.name], capture_output=True, text=True, timeout=10, check=False
            ).stdout.split()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), end)
            for _ in range(20):
                if all(not Path("/proc", pid).exists() for pid in pids):
                    break
                time.sleep(0.1)
        ip("netns", "del", self.name)


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts on a cable."""
    if os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("network namespaces cannot be made here: root, ip and unshare are needed")
    # Ray's sockets need a short path, and names of links have 15 characters at most.
    with tempfile.TemporaryDirectory(prefix="two-") as folder:
        mark = f"iv{os.getpid() % 100000}"
        pair = [Host(f"{mark}{end}", f"10.77.0.{n}", Path(folder)) for n, end in ((1, "a"), (2, "b"))]
        made: list[Host] = []
        try:
            try:
                for host in pair:
                    ip("netns", "add", host.name)
                    made.append(host)
                one, other = pair
                peer = ("peer", "name", other.link, "netns", other.name)
                ip("link", "add", one.link, "netns", one.name, "type", "veth", *peer)
                for host in pair:
                    ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", host.link)
                    ip("-n", host.name, "link", "set", "lo", "up")
                    host.connected(True)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"network namespaces cannot be made here: {error.stderr.decode().strip()}")
            yield pair[0], pair[1]
        finally:
            for host in made:
                host.remove()


def wait_for(what: Callable[[], bool], seconds: float, message: str, folder: Path) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            logs = "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in sorted(folder.glob("*.log")))
            pytest.fail(f"{message}\n{logs}")
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_host_without_network_ends_the_run_or_delays_it_and_the_other_host_resumes(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    first, second = hosts
    folder = first.folder
    run = RunDir(tmp_path / "runs" / "job")
    cluster = f"{first.address}:6379"
    common = ("--block", "--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats")
    first.start(
        str(RAY), "start", "--head", f"--node-ip-address={first.address}", "--port=6379", f"--temp-dir={folder}/ray",
        "--include-dashboard=false", *common, log="head.log",
    )  # fmt: skip
    wait_for(lambda: "Ray runtime started" in (folder / "head.log").read_text(), START_SECONDS, "no head", folder)
    second.start(
        str(RAY), "start", f"--address={cluster}", f"--node-ip-address={second.address}", '--resources={"other_host": 1}',
        *common, log="node.log",
    )  # fmt: skip
    wait_for(lambda: "Ray runtime started" in (folder / "node.log").read_text(), START_SECONDS, "no node", folder)

    job = first.job(run, 100_000, cluster, log="job.log")
    wait_for(lambda: run.state().step >= 3, START_SECONDS, "the job does not start", folder)
    assert run.state().record["worker_host"] == second.name

    rival = second.job(run, 5, log="rival.log")  # a live run is refused elsewhere
    second.connected(False)
    time.sleep(SHORT_SECONDS)
    second.connected(True)
    before = run.state().step
    wait_for(lambda: run.state().step >= before + 3, DEATH_SECONDS, "no step after a short outage", folder)
    assert job.poll() is None
    assert rival.wait(DEATH_SECONDS) == 2
    assert first.name in (folder / "rival.log").read_text()

    second.connected(False)
    wait_for(lambda: job.poll() is not None, DEATH_SECONDS, "the run hangs without its other host", folder)
    assert job.returncode == 1
    ended = run.state()
    assert ended.status == "failed"
    assert "ActorDied" in ended.detail
    assert "other host" in ended.detail or "node" in ended.detail

    second.connected(True)
    done = max(row["step"] for row in run.metrics())
    resumed = second.job(run, done + 3, log="resumed.log")
    wait_for(lambda: resumed.poll() is not None, START_SECONDS, "the other host does not resume", folder)
    state = run.state()
    assert resumed.returncode == 0, (folder / "resumed.log").read_text()
    assert (state.status, state.step, state.record["host"]) == ("finished", done + 3, second.name)
    assert [row["step"] for row in run.metrics()] == list(range(1, done + 4))
    assert state.record["attempts"][1]["resumed_from_step"] == done
