"""The ranks: the backends they get, and waits for rank 0 that outlast the timeout of a collective."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from mesh_ranks import weights

from upcycle.checkpoint.sharded_writer import JOURNAL
from upcycle.checkpoint.tensor_source import SafetensorsFolder
from upcycle.checkpoint.torch_io import as_tensor
from upcycle.config.schema import load
from upcycle.stages import pipeline
from upcycle.training import consolidate
from upcycle.training.consolidate import ShardedModelSource
from upcycle.training.distributed import POLL_SECONDS, DistributedContext, join

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("cuda", "backend"), [(True, "cpu:gloo,cuda:nccl"), (False, "gloo")])
def test_tensors_in_host_memory_have_a_backend(cuda: bool, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`trainer.cpu_offload` keeps gradients there, also where the model computes on a GPU."""
    chosen: list[str] = []

    def init(name: str, **settings: Any) -> None:
        chosen.append(name)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)
    monkeypatch.setattr(dist, "init_process_group", init)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 1)
    assert join().device.type == ("cuda" if cuda else "cpu")
    assert chosen == [backend]


@pytest.fixture
def two() -> tuple[DistributedContext, DistributedContext]:
    """Rank 0 and rank 1 as two threads of this process, which have a store but no collectives."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    cpu = torch.device("cpu")
    return DistributedContext(0, 2, cpu), DistributedContext(1, 2, cpu)


def test_no_collective_waits_for_the_split(
    two: tuple[DistributedContext, DistributedContext], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It takes hours at full size, and a collective ends after half an hour."""
    main, other = two
    local, done = threading.local(), []

    def no_barrier() -> None:
        raise AssertionError("a collective waits")

    monkeypatch.setattr(dist, "barrier", no_barrier)
    monkeypatch.setattr(pipeline, "join", lambda _threads: local.rank)
    monkeypatch.setattr(pipeline, "read_base_config", lambda _folder: {})
    monkeypatch.setattr(pipeline, "check", lambda *_arguments: None)
    monkeypatch.setattr(pipeline, "in_process", lambda _config: lambda stage, _: done.append((local.rank.rank, stage)))
    monkeypatch.setattr(pipeline.convert, "split", lambda *_arguments: done.append((0, "split")))
    config = load(ROOT / "configs/upcycle/tiny.yaml", [f"runs_dir={tmp_path}"])

    def run(rank: DistributedContext) -> None:
        local.rank = rank
        pipeline.train(config, tmp_path, print)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, other)
        while (1, "train_experts") not in done:
            time.sleep(0.01)
        time.sleep(3 * POLL_SECONDS)
        assert (1, "train_router") not in done, "rank 1 goes on before the split is there"
        run(main)
        waiting.result(timeout=60)
    assert done.index((1, "train_router")) > done.index((0, "split"))
    assert done.count((0, "split")) == 1


@pytest.mark.parametrize("same", [True, False])
def test_an_interrupted_folder_goes_on_after_its_last_file(
    two: tuple[DistributedContext, DistributedContext], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, same: bool
) -> None:
    """Unless its weights come from another checkpoint; the other ranks gather what rank 0 still has to write."""
    names = [f"layer{i}" for i in range(4)]
    model = torch.nn.Module()
    for number, name in enumerate(names):
        model.register_parameter(name, torch.nn.Parameter(torch.full((2, 3), float(number))))
    monkeypatch.setattr(consolidate, "SHARD_BYTES", 24)  # one tensor in a file
    checkpoint, target = tmp_path / "step=000008", tmp_path / "integrate"
    checkpoint.mkdir()
    (checkpoint / "0.distcp").write_text("weights")

    def save(rank: DistributedContext) -> None:
        consolidate.save_folder(model, names, target, rank, lambda _aside: None, [checkpoint])

    gathered: list[str] = []
    gather = ShardedModelSource.gather

    def counted(self: ShardedModelSource, name: str) -> torch.Tensor:
        if len(gathered) == 2 and not target.with_name("again").exists():
            raise KeyboardInterrupt
        gathered.append(name)
        return gather(self, name)

    monkeypatch.setattr(ShardedModelSource, "gather", counted)
    with pytest.raises(KeyboardInterrupt):
        save(DistributedContext(0, 1, torch.device("cpu")))
    assert not target.exists()
    target.with_name("again").touch()
    if not same:
        (checkpoint / "0.distcp").write_text("other weights")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(save, two[1])
        save(two[0])
        waiting.result(timeout=60)
    assert sorted(gathered[2:]) == sorted(2 * (names[2:] if same else names))
    source = SafetensorsFolder(target)
    assert [source.rows(name, 0, 1)[0, 0] for name in names] == [0, 1, 2, 3]
    assert not (target / JOURNAL).exists()


def test_two_ranks_leave_out_the_same_update_and_save_whole_weights(tmp_path: Path) -> None:
    """The loss of rank 1 alone is no number."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/upcycle'}", "OMP_NUM_THREADS": "1"}
    script = ROOT / "tests/upcycle/two_ranks.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=900, env=environment, capture_output=True)
    for rank in (0, 1):
        assert json.loads((tmp_path / f"rank-{rank}.json").read_text()) == {"skipped": 1.0, "moved": []}
    source = SafetensorsFolder(tmp_path / "saved")
    for name, wanted in weights().items():
        found = as_tensor(source.rows(name, 0, source.entries[name].rows), "F32").view_as(wanted)
        assert torch.equal(found, wanted), name
