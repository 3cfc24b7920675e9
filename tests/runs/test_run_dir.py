"""A run directory states what its run does: alive, ended, killed, resumed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from innovator_rl.errors import UserError
from innovator_rl.runs import run_dir
from innovator_rl.runs.metrics import MetricsWriter, read_metrics
from innovator_rl.runs.run_dir import RunDir, list_runs, resolve_runs_dir


def run_child(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start Python code that prints one line when it is ready."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "ready"
    return child


WRITER = """
    import sys, time
    from innovator_rl.runs.run_dir import RunDir
    run = RunDir(sys.argv[1])
    run.open_attempt(resume_step=0, total_steps=9)
    run.heartbeat(4, "generating")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_an_attempt_opens_runs_and_finishes(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "demo")
    assert run.state().status == "unknown"
    assert run.open_attempt(resume_step=0, total_steps=10) == 1
    assert run.state().status == "starting"
    run.heartbeat(1, "generating")
    state = RunDir(run.path).state()
    assert (state.status, state.step, state.phase, state.total_steps) == ("running", 1, "generating", 10)
    assert state.record["packages"]["python"].startswith("3.")
    run.finish("finished")
    record = json.loads(run.run_json.read_text())
    assert record["attempts"][0]["status"] == "finished"
    assert record["attempts"][0]["ended"]
    assert not list(run.path.glob(".*tmp"))


def test_a_killed_run_is_dead_and_its_next_attempt_says_so(tmp_path: Path) -> None:
    child = run_child(WRITER, str(tmp_path / "demo"))
    run = RunDir(tmp_path / "demo")
    assert run.state().live
    with pytest.raises(UserError, match=rf"being written by process {child.pid} on "):
        run.open_attempt()
    child.send_signal(signal.SIGKILL)
    child.wait()
    state = run.state()
    assert state.status == "dead"
    assert f"process {child.pid} is gone" in state.detail
    assert run.open_attempt(resume_step=3) == 2
    first, second = json.loads(run.run_json.read_text())["attempts"]
    assert (first["status"], first["ended"] is not None) == ("dead", True)
    assert (second["resumed_from_step"], second["ended"]) == (3, None)
    run.finish("stopped", "asked to stop")


def test_an_old_heartbeat_from_another_machine_is_dead(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "far")
    run.open_attempt()
    run.heartbeat(1, "updating")
    run.note(machine="elsewhere", host="node-7")
    now = datetime.now(UTC)
    assert run.state(now).status == "running"
    late = run.state(now + timedelta(seconds=61))
    assert late.status == "dead"
    assert "node-7" in late.detail
    assert "no heartbeat for 40 days 0 h from" in run.state(now + timedelta(days=40, seconds=5)).detail
    run.finish("failed", "out of memory")
    assert run.state(now + timedelta(days=1)).status == "failed"


def test_the_heartbeat_stays_fresh_through_a_long_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_dir, "HEARTBEAT_SECONDS", 0.05)
    run = RunDir(tmp_path / "slow")
    run.open_attempt()
    before = run.state().record["heartbeat"]
    for _ in range(100):
        if run.state().record["heartbeat"] > before:
            break
        time.sleep(0.02)
    else:
        pytest.fail("the heartbeat did not move")
    run.finish("finished")


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    code = """
        import os, sys, time
        from innovator_rl.runs.run_dir import RunDir
        run = RunDir(sys.argv[1])
        run.open_attempt()
        if os.fork() == 0:
            print("ready", flush=True)
            print(os.getpid(), flush=True)
            time.sleep(30)
            os._exit(0)
        time.sleep(60)
    """
    child = run_child(code, str(tmp_path / "demo"))
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    child.kill()
    child.wait()
    try:
        run = RunDir(tmp_path / "demo")
        assert run.open_attempt() == 2
        run.finish("finished")
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_metrics_survive_a_torn_line_and_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    writer = MetricsWriter(path)
    for step in (1, 2, 3):
        writer.write(step, 1, {"reward": step / 10, "bad": float("nan"), "val/acc": 0.5})
    writer.close()
    with path.open("a") as handle:
        handle.write('{"step": 4, "attempt": 1, "rew')
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3]
    writer = MetricsWriter(path)
    writer.write(2, 2, {"val/acc": 0.75})  # resumed from step 2: validates first, then redoes step 3
    writer.write(3, 2, {"reward": 0.9})
    writer.close()
    rows = {row["step"]: row for row in read_metrics(path)}
    assert list(rows) == [1, 2, 3]
    assert rows[1]["bad"] is None
    assert (rows[2]["reward"], rows[2]["val/acc"], rows[2]["attempt"]) == (0.2, 0.75, 2)
    assert (rows[3]["reward"], rows[3]["attempt"]) == (0.9, 2)
    assert read_metrics(tmp_path / "absent.jsonl") == []


def test_runs_dir_is_absolute_or_the_variable_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INNOVATOR_RUNS_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    assert resolve_runs_dir("runs") == tmp_path / "runs"
    monkeypatch.setenv("INNOVATOR_RUNS_DIR", "/srv/runs")
    assert resolve_runs_dir("runs") == Path("/srv/runs")
    assert resolve_runs_dir("/elsewhere") == Path("/elsewhere")
    monkeypatch.setenv("INNOVATOR_RUNS_DIR", "runs")
    with pytest.raises(UserError, match="INNOVATOR_RUNS_DIR"):
        resolve_runs_dir("runs")


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    for name in ("older", "newer"):
        run = RunDir(tmp_path / name)
        run.open_attempt()
        run.finish("finished")
    (tmp_path / "not-a-run").mkdir()
    names = [run.name for run in list_runs(tmp_path)]
    assert sorted(names) == ["newer", "older"]


def test_an_uploaded_copy_is_no_place_for_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "session/runtime_resources/working_dir_files/_ray_pkg_1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.delenv("INNOVATOR_RUNS_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert resolve_runs_dir("runs") == tmp_path / "home/runs"
