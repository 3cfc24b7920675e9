"""The temporary folders of killed runs go at the next start; those of living ones stay."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from innovator_rl.runs.provenance import process_identity
from innovator_rl.training.cluster import OWNER, PREFIX, sweep


def test_only_folders_whose_run_is_gone_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = {**process_identity(), "pid": 2**22 + 1}
    for name, owner in (("dead", gone), ("alive", process_identity()), ("used", gone), ("new", None), ("old", None)):
        folder = tmp_path / f"{PREFIX}{name}"
        folder.mkdir()
        if owner is not None:
            (folder / OWNER).write_text(json.dumps(owner))
    os.utime(tmp_path / f"{PREFIX}old", (0, 0))  # of a release that named no owner
    (tmp_path / "other").mkdir()
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / f"{PREFIX}used")], stdin=subprocess.PIPE
    ) as raylet:
        deleted = sweep()
        assert raylet.stdin is not None
        raylet.stdin.close()
    assert {path.name for path in deleted} == {f"{PREFIX}dead", f"{PREFIX}old"}
    assert {path.name for path in tmp_path.iterdir()} == {"other", *(f"{PREFIX}{x}" for x in ("alive", "used", "new"))}
