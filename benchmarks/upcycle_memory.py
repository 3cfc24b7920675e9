"""Compare the memory that `innovator upcycle plan` states with the measured peak of the same training steps, on a CPU.

    python -m benchmarks.upcycle_memory [--out FILE.json]

Every stage takes two optimizer steps of two slices at a small size, in a process of its own; the measured figure is its peak
resident memory less what it had before the model was built. Weights and batches are random, because memory does not depend
on them. The ratio is planned over measured; the aim is 0.9 to 1.1.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from pathlib import Path

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
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append({"stage": stage, **row, "ratio": row["planned"] / row["measured"]})
        print(
            f"{stage}: planned {row['planned'] / 1e6:,.0f} MB, measured {row['measured'] / 1e6:,.0f} MB, "
            f"ratio {rows[-1]['ratio']:.3f}; {row['parts']}"
        )
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1))


def measure(stage: str) -> dict[str, object]:
    """Take two steps of a stage in this process and return planned and measured bytes."""
    import torch

    from upcycle.config.schema import validate
    from upcycle.data.packing import Batch
    from upcycle.model.architecture import Kind, ModelSpec
    from upcycle.model.modeling import InnovatorForCausalLM
    from upcycle.planning.memory import estimate, learns
    from upcycle.training.distributed import join
    from upcycle.training.objectives import LanguageObjective, LossWeights, MixtureObjective
    from upcycle.training.trainer import Trainer, optimizer

    tokens = LENGTH * SEQUENCES
    disciplines = ["a", "b", "c", "d"]
    config = validate(
        {
            "base_model": "random",
            "disciplines": dict.fromkeys(disciplines),
            "mixture": {"split": 4, "top_k": 4},
            "data": {"sequence_length": LENGTH},
            "train_router": {"tokens": 4 * tokens, "batch_tokens": 2 * tokens, "init_tokens": 0},
            **{name: {"tokens": 4 * tokens, "batch_tokens": 2 * tokens} for name in ("train_experts", "train_joint")},
            "trainer": {"dtype": "float32", "micro_batch_tokens": tokens, "threads": 1},
        }
    )
    kind: Kind = "induced" if stage == "train_experts" else "mixture"
    spec = ModelSpec.from_config(config, dict(SHAPE), kind)
    settings = getattr(config, stage)
    context = join(1)

    def take_steps(spec: ModelSpec) -> None:
        model = InnovatorForCausalLM(spec)
        trains = learns(spec, settings)
        for name, parameter in model.named_parameters():
            torch.nn.init.normal_(parameter.data, std=0.02)
            parameter.requires_grad_(trains(name))
        model.set_checkpointing(True)
        if stage == "train_router":
            model.set_gates_constant(True)
        weights = LossWeights(1.0, 0.1, 0.01, 0.0) if stage == "train_joint" else LossWeights(0.0, 1.0, 0.01, 0.0)
        objective = LanguageObjective() if kind == "induced" else MixtureObjective(weights, disciplines, 4, "null")
        trainer = object.__new__(Trainer)  # without a run directory: only `update` is used
        trainer.__dict__.update(
            model=model, stage=settings, config=config.trainer, objective=objective, steps=2, step=0
        )
        trainer.__dict__.update(distributed=context, _phase=lambda _name: None)
        trainer.optimizer = optimizer(model, settings)
        ids = torch.randint(spec.vocabulary, (SEQUENCES, LENGTH))  # type: ignore[call-overload]
        places = torch.arange(LENGTH).expand(SEQUENCES, -1).contiguous()
        trainer.batches = lambda _step: [Batch(ids, ids, places, torch.arange(SEQUENCES))] * 2  # type: ignore[assignment]
        for _ in range(2):
            trainer.update()
            trainer.step += 1

    tiny = {**SHAPE, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 256}
    take_steps(
        ModelSpec.from_config(config, tiny, kind)
    )  # loads what the first operations load, so that it is not counted
    gc.collect()
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    take_steps(spec)
    planned = estimate(config, spec, settings, 1)
    parts = {name: round(value / 1e6) for name, value in vars(planned).items()}
    return {"planned": planned.total, "measured": _resident("VmHWM") - before, "parts": parts}


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{field} is not in /proc/self/status")


if __name__ == "__main__":
    main()
