"""The sandbox of an ordinary user, where these tests run as root (where they do not, every other test is that test)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rewards.code.sandbox import layers


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_attacks_as_nobody() -> None:
    if layers.probe_isolation().level == "none":
        pytest.skip("no isolation on this machine")
    here = Path(__file__).resolve()
    command = [sys.executable, str(here.parent / "as_nobody.py"), str(here.parents[2])]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env={**os.environ, "INNOVATOR_CANARY": "canary"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["user"] == 65534
    assert report["escaped"] == []
    assert report["properties"]["network"]
    assert report["properties"]["files"]
    assert report["layers"]["groups"].startswith("missing")
