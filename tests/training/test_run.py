"""A whole run through the command: stock verl and vLLM on a mixture of experts, killed in the middle, resumed by the same command.

The run that is killed has two training ranks and two rollout replicas; the others have one.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from benchmarks.repeatability import EQUAL
from innovator_rl.rollouts.store import Store
from innovator_rl.runs.run_dir import RunDir

ROOT = Path(__file__).parents[2]
STEPS, SAVE_AT = 8, 3
RANKS = 2
START_SECONDS = 420


def command(runs: Path, *words: str) -> list[str]:
    settings = [
        f"logging.runs_dir={runs}",
        f"schedule.steps={STEPS}",
        f"schedule.save_every={SAVE_AT}",
        f"schedule.validate_every={STEPS}",
        "schedule.validate_before=false",
        "data.validation_rows=4",
        "algorithm.prompts_per_step=4",
        "rollout.samples_per_prompt=4",
        "rollout.max_response_tokens=16",
        *words,
    ]
    last = {word.partition("=")[0]: word for word in settings}  # the caller's words win
    return [sys.executable, "-m", "innovator_rl.cli.main", "train", "configs/train/moe.yaml", *last.values()]


def uids(run: RunDir, step: int, attempt: int) -> set[str]:
    files = (run.rollouts / f"step={step:06d}").glob("*.parquet")
    rows = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    return {row["prompt_uid"] for row in rows if row["attempt"] == attempt and row["kind"] == "train"}


def kill_after(run: RunDir, step: int, process: subprocess.Popen[bytes]) -> None:
    """SIGKILL the trainer, and nothing else, once `step` is done."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the run ended early:\n{(run.logs / 'driver.log').read_text()[-3000:]}"
        if any(row["step"] >= step for row in run.metrics()):
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            return
        time.sleep(0.2)
    pytest.fail(f"step {step} was not reached in {START_SECONDS} s")


def wait_until_gone(names: tuple[str, ...], before: set[int], seconds: float = 60) -> list[str]:
    """Processes with such names that were started since; Ray's follow their dead driver within seconds."""
    left: list[str] = []
    for _ in range(int(seconds)):
        left = [
            f"{p.pid} {p.info['name']}"
            for p in psutil.process_iter(["name", "status"])
            if p.pid not in before
            and any(n in (p.info["name"] or "") for n in names)
            and p.info["status"] != psutil.STATUS_ZOMBIE
        ]
        if not left:
            return []
        time.sleep(1)
    return left


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_run_is_resumed_by_the_same_command(tmp_path: Path) -> None:
    environment = {**os.environ, "INNOVATOR_PLATFORM": "cpu"}
    before = {p.pid for p in psutil.process_iter()}
    run = RunDir(tmp_path / "moe")
    words = command(tmp_path, f"resources.accelerators_per_node={RANKS}")
    first = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    wait_for_step(run, first, 1)
    assert len(find_all("VLLM::EngineCore", first.pid)) == RANKS
    kill_after(run, step=SAVE_AT + 1, process=first)
    assert run.state().status == "dead"
    done = max(row["step"] for row in run.metrics())
    assert SAVE_AT < done < STEPS
    first_lines = run.metrics_jsonl.read_text().splitlines()
    assert wait_until_gone(("raylet", "gcs_server", "VLLM"), before) == []

    second = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=700, check=False)
    assert second.returncode == 0, second.stderr[-3000:]
    saved = SAVE_AT * (done // SAVE_AT)  # a later one may stand, if it was whole
    resumed = run.state().record["attempts"][1]["resumed_from_step"]
    assert resumed in (saved, saved - SAVE_AT)
    assert f"resuming after step {resumed}" in second.stderr
    assert (
        f"steps {resumed + 1} to {done} of the earlier attempt are done again, from the same prompts" in second.stderr
    )
    assert f"step {STEPS}/{STEPS}" in second.stderr

    state = run.state()
    assert (state.status, state.step, state.attempt) == ("finished", STEPS, 2)
    assert run.metrics_jsonl.read_text().splitlines()[: len(first_lines)] == first_lines  # appended, not overwritten
    rows = {row["step"]: row for row in run.metrics()}
    assert sorted(rows) == list(range(1, STEPS + 1))
    assert [rows[s]["attempt"] for s in sorted(rows)] == [1] * resumed + [2] * (STEPS - resumed)

    # No prompt skipped, none repeated: the redone step asks the same prompts, the others different ones.
    assert uids(run, resumed + 1, attempt=2) == uids(run, resumed + 1, attempt=1)
    asked = [uids(run, step, 1 if step <= resumed else 2) for step in range(1, STEPS + 1)]
    positions = sorted(int(uid.rpartition("p")[2]) for group in asked for uid in group)
    assert positions == list(range(sum(map(len, asked))))
    # What is done again has the same responses, losses and gradients, bit for bit.
    figures: dict[tuple[int, int], dict[str, float]] = {}
    for line in run.metrics_jsonl.read_text().splitlines():
        row = json.loads(line)
        figures.setdefault((row["step"], row["attempt"]), {}).update({name: row[name] for name in EQUAL if name in row})
    for step in range(resumed + 1, done + 1):
        assert len(figures[step, 1]) >= 4
        assert figures[step, 1] == figures[step, 2], step

    # Each replica gets the weights of every update: its probabilities are those of the trainer.
    assert max(row["training/rollout_probs_diff_max"] for row in rows.values()) == pytest.approx(0.0, abs=1e-6)
    saved_shards = (run.checkpoints / f"global_step_{STEPS}" / "actor").glob("model_world_size_*.pt")
    assert sorted(file.name for file in saved_shards) == [
        f"model_world_size_{RANKS}_rank_{rank}.pt" for rank in range(RANKS)
    ]

    # Every response is on record, with its update; the experts' load is among the metrics.
    store = Store(run.path)
    assert len(store.rollouts(steps=[STEPS], kind="train")) == 16
    groups = store.groups(steps=[STEPS])
    assert len(groups) == 4
    assert rows[STEPS]["actor/router/layer_00/entropy"] > 0
    assert rows[STEPS]["rollout_corr/rollout_is_mean"] == pytest.approx(
        1.0, abs=0.05
    )  # the synced experts agree with the trainer's
    assert (run.path / "tensorboard").is_dir()
    assert json.loads(run.run_json.read_text())["packages"]["verl"] == "0.9.1"
    assert wait_until_gone(("raylet", "gcs_server", "VLLM"), before) == []


def find_all(name: str, root: int) -> list[psutil.Process]:
    """The descendants of `root` whose process title contains `name`."""
    found = []
    for process in psutil.Process(root).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if name in " ".join(process.cmdline()) or name in process.name():
                found.append(process)
    return found


def kill(name: str, root: int) -> None:
    deadline = time.monotonic() + 30
    while not (found := find_all(name, root)):  # Ray changes the title of a process for each call
        assert time.monotonic() < deadline, name
        time.sleep(0.2)
    found[0].kill()


def wait_for_step(run: RunDir, process: subprocess.Popen[Any], step: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not any(row["step"] >= step for row in run.metrics()):
        assert process.poll() is None, (run.logs / "driver.log").read_text()[-3000:]
        assert time.monotonic() < deadline, f"step {step} was not reached in {START_SECONDS} s"
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("survived", "victim", "cause"),
    [
        (["ray::RewardLoopWorker", "ray::RecordingWorker"], "VLLM::EngineCore", "vLLM"),
        ([], "ray::WorkerDict", "WorkerDict"),
    ],
    ids=["engine", "actor"],
)
def test_a_run_survives_a_dead_reward_or_agent_loop_worker_and_ends_with_the_cause_of_another(
    survived: list[str], victim: str, cause: str, tmp_path: Path
) -> None:
    before = {p.pid for p in psutil.process_iter()}
    run = RunDir(tmp_path / "moe")
    words = ["schedule.steps=200", "schedule.save_every=0", "schedule.validate_every=0"]
    process = subprocess.Popen(
        command(tmp_path, *words),
        cwd=ROOT,
        env={**os.environ, "INNOVATOR_PLATFORM": "cpu"},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_step(run, process, 1)
    for worker in survived:
        kill(worker, process.pid)
        wait_for_step(run, process, max(row["step"] for row in run.metrics()) + 3)
    kill(victim, process.pid)
    killed = time.monotonic()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said[-3000:]
    assert time.monotonic() - killed < 90
    record = run.state().record
    assert record["status"] == "failed"
    assert cause.lower() in record["cause"].lower(), record["cause"]
    assert cause.lower() in said.lower()
    assert wait_until_gone(("raylet", "gcs_server", "VLLM"), before) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["configs/train/nothing.yaml"], "configs/train/nothing.yaml: no such file"),
        (["configs/train/moe.yaml", "model.path=/nowhere/model"], "model.path"),
        (["configs/train/moe.yaml", "data.train=[/nowhere/data.parquet]"], "/nowhere/data.parquet"),
        (["configs/train/moe.yaml", "algorithm.learning_rte=1"], "learning_rate"),
        (["configs/train/moe.yaml", "rollout.samples_per_prompt=1"], "rollout.samples_per_prompt"),
    ],
)
def test_a_mistake_costs_one_line_and_starts_nothing(words: list[str], expected: str, tmp_path: Path) -> None:
    before = {p.pid for p in psutil.process_iter()}
    overrides = [] if "nothing" in words[0] else [f"logging.runs_dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "innovator_rl.cli.main", "train", *words, *overrides],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert any(expected in line for line in done.stderr.splitlines())
    assert not [p for p in psutil.process_iter(["name"]) if p.pid not in before and "raylet" in (p.info["name"] or "")]
