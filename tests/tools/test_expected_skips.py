"""A skip that nothing allows fails the session; a listed one does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("reason", "browser", "status"),
    [
        ("nobody knows why", "", 1),
        ("real data gsm8k is not here (see INNOVATOR_DATA)", "", 0),
        ("needs Chromium: apt-get install chromium", "", 0),
        ("needs Chromium: apt-get install chromium", "1", 1),
    ],
)
def test_unexpected_skips_fail(tmp_path: Path, reason: str, browser: str, status: int) -> None:
    for name in ("conftest.py", "expected_skips.py"):
        (tmp_path / name).write_text((TESTS / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "test_it.py").write_text(f"import pytest\ndef test_it():\n    pytest.skip({reason!r})\n")
    environment = {**os.environ, "INNOVATOR_STRICT_SKIPS": "1", "INNOVATOR_REQUIRE_BROWSER": browser}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stdout
    assert ("unexpected skip" in done.stdout) == bool(status)
    assert ("did not run" in done.stdout) == reason.startswith("needs Chromium")
