"""A phase that hangs is remarked within a minute and ended with its cause; a full disk is one line, after the record."""

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from memory_engine import MemoryTrainer, NotingObserver
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from innovator_rl.errors import StorageError
from innovator_rl.integrations.verl import phase_watchdog
from innovator_rl.integrations.verl.checkpoints import disk_full
from innovator_rl.integrations.verl.phase_watchdog import PhaseStalled, Watchdog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_phase_is_judged_by_its_own_history() -> None:
    clock = Clock()
    said: list[str] = []
    ended: list[float] = []
    watchdog = Watchdog(said.append, lambda: ended.append(clock.now), lambda: "stopped: ray::WorkerDict (7)", clock)
    for seconds in (20.0, 30.0):
        watchdog.enter("updating")
        clock.now += seconds
        watchdog.enter("generating")
        clock.now += 5000.0  # the sampler's own business
        watchdog.look()
    assert said == []
    watchdog.enter("updating")
    start = clock.now
    for _ in range(400):
        clock.now += 5.0
        watchdog.look()
    assert said == [
        "updating has taken 1 min 35 s; the longest before took 30 s; stopped: ray::WorkerDict (7); the run ends at 30 min 00 s"
    ]
    assert ended == [start + 1805.0]
    assert watchdog.stalled.startswith("updating has taken 30 min 05 s")


def test_the_first_of_a_kind_may_take_hours() -> None:
    watchdog = Watchdog(print, print, str, Clock())
    assert watchdog.limits("syncing") == (600.0, 4 * 3600.0)


def test_ended_workers_become_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(), lambda prompt: [1.0, 0.0] * 2, monkeypatch)

    def hang(batch: object) -> None:
        monkeypatch.setattr(phase_watchdog, "FIRST_REMARK_SECONDS", -1.0)
        monkeypatch.setattr(phase_watchdog, "FIRST_END_SECONDS", 0.0)
        trainer._watchdog.look()
        raise ray.exceptions.RayActorError

    monkeypatch.setattr(trainer.workers, "update_actor", hang)
    with pytest.raises(PhaseStalled, match=r"updating has taken 0 s; it is the first"):
        trainer.train()


def test_an_engine_that_hangs_while_it_is_paused_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(), lambda prompt: [1.0, 0.0] * 2, monkeypatch)
    ended: list[object] = []

    def hang() -> None:
        monkeypatch.setattr(phase_watchdog, "FIRST_REMARK_SECONDS", -1.0)
        monkeypatch.setattr(phase_watchdog, "FIRST_END_SECONDS", 0.0)
        trainer.workers.workers = ("training worker",)
        trainer.llm_server_manager.get_replicas = lambda: [SimpleNamespace(servers=["vLLM server"])]
        trainer._watchdog.look()
        raise ray.exceptions.RayActorError

    monkeypatch.setattr(ray, "kill", lambda actor, no_restart: ended.append(actor))
    monkeypatch.setattr(trainer.checkpoint_manager, "sleep_replicas", hang)
    with pytest.raises(PhaseStalled, match=r"pausing has taken 0 s; it is the first"):
        trainer.train()
    assert ended == ["training worker", "vLLM server"]


def test_a_full_disk_is_one_line_and_the_step_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(
        tmp_path, NotingObserver(), lambda prompt: [1.0, 0.0] * 2, monkeypatch, "schedule.save_every=1"
    )

    def fail(self: PPOTrainerSync) -> None:
        folder = tmp_path / "checkpoints" / "global_step_1" / "actor"
        folder.mkdir(parents=True)
        (folder / "model.pt").write_bytes(b"w" * 2**20)
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 720704 vs 720596")

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", fail)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
    with pytest.raises(StorageError, match=r"^no space left on .*global_step_1 needs more than 1 MiB, 0 MiB are free"):
        trainer.train()
    assert sorted(trainer.noted.metrics) == [1]
    assert not (tmp_path / "checkpoints" / "global_step_1").exists()


def test_another_error_of_a_save_stays_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "global_step_1"
    folder.mkdir()
    assert disk_full(folder, 0, RuntimeError("a worker died")) == ""
    assert folder.exists()
    assert "no space left" in disk_full(folder, 0, OSError(errno.ENOSPC, "write"))
