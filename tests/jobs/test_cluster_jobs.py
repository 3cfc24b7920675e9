"""Runs that are only jobs of a cluster are listed, shown and explained in one line."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from innovator_rl.cli import runs_cluster
from innovator_rl.errors import UserError
from innovator_rl.jobs import cluster_jobs as module
from innovator_rl.jobs.cluster_jobs import ClusterJob, cluster_jobs, one_line

TRACEBACK = """Job entrypoint command failed with exit code 1, last available logs:
Traceback (most recent call last):
  File "x.py", line 1, in <module>
ImportError: cannot import name 'AutoModel' from 'trl' (./trl.py)
"""


def details(name: str, status: str, age: float, message: str = "") -> SimpleNamespace:
    return SimpleNamespace(
        submission_id=f"{name}-1",
        status=SimpleNamespace(value=status),
        metadata={"run": name, "run_dir": f"/runs/{name}"},
        message=message,
        start_time=int((time.time() - age) * 1000),
    )


def test_jobs_come_newest_first_with_the_line_that_names_the_cause() -> None:
    listed = [details("old", "FAILED", 900, TRACEBACK), details("new", "RUNNING", 3)]
    jobs = cluster_jobs("head", SimpleNamespace(list_jobs=lambda: listed))
    assert [job.run for job in jobs] == ["new", "old"]
    assert jobs[1].sentence() == "FAILED: ImportError: cannot import name 'AutoModel' from 'trl' (./trl.py)"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", ""),
        ("one line", "one line"),
        (
            "x\ninnovator: model.path = '/nope': not found; give a folder\nray: bye\n",
            "model.path = '/nope': not found; give a folder",
        ),
        (
            "innovator: the run failed: OSError: full\ninnovator: details: /runs/a/logs/driver.log",
            "the run failed: OSError: full",
        ),
    ],
)
def test_one_line(message: str, line: str) -> None:
    assert one_line(message) == line


def test_a_job_that_waits_is_explained() -> None:
    waiting = ClusterJob("a-1", "PENDING", "a", "/runs/a", "", 90.0)
    assert "no free CPU slot for the job's driver" in waiting.sentence()
    assert ClusterJob("a-1", "PENDING", "a", "/runs/a", "", 2.0).sentence() == "PENDING"


def row(name: str, status: str, submission: str | None = None) -> dict[str, Any]:
    return {"name": name, "path": f"/runs/{name}", "status": status, "ray_submission_id": submission}


def test_the_list_adds_jobs_that_no_run_describes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [
        ClusterJob("again-2", "PENDING", "again", "/runs/again", "", 1.0),
        ClusterJob("done-1", "SUCCEEDED", "done", "/runs/done", "", 50.0),
        ClusterJob("lost-1", "FAILED", "lost", "/runs/lost", "no slots", 60.0),
        ClusterJob("lost-0", "FAILED", "lost", "/runs/lost", "older", 70.0),
    ]
    monkeypatch.setattr(runs_cluster, "cluster_jobs", lambda address: jobs)
    recorded = [row("again", "failed", "again-1"), row("done", "finished", "done-1")]
    shown = runs_cluster.with_cluster(recorded, "head")
    assert [(line["name"], line["status"]) for line in shown] == [
        ("again", "pending"),
        ("lost", "failed"),
        ("again", "failed"),
        ("done", "finished"),
    ]

    def away(address: str) -> list[ClusterJob]:
        raise UserError("no Ray dashboard answers there")

    monkeypatch.setattr(runs_cluster, "cluster_jobs", away)
    assert runs_cluster.with_cluster(recorded, "head") == recorded
    assert "no Ray dashboard answers" in capsys.readouterr().err


def test_an_unknown_run_lists_the_jobs_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cluster_jobs", lambda address: [ClusterJob("a-1", "RUNNING", "a", "/runs/a", "", 1.0)])
    assert module.find_job("head", "a").submission_id == "a-1"
    with pytest.raises(UserError, match="'b' not found among the jobs at head; there are: a"):
        module.find_job("head", "b")
