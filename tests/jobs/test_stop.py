"""Stopping a run signals the process that run.json describes, and no other."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from innovator_rl.errors import UserError
from innovator_rl.jobs.stop import stop_run, wait_until_over
from innovator_rl.runs.run_dir import RunDir

TRAINER = """
    import sys, time
    from innovator_rl.runs.run_dir import RunDir
    run = RunDir(sys.argv[1])
    run.open_attempt(total_steps=9)
    run.heartbeat(2, "generating")
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        run.finish("stopped", "stopped on request after step 2")
"""


def test_a_run_on_this_machine_ends_after_its_step(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(TRAINER), str(tmp_path / "demo")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    run = RunDir(tmp_path / "demo")
    assert stop_run(run) == f"process {child.pid} will stop after this step"
    state = wait_until_over(run, seconds=60, poll_seconds=0.05)
    assert (state.status, state.detail) == ("stopped", "stopped on request after step 2")
    child.wait()
    with pytest.raises(UserError, match="'demo' is not running: stopped"):
        stop_run(run)


def test_a_process_that_took_the_number_is_left_alone(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "demo")
    run.open_attempt()
    run.note(process_started=1.0)  # this very process, but as if started long ago: another one with the same number
    with pytest.raises(UserError, match="not running: dead"):
        stop_run(run)
    run.finish("finished")


def test_a_run_elsewhere_needs_its_host_or_ray(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "far")
    run.open_attempt()
    run.note(machine="elsewhere", host="node-7")
    with pytest.raises(UserError, match="on node-7: stop it there"):
        stop_run(run)
    run.note(ray_submission_id="far-1")
    with pytest.raises(UserError, match="is Ray job far-1 on node-7: give its cluster"):
        stop_run(run)
    with pytest.raises(UserError, match="no Ray dashboard answers"):
        stop_run(run, "http://127.0.0.1:9")
    run.finish("finished")
