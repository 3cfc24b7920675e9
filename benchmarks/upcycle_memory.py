"""Compare the memory that `innovator upcycle plan` states with the measured peak of the same training steps, on a CPU.

    python -m benchmarks.upcycle_memory [--out FILE.json]

Every stage takes two optimizer steps of two slices at a small size, in a process of its own; the measured figure is its peak
resident memory less what it had before the model was built. The C library returns freed blocks at once there, because what
it otherwise keeps (20 % here) is no memory of the training. Weights and batches are random, because memory does not depend
on them. The ratio is planned over measured; the aim is 0.9 to 1.1.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upcycle.config.stages import Stage

STAGES = ("train_experts", "train_router", "train_joint")
SHAPE = {
    "model_type": "qwen2", "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 4, "vocab_size": 8192, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0, "tie_word_embeddings": False, "hidden_act": "silu",
}  # fmt: skip
LENGTH, SEQUENCES = 256, 2


def main() -> None:
    """Measure every stage and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--stage", choices=STAGES)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(measure(options.stage)))
        return
    rows = []
    for stage in STAGES:
        command = [sys.executable, "-m", "benchmarks.upcycle_memory", "--stage", stage]
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600, env=environment)
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append({"stage": stage, **row, "ratio": row["planned"] / row["measured"]})
        print(
            f"{stage}: planned {row['planned'] / 1e6:,.0f} MB, measured {row['measured'] / 1e6:,.0f} MB, "
            f"ratio {rows[-1]['ratio']:.3f}; {row['parts']}"
        )
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1))


def measure(stage: Stage) -> dict[str, object]:
    """Take two steps of a stage in this process and return planned and measured bytes."""
    import torch

    from benchmarks.upcycle_steps import configuration, random_trainer
    from upcycle.planning.memory import estimate
    from upcycle.training.losses import cross_entropy

    config = configuration(
        LENGTH,
        SEQUENCES,
        disciplines=4,
        mixture={"split": 4, "top_k": 4},
        trainer={"dtype": "float32", "threads": 1},
    )

    def take_steps(shape: dict[str, Any]) -> Any:
        trainer = random_trainer(config, shape, stage)
        for _ in range(2):
            trainer.update()
            trainer.step += 1
        with torch.no_grad():  # a stage evaluates with the head, also where its loss needs none
            batch = trainer.batches(0)[0]
            hidden = trainer.model(batch.tokens, position_ids=batch.positions, logits=False).hidden
            cross_entropy(trainer.model.lm_head, hidden, batch.labels)
        return trainer.model.spec

    tiny = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 256}
    take_steps({**SHAPE, **tiny})  # loads what the first operations load, so that it is not counted
    gc.collect()
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    spec = take_steps(dict(SHAPE))
    planned = estimate(config, spec, getattr(config, stage), 1)
    parts = {name: round(value / 1e6) for name, value in vars(planned).items()}
    return {"planned": planned.total, "measured": _resident("VmHWM") - before, "parts": parts}


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{field} is not in /proc/self/status")


if __name__ == "__main__":
    main()
