"""Runs at a URL: copied, kept current, never written, whatever their names are."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from dashboard_runs import ADDRESS, record
from fastapi.testclient import TestClient

from innovator_rl.dashboard.app import create_app
from innovator_rl.dashboard.runs.remote import RemoteRuns, place_of
from innovator_rl.errors import UserError

URL = "memory://bucket/runs"


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[Path, object]]:
    """A run on this machine, and a memory file system that holds a copy of it."""
    files = fsspec.filesystem("memory")
    run = tmp_path / "local" / "a"
    record(run, 1)
    (run / "run.json").write_text('{"status": "finished", "step": 1}')
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "model.safetensors").write_text("large")
    files.put(str(run), "/bucket/runs/a", recursive=True)
    yield run, files
    files.rm("/bucket", recursive=True)


def test_runs_are_copied_followed_and_never_written(bucket: tuple[Path, object], tmp_path: Path) -> None:
    run, files = bucket
    before = sorted(files.find("/bucket"))  # type: ignore[attr-defined]
    remote = RemoteRuns(URL, tmp_path / "copy")
    remote.sync()
    assert not (tmp_path / "copy/a/checkpoints").exists()
    with TestClient(create_app([remote.folder]), base_url=ADDRESS) as client:
        listed = client.get("/api/runs").json()
        assert listed["runs_dir"] == URL
        assert [row["status"] for row in listed["rows"]] == ["finished"]
        assert client.get("/api/runs/a/rollouts").json()["total"] == 16
        label = {"kind": "train", "step": 1, "uid": "g0", "sample_index": 0, "label": "x"}
        refused = client.post("/api/runs/a/labels", json=label, headers={"origin": ADDRESS})
        assert refused.status_code == 403, refused.text
        assert "read-only" in refused.text
        assert sorted(files.find("/bucket")) == before  # type: ignore[attr-defined]
        record(run, 2)
        files.put(str(run / "rollouts"), "/bucket/runs/a/", recursive=True)  # type: ignore[attr-defined]
        remote.sync()
        steps = {path.parent.name for path in (tmp_path / "copy/a/rollouts").glob("*/*.parquet")}
        assert "step=000002" in steps
    files.rm("/bucket/runs/a/rollouts/step=000001", recursive=True)  # type: ignore[attr-defined]
    again = RemoteRuns(URL, tmp_path / "copy")  # a kept copy: nothing is fetched twice, what is gone is deleted
    again.sync()
    assert not list((tmp_path / "copy/a/rollouts/step=000001").glob("*.parquet"))


def test_names_of_the_storage_lead_nowhere_else(bucket: tuple[Path, object], tmp_path: Path) -> None:
    _, files = bucket
    for path in ("../../../../evil.parquet", "../evil.parquet"):
        files.store[f"/bucket/runs/a/rollouts/{path}"] = files.store["/bucket/runs/a/run.json"]  # type: ignore[attr-defined]
    files.store["/bucket/runs/.hidden/run.json"] = files.store["/bucket/runs/a/run.json"]  # type: ignore[attr-defined]
    RemoteRuns(URL, tmp_path / "deep/copy").sync()
    outside = [path for path in tmp_path.rglob("*") if path.name in ("evil.parquet", ".hidden")]
    assert outside == []


def test_one_run_can_be_named_and_a_mistake_is_one_line(bucket: tuple[Path, object], tmp_path: Path) -> None:
    remote = RemoteRuns(f"{URL}/a", tmp_path / "copy")
    remote.sync()
    assert [path.name for path in remote.folder.iterdir() if path.is_dir()] == ["a"]
    assert place_of(tmp_path) == str(tmp_path)
    for url, expected in ((f"{URL}/none", "not found"), ("nothing://x", "unknown"), ("memory://absent", "not found")):
        with pytest.raises(UserError, match=expected):
            RemoteRuns(url, tmp_path / "other")
    shutil.rmtree(tmp_path / "other", ignore_errors=True)
