"""Every response has a seed of its own, the same one in another run; agent-loop workers take turns."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from innovator_rl.integrations.verl import agent_loop
from innovator_rl.integrations.verl.request_patience import Patience
from innovator_rl.integrations.verl.request_seeds import request_seed


def test_seeds_differ_in_each_part_and_repeat() -> None:
    seeds = {
        request_seed(run, prompt, sample, step)
        for run in range(3)
        for prompt in ("p1", "p11", "p2")
        for sample in range(12)
        for step in range(12)
    }
    assert len(seeds) == 3 * 3 * 12 * 12
    assert all(0 <= seed < 2**62 for seed in seeds)
    assert request_seed(0, "e0000-r0000001-p00000002", 3, 4) == 4097233413362502962


def test_each_sample_of_a_group_is_asked_with_its_own_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    async def run(self: Any, sampling_params: dict[str, Any], trajectory: dict[str, Any], **_: Any) -> None:
        asked.append(sampling_params)

    monkeypatch.setattr(agent_loop._Worker, "_run_agent_loop", run)
    worker = object.__new__(agent_loop.RecordingWorker)
    rollout = SimpleNamespace(n=4, val_kwargs=SimpleNamespace(n=1))
    worker.config = SimpleNamespace(actor_rollout_ref=SimpleNamespace(rollout=rollout))
    worker._request_seed, worker._patience = 7, Patience(60)
    shared: dict[str, Any] = {"temperature": 1.0}
    for validate, uid in ((False, "e0-r1-p2"), (True, "random")):
        for sample in range(4):
            info = {"extra_info": {"id": "x", "index": 5}, "data_source": "math"}
            asyncio.run(
                worker._run_agent_loop(
                    shared, {"validate": validate}, uid=uid, session_id=sample, global_steps=1, **info
                )
            )
    seeds = [params["seed"] for params in asked]
    assert len(set(seeds)) == 8
    assert "seed" not in shared  # verl hands one dictionary to all samples of a group
    assert seeds[4] == request_seed(7, "validation math x 5", 0, 1)


def test_replacements_take_turns_over_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[tuple[int, int]] = []

    def worker(number: int) -> SimpleNamespace:
        def remote(chunk: TensorDict) -> None:
            got.append((number, len(chunk)))

        return SimpleNamespace(generate_sequences=SimpleNamespace(remote=remote))

    monkeypatch.setattr("verl.trainer.ppo.v1.agent_loop_tq.ray.get", lambda calls: None)
    manager = object.__new__(agent_loop.RecordingAgentLoopManager)
    manager.agent_loop_workers = [worker(number) for number in range(3)]
    for size in (1, 1, 1, 1, 3, 2):
        manager.generate_sequences(TensorDict({"x": torch.arange(size)}, batch_size=[size]))
    assert [number for number, _ in got] == [0, 1, 2, 0, 1, 2, 0, 1, 2]
