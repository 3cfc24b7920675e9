"""The command that serves the page, as a process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_synthetic_runs_are_deleted_however_the_command_ends(tmp_path: Path, number: signal.Signals) -> None:
    command = [
        sys.executable,
        "-m",
        "innovator_rl.cli.main",
        "dashboard",
        str(tmp_path / "runs"),
        "--demo",
        "--port",
        "0",
    ]
    aside = tmp_path / "aside"
    aside.mkdir()
    page = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(aside)}, stdout=subprocess.PIPE, text=True)
    try:
        assert page.stdout is not None
        assert "dashboard: http://127.0.0.1:" in page.stdout.readline()
        assert list(aside.iterdir())
        page.send_signal(number)
        page.wait(timeout=60)
    finally:
        page.kill()
        page.communicate()
    assert list(aside.iterdir()) == []
    assert page.returncode in (128 + number, 0)
