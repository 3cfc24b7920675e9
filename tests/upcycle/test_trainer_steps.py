"""What the engine promises, on a tiny base model: ranks agree, any number of ranks reads a checkpoint, a kill costs nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from innovator_rl.errors import UserError
from innovator_rl.runs.run_dir import RunDir
from upcycle.checkpoint import convert
from upcycle.checkpoint.readers import read_base_config
from upcycle.config.schema import UpcycleConfig, load
from upcycle.config.stages import StageConfig
from upcycle.stages import induction
from upcycle.stages.folders import artifacts
from upcycle.training.trainer import learning_rate

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "configs/upcycle/tiny.yaml"
SCRIPT = Path(__file__).with_name("trainer_ranks.py")
LIMIT = 900  # seconds a child may take on a busy machine
pytestmark = pytest.mark.timeout(LIMIT)


def settings(runs: Path, *more: str) -> list[str]:
    return [f"runs_dir={runs}", "trainer.threads=1", "data.evaluation_sequences=1", "mixture.null_experts=1", *more]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with two induced experts and their split."""
    folder = tmp_path_factory.mktemp("runs")
    config = configuration(folder, "train_experts.tokens=1024")
    from innovator_rl.models import make

    for discipline in config.disciplines:
        induction.train_expert(config, discipline)
    base_model = make("tiny-qwen2")
    place = artifacts(config)
    convert.split(
        config, read_base_config(base_model), base_model, place / "experts", place / "split", lambda _line: None
    )
    return folder


@pytest.fixture(autouse=True)
def _from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def configuration(runs: Path, *more: str) -> UpcycleConfig:
    return load(TINY, settings(runs, *more))


def copy_of(runs: Path, target: Path) -> Path:
    """The artifacts of `runs` under a folder where a test's own stages go."""
    (target / "tiny-upcycle").mkdir(parents=True)
    for name in ("data", "split"):
        (target / "tiny-upcycle" / name).symlink_to(runs / "tiny-upcycle" / name)
    return target


def steps_on(ranks: int, runs: Path, stage: str, steps: int, out: Path, *more: str) -> tuple[list[dict], dict]:
    """`steps` more steps of a stage on so many ranks; their figures and the weights that train."""
    words = [str(SCRIPT), str(TINY), stage, str(steps), str(out), *settings(runs, *more)]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, *torchrun, *words], check=True, timeout=LIMIT, env=environment, cwd=ROOT, capture_output=True
    )
    return json.loads((out / "losses.json").read_text())["figures"], torch.load(out / "weights.pt")


def largest_difference(one: dict, other: dict) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "more"),
    [
        ("train_router", ("train_router.balance=0.1", "train_router.z_loss=0.01", "train_router.init_tokens=2048")),
        (
            "train_joint",
            ("train_joint.balance=0.1", "train_joint.classification=0.1", "trainer.micro_batch_tokens=512"),
        ),
    ],
)
def test_one_rank_and_two_agree(stage: str, more: tuple[str, ...], runs: Path, tmp_path: Path) -> None:
    results = []
    for ranks in (1, 2):
        mine = copy_of(runs, tmp_path / f"ranks-{ranks}")
        if stage == "train_joint":
            (mine / "tiny-upcycle" / "route").symlink_to(runs / "tiny-upcycle" / "split")
        results.append(steps_on(ranks, mine, stage, 3, tmp_path / f"out-{ranks}", *more))
    (one, weights), (two, others) = results
    for a, b in zip(one, two, strict=True):
        for key in a:
            if key.startswith("train/"):
                assert abs(a[key] - b[key]) <= 1e-6 * max(1.0, abs(a[key])), key
            elif key.startswith("router/"):
                assert a[key] == pytest.approx(b[key], abs=1e-6), key
    assert largest_difference(weights, others) <= 3e-5
    held = [json.loads((tmp_path / "out-2" / f"local-{rank}.json").read_text()) for rank in (0, 1)]
    whole = json.loads((tmp_path / "out-1" / "local-0.json").read_text())
    assert max(held) <= whole / 2 + 4096, "a rank holds its shard, not the model"


@pytest.mark.slow
def test_two_ranks_then_one_then_three_is_one_run(runs: Path, tmp_path: Path) -> None:
    chain = copy_of(runs, tmp_path / "chain")
    figures = []
    for ranks in (2, 1, 3):
        found, weights = steps_on(
            ranks, chain, "train_dense", 2, tmp_path / f"chain-{ranks}", "train_dense.batch_tokens=768"
        )
        figures += found
    alone, others = steps_on(
        1, copy_of(runs, tmp_path / "alone"), "train_dense", 6, tmp_path / "out", "train_dense.batch_tokens=768"
    )
    assert [f["train/loss"] for f in figures] == pytest.approx([f["train/loss"] for f in alone], rel=1e-6)
    assert largest_difference(weights, others) <= 3e-5


def test_killed_at_a_random_step_it_goes_on_bit_for_bit(runs: Path, tmp_path: Path) -> None:
    more = ("trainer.save_every=1", "train_experts.tokens=12288", "train_experts.batch_tokens=512")
    whole = induction.train_expert(configuration(tmp_path / "whole", *more), "physics")
    killed = configuration(tmp_path / "killed", *more)
    run = RunDir(tmp_path / "killed" / "tiny-upcycle.induct-physics")
    step = random.randint(2, 20)
    code = (
        "import sys; from upcycle.config import schema; from upcycle.stages import induction; "
        "induction.train_expert(schema.load(sys.argv[1], sys.argv[2:]), 'physics')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(TINY), *settings(tmp_path / "killed", *more)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + LIMIT
        while not any(line["step"] >= step for line in run.metrics()):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert run.state().status == "dead"
    again = induction.train_expert(killed, "physics")
    state = run.state()
    assert (state.status, state.attempt) == ("finished", 2)
    assert state.record["attempts"][1]["resumed_from_step"] >= step - 1
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    losses = [line["train/loss"] for line in run.metrics() if "train/loss" in line]
    assert losses == [
        line["train/loss"] for line in RunDir(tmp_path / "whole" / run.name).metrics() if "train/loss" in line
    ]


def test_a_changed_setting_is_refused_before_the_checkpoint_is_used(tmp_path: Path) -> None:
    config = configuration(tmp_path, "train_experts.tokens=1024")
    folder = induction.train_expert(config, "physics")
    (folder / "expert.json").unlink()
    with pytest.raises(UserError, match="trained with another stage"):
        induction.train_expert(configuration(tmp_path, "train_experts.tokens=2048"), "physics")


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    config = configuration(tmp_path, "train_experts.tokens=1024")
    folder = induction.train_expert(config, "physics")
    (folder / "expert.json").unlink()
    shard = next((tmp_path / "tiny-upcycle.induct-physics" / "checkpoints").glob("step=*/*.distcp"))
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.raises(UserError, match="remove it to resume from an older"):
        induction.train_expert(config, "physics")


def test_the_rate_warms_up_and_ends_at_its_final_share() -> None:
    stage = StageConfig(tokens=1, learning_rate=2.0, warmup=0.1, final_share=0.25)
    rates = [learning_rate(step, 100, stage) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == 2.0
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.5)


def test_the_rate_stays_at_its_peak_until_the_decay() -> None:
    stage = StageConfig(tokens=1, learning_rate=2.0, warmup=0.1, final_share=0.1, decay_share=0.2)
    rates = [learning_rate(step, 100, stage) for step in range(100)]
    assert rates[9:80] == [2.0] * 71
    assert rates[80:] == sorted(set(rates[80:]), reverse=True)
    assert rates[-1] == pytest.approx(0.2)
    constant = stage.model_copy(update={"decay_share": 0.0})
    assert [learning_rate(step, 100, constant) for step in range(80)] == rates[:80], "a branch decays from there"
