"""A phase that hangs is remarked within a minute and ended with its cause; a full disk is one line, after the record."""

import errno
import shutil
import subprocess
import sys
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
from innovator_rl.runs.run_dir import RunDir


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_phase_is_judged_by_its_own_history() -> None:
    clock = Clock()
    said: list[str] = []
    ended: list[float] = []
    watchdog = Watchdog(
        said.append, lambda: ended.append(clock.now), lambda: "stopped: ray::WorkerDict (7)", print, clock
    )
    for seconds in (20.0, 30.0):
        watchdog.enter("updating")
        clock.now += seconds
        watchdog.enter("generating")
        for _ in range(100):  # it may take any time, while the sampler looks at its queue
            clock.now += 50.0
            watchdog.look()
            watchdog.beat()
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
    watchdog = Watchdog(print, print, str, print, Clock())
    assert watchdog.limits("syncing") == (600.0, 4 * 3600.0)


def test_a_sampler_that_waits_for_a_frozen_queue_is_named_and_ended() -> None:
    clock = Clock()
    said: list[str] = []
    ended: list[float] = []
    abandoned: list[tuple[float, str]] = []
    watchdog = Watchdog(
        said.append,
        lambda: ended.append(clock.now),
        lambda: "stopped: ray::SimpleStorageUnit (9)",
        lambda cause: abandoned.append((clock.now, cause)),
        clock,
    )
    watchdog.enter("generating")
    watchdog.beat()
    while clock.now < 1950.0:
        clock.now += 5.0
        watchdog.look()
    assert said == [
        "generating has stood still for 1 min 05 s: the trainer waits for its queue or for a worker; "
        "stopped: ray::SimpleStorageUnit (9); the run ends at 30 min 00 s"
    ]
    assert ended == [1805.0]
    assert abandoned[0] == (1930.0, watchdog.stalled), "the workers' end did not free the trainer in two minutes"


def test_an_abandoned_run_is_recorded_as_failed(tmp_path: Path) -> None:
    code = """
import sys, time
from types import SimpleNamespace
from innovator_rl.integrations.verl.callbacks import RunCallbacks
from innovator_rl.integrations.verl.trainer import InnovatorTrainer
from innovator_rl.runs.progress import Progress
from innovator_rl.runs.run_dir import RunDir
run = RunDir(sys.argv[1])
attempt = run.open_attempt(total_steps=3)
observer = RunCallbacks(run, attempt, 4, Progress("r", total_steps=3, stream=sys.stdout, live=False), {})
InnovatorTrainer._abandon(SimpleNamespace(observer=observer), "generating has stood still for 30 min")
print("not reached")
"""
    result = subprocess.run([sys.executable, "-c", code, tmp_path / "r"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1, result.stderr
    assert "not reached" not in result.stdout
    state = RunDir(tmp_path / "r").state()
    assert (state.status, state.detail) == ("failed", "PhaseStalled: generating has stood still for 30 min")


def test_ended_workers_become_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(), lambda prompt: [1.0, 0.0] * 2, monkeypatch)

    def hang(batch: object) -> None:
        monkeypatch.setattr(phase_watchdog, "FIRST_REMARK_SECONDS", -1.0)
        monkeypatch.setattr(phase_watchdog, "FIRST_END_SECONDS", 0.0)
        trainer.watchdog.look()
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
        trainer.agent_loop.agent_loop_workers = ("agent-loop worker",)
        trainer.watchdog.look()
        raise ray.exceptions.RayActorError

    monkeypatch.setattr(ray, "kill", lambda actor, no_restart: ended.append(actor))
    monkeypatch.setattr(trainer.checkpoint_manager, "sleep_replicas", hang)
    with pytest.raises(PhaseStalled, match=r"pausing has taken 0 s; it is the first"):
        trainer.train()
    assert ended == ["training worker", "vLLM server", "agent-loop worker"]


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
