"""Fine-tuning on a tiny random model: the loss falls, a killed run resumes exactly, answers alone are learned."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from innovator_rl.runs.run_dir import RunDir

DEADLINE_S = 400.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # processes that import torch and verl on a shared machine


def configuration(tmp_path: Path, name: str, **changes: Any) -> Path:
    """Write 34 rows, 4 updates an epoch, and a configuration of 8 updates."""
    rows = [
        {"messages": [{"role": "user", "content": f"{n}+1?"}, {"role": "assistant", "content": f"Answer: {n + 1}"}]}
        for n in range(34)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "name": name,
        "model": {"path": "tiny-qwen2"},
        "data": {
            "train": [str(tmp_path / "rows.jsonl")],
            "validation": [str(tmp_path / "rows.jsonl")],
            "max_tokens": 64,
        },
        "optimizer": {"batch_rows": 8, "learning_rate": 1e-3},
        "schedule": {"epochs": 2, "save_every": 2, "validate_every": 4},
        "resources": {"platform": "cpu", "threads": 1},
        "logging": {"runs_dir": str(tmp_path / "runs"), "tensorboard": False},
        "export": {"dtype": "float32"},
        **changes,
    }
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "innovator_rl", "sft", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, output
    return output


def losses(run: RunDir) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in run.metrics() if "loss" in row}


def wait_for_step(run: RunDir, step: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + DEADLINE_S
    while step not in losses(run):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_run_resumes_to_the_same_loss_curve_and_the_same_weights(tmp_path: Path) -> None:
    output = finish(start(configuration(tmp_path, "whole")))
    whole = RunDir(tmp_path / "runs" / "whole")
    expected = losses(whole)
    assert sorted(expected) == list(range(1, 9))
    assert expected[8] < 0.7 * expected[1]
    assert "step 8/8 | loss" in output
    assert "tokens/s" in output
    assert whole.state().status == "finished"

    path = configuration(tmp_path, "killed")
    killed = RunDir(tmp_path / "runs" / "killed")
    first = start(path)
    wait_for_step(killed, 5, first)  # the last checkpoint is of step 4, where the second epoch begins
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    resumed = finish(start(path))
    assert "resuming after step" in resumed
    assert losses(killed) == expected
    weights = [(run.path / "model" / "model.safetensors").read_bytes() for run in (whole, killed)]
    assert weights[0] == weights[1]


def test_two_ranks_train_a_mixture_to_the_same_losses_and_leave_its_layout(tmp_path: Path) -> None:
    for name, ranks in (("one", 1), ("two", 2)):
        resources = {"platform": "cpu", "threads": 1, "accelerators_per_node": ranks}
        schedule = {"steps": 3, "save_every": 0}
        finish(
            start(
                configuration(tmp_path, name, model={"path": "tiny-qwen2-moe"}, resources=resources, schedule=schedule)
            )
        )
    one, two = (losses(RunDir(tmp_path / "runs" / name)) for name in ("one", "two"))
    assert sorted(two) == [1, 2, 3]
    # The ranks draw the same rows between them, so only the order of additions differs.
    assert two == pytest.approx(one, rel=2e-3)
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "runs" / "two" / "model"
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.config.num_experts == 8


def test_ctrl_c_ends_after_the_update_with_a_checkpoint(tmp_path: Path) -> None:
    path = configuration(tmp_path, "stopped", schedule={"steps": 400, "save_every": 0})
    run, process = RunDir(tmp_path / "runs" / "stopped"), start(path)
    wait_for_step(run, 2, process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, output
    assert run.state().status == "stopped"
    last = max(losses(run))
    assert (run.checkpoints / f"global_step_{last}" / "complete.json").is_file()


def test_a_rank_that_dies_ends_the_run_with_its_cause(tmp_path: Path) -> None:
    path = configuration(tmp_path, "broken", verl={"optim": {"optimizer": "NoSuchOptimizer"}})
    process = start(path)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1, output
    assert "rank 0 ended with status 1" in output
    assert "NoSuchOptimizer" in output
    assert RunDir(tmp_path / "runs" / "broken").state().status == "failed"
