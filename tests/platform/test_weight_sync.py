"""New weights reach vLLM on a CPU: after a sync its log-probabilities are those of transformers, for every way it multiplies.

Each case is a process with an engine of its own (`sync_probe.py`). The controls run vLLM without the project's plugin: they fail
when vLLM no longer needs it, which is the moment to delete `innovator_rl/platform/packed_weights.py`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

PROBE = Path(__file__).with_name("sync_probe.py")
BOUND = {"float32": 1e-4, "bfloat16": 0.05}
"""Measured: 1e-6 and 0.013. A stale or scrambled weight is off by 0.1 to 2."""


def run_probe(*arguments: str) -> dict[str, Any]:
    """The JSON line of one probe. It leads a process group of its own, so that no engine outlives a failed test."""
    command = [sys.executable, str(PROBE), *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=400)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
    lines = [line for line in output.splitlines() if line.startswith("PROBE ")]
    assert lines, output[-3000:]
    return json.loads(lines[-1].removeprefix("PROBE "))


@pytest.mark.parametrize(
    ("model", "dtype", "flags"),
    [
        ("tiny-qwen2", "float32", []),
        ("tiny-qwen2", "bfloat16", []),
        ("tiny-qwen2", "float32", ["--tied"]),
        ("tiny-qwen2-moe", "float32", []),
        ("tiny-qwen2-moe", "bfloat16", []),
        ("tiny-qwen2-moe", "float32", ["--compile"]),
    ],
    ids=["dense-float32", "dense-bfloat16", "tied-float32", "moe-float32", "moe-bfloat16", "moe-float32-compiled"],
)
def test_log_probabilities_follow_the_weights(model: str, dtype: str, flags: list[str]) -> None:
    found = run_probe(model, dtype, *flags)

    assert found["errors"] == []
    assert found["loaded"] < BOUND[dtype]
    assert min(found["stale"]) > 0.1, "the noise must be visible, or the comparison proves nothing"
    assert len(found["synced"]) == 2
    assert max(found["synced"]) < BOUND[dtype]


def test_stock_vllm_cannot_load_into_packed_linear_layers() -> None:
    """Control. If this fails, vLLM keeps its weights loadable: delete `_keep_linear_weights`."""
    found = run_probe("tiny-qwen2", "float32", "--stock")

    assert "weight_loader" in found["errors"][0]
    assert found["synced"][-1] > 0.1


def test_stock_vllm_does_not_update_the_experts() -> None:
    """Control. If this fails, vLLM packs its experts again after an update: delete `_keep_expert_weights`.

    A CPU with bfloat16 instructions packs the attention's linear layers as well, and those refuse the update first.
    """
    found = run_probe("tiny-qwen2-moe", "bfloat16", "--stock")

    assert all("weight_loader" in error for error in found["errors"])
    assert found["loaded"] < BOUND["bfloat16"]
    assert found["synced"][-1] > 0.1
