"""The GPU benchmarks run on a bare machine, and their CPU mode finds what a GPU must find: no waits, equal logits, zero gates."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_gpu_benchmarks_run_with_torch_and_transformers_alone(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = ROOT / "tests/upcycle/bare_machine.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=240, env=environment, capture_output=True)
    upcycle, rl = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("upcycle", "rl"))
    failed = {name: part["failed"] for found in (upcycle, rl) for name, part in found.items() if "failed" in part}
    assert not failed
    assert upcycle["waits"]["per_layer"] == 0, "the host waits for the device in every layer"
    assert upcycle["exported"]["difference"] < 1e-5
    assert upcycle["exported"]["same first choice"] == 1
    assert {row["layers"] for row in upcycle["steps"]["train_joint"]["rows"]} == {1, 2}
    assert rl["prefix"]["difference of log-probabilities"] < 1e-4
    assert rl["router"]["figures"]
    assert rl["gate"]["all zero"]
    assert rl["gate"]["gates"] == 2
    assert [rl[name]["skipped"] for name in ("records", "engine")] == ["needs pyarrow", "needs verl"]
