"""Sinks get every number of a step, continue the same remote run after a resume, and are loaded only when asked for."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from innovator_rl.errors import UserError
from innovator_rl.runs import sinks
from innovator_rl.runs.run_dir import RunDir
from innovator_rl.runs.sinks import numbers, open_sinks


class Service(SimpleNamespace):
    """A package of a service: notes its calls; run ids are its own."""

    def __init__(self) -> None:
        super().__init__(calls=[])

    def note(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            run_id = kwargs.get("id") or kwargs.get("run_id") or f"new-{len(self.calls)}"
            fake = SimpleNamespace(id=run_id, info=SimpleNamespace(run_id=run_id), define_metric=lambda *a, **k: None)
            fake.log, fake.finish = self.note("log"), self.note("finish")
            return fake

        return call

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.note(name)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    fake = Service()
    for name in sinks.SINKS:
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.setattr(sinks, "missing", lambda name: "")
    return fake


@pytest.mark.parametrize(("name", "start", "key"), [("wandb", "init", "id"), ("mlflow", "start_run", "run_id")])
def test_a_resume_continues_the_same_remote_run(
    name: str, start: str, key: str, tmp_path: Path, service: Service
) -> None:
    run = RunDir(tmp_path / "demo").create()
    for _ in range(2):
        (sink,) = open_sinks((name,), run, "project", resume_step=0, tensorboard=False).values()
        sink.write(3, {"reward/mean": 0.5})
        sink.close()
    first, second = (kwargs for call, _, kwargs in service.calls if call == start)
    assert first[key] is None
    assert str(second[key]).startswith("new-")


def test_trackio_keeps_runs_by_name(tmp_path: Path, service: Service) -> None:
    (sink,) = open_sinks(("trackio",), RunDir(tmp_path / "demo").create(), "p", 0, tensorboard=False).values()
    sink.write(3, {"reward/mean": 0.5, "text": "x"})
    assert ("init", (), {"project": "p", "name": "demo", "resume": "allow"}) in service.calls
    assert ("log", ({"reward/mean": 0.5},), {"step": 3}) in service.calls


def test_only_finite_numbers_are_sent() -> None:
    assert numbers({"a": 1, "b": 0.5, "c": "x", "d": float("nan"), "e": None, "f": True}) == {"a": 1.0, "b": 0.5}


def test_a_package_that_is_missing_is_a_mistake_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^logging\.mlflow=true: mlflow not found; pip install mlflow"):
        open_sinks(("mlflow",), RunDir(tmp_path), "p", 0, tensorboard=False)


def test_a_service_that_refuses_is_named(tmp_path: Path, service: Service) -> None:
    def refuse(**_: Any) -> None:
        raise ConnectionError("api.wandb.ai does not answer\nlong traceback")

    service.init = refuse
    with pytest.raises(UserError, match=r"logging\.wandb=true: .* refused it: api\.wandb\.ai does not answer$"):
        open_sinks(("wandb",), RunDir(tmp_path), "p", 0, tensorboard=False)


def test_nothing_is_imported_that_nobody_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys; from innovator_rl.runs.sinks import SINKS; assert not set(SINKS) & sys.modules.keys(), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
