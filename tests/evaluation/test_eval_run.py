"""A whole evaluation with a real engine: killed and resumed, recorded, and equal to the stock harness."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from innovator_rl.recorded_run import open_run

ROOT = Path(__file__).resolve().parents[2]


def data(folder: Path) -> Path:
    """A data folder with questions of our own, in the form of the published files."""
    random.seed(3)
    math = folder / "eval/math"
    math.mkdir(parents=True)
    rows = [
        {"question": f"{i}+{i}?", "choices": [str(2 * i + d) for d in (0, 1, 2, 3)], "answer": i % 4, "type": "sum"}
        for i in range(12)
    ]
    (math / "mmlu_stem.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rows = [
        {"Body": f"A box has {i} balls", "Question": "How many?", "Answer": float(i), "Type": "x"} for i in range(24)
    ]
    (math / "svamp.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def command(folder: Path, name: str) -> list[str]:
    suite = {
        "name": "own",
        "rows": [
            {"name": "choices", "task": "local_mmlu_stem"},
            {"name": "text", "set": "svamp", "max_new_tokens": 48, "samples": 2, "temperature": 1.0, "metric": "avg@2"},
        ],
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(suite))
    options = [
        "--model",
        "tiny-qwen2",
        "--data",
        str(folder),
        "--runs-dir",
        str(folder / "runs"),
        "--name",
        name,
        "--backend",
        "vllm",  # one engine for both tasks
        "--threads",
        "1",  # two evaluations run side by side
        "--json",
    ]
    return [sys.executable, "-m", "innovator_rl", "eval", str(folder / "own.yaml"), *options]


def stored(path: Path) -> int:
    try:
        return int(sqlite3.connect(path).execute("SELECT count(*) FROM responses").fetchone()[0])
    except sqlite3.Error:
        return 0


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_and_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    folder = data(tmp_path)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    silent: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    whole, killed = (subprocess.Popen(command(folder, name), **silent) for name in ("whole", "killed"))
    store = folder / "runs/killed/responses.sqlite"
    deadline = time.monotonic() + 400
    while stored(store) < 50 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = stored(store)
    assert kept >= 48
    done = subprocess.run(command(folder, "killed"), env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert whole.wait(400) == 0
    results = {name: json.loads((folder / f"runs/{name}/report.json").read_text()) for name in ("killed", "whole")}
    assert results["killed"]["rows"] == results["whole"]["rows"]
    assert results["killed"]["footer"]["responses"]["from the store"] >= kept
    rows = {row["task"]: row for row in results["whole"]["rows"] if row["main"]}
    assert (rows["choices"]["n"], rows["text"]["n"]) == (12, 24)
    run = open_run(folder / "runs/killed")
    assert len(run.rollouts(kind="validation").fetchall()) == 12 + 48
