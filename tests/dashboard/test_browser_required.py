"""A missing browser skips its tests with the command that installs it, or fails them where the browser is required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("required", "outcome"), [("0", "1 skipped"), ("1", "1 error")])
def test_a_missing_browser_is_named(tmp_path: Path, required: str, outcome: str) -> None:
    test = "tests/dashboard/e2e/test_reading.py::test_the_theme_is_remembered"
    command = [sys.executable, "-m", "pytest", test, "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PATH": str(tmp_path), "INNOVATOR_REQUIRE_BROWSER": required}
    environment.pop("INNOVATOR_STRICT_SKIPS", None)
    root = Path(__file__).parents[2]
    ran = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200)
    assert outcome in ran.stdout
    assert "apt-get install --no-install-recommends chromium" in ran.stdout
    assert (ran.returncode == 0) == (required == "0")
