"""Compare the speed of stage 4's training steps with a plain loop over transformers' Qwen2-MoE of the same shape, in one run.

    python -m benchmarks.upcycle_speed [--rounds 3] [--hidden 256] [--out FILE.json]

Both take whole steps (forward, backward, clipping, fused AdamW) in float32 on one thread, on the same random tokens, with the
load-balance loss, in turns; the fastest step of each counts. The plain loop is what one writes with transformers alone: its
model, its loss, its own grouped experts. Prints tokens per second of one core and the ratio, ours over plain.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.upcycle_steps import SMALL_WIDTH, configuration, random_trainer
from upcycle.checkpoint.hf_export import hf_config
from upcycle.training.trainer import Trainer

LENGTH, SEQUENCES = 256, 4


def plain_step(trainer: Trainer) -> Callable[[], object]:
    """Return a function that takes a step of transformers' class on the trainer's shape and text."""
    import transformers

    hf: Any = transformers
    settings = hf_config(trainer.model.spec, "F32")
    settings = {key: value for key, value in settings.items() if key not in ("architectures", "model_type", "dtype")}
    config = hf.Qwen2MoeConfig(**{**settings, "output_router_logits": True, "router_aux_loss_coef": 0.01})
    config.use_cache = False
    model = hf.AutoModelForCausalLM.from_config(config, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), fused=True)
    slices = trainer.batches(0)

    def step() -> None:
        for batch in slices:
            loss = model(input_ids=batch.tokens, position_ids=batch.positions, labels=batch.tokens).loss
            (loss / len(slices)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure(hidden: int, rounds: int) -> dict[str, float]:
    """Take steps of both in turns.

    Args:
        hidden: Width of the hidden states.
        rounds: Steps of each, after one to warm up.

    Returns:
        Tokens per second of both, and the ratio.
    """
    config = configuration(
        LENGTH,
        SEQUENCES,
        disciplines=4,
        train_joint={  # without the exact counts over slices, which transformers' loop has not either
            "tokens": 4 * LENGTH * SEQUENCES,
            "batch_tokens": 2 * LENGTH * SEQUENCES,
            "balance_counts": "running",
        },
        trainer={"dtype": "float32", "checkpointing": False, "threads": 1},
    )
    shape = {**SMALL_WIDTH, "hidden_size": hidden, "intermediate_size": 4 * hidden, "num_hidden_layers": 2}
    shape["vocab_size"] = 2048
    trainer = random_trainer(config, shape, "train_joint")
    ways: dict[str, Callable[[], object]] = {"ours": trainer.update, "plain": plain_step(trainer)}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, step in ways.items():
            started = time.process_time()
            step()
            if number:
                taken[name].append(time.process_time() - started)
    tokens = config.train_joint.batch_tokens
    speed = {f"{name} tokens per second": tokens / min(seconds) for name, seconds in taken.items()}
    return {**speed, "ours over plain": min(taken["plain"]) / min(taken["ours"])}


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(options.hidden, options.rounds)
    print("  ".join(f"{name} {value:,.2f}" for name, value in found.items()))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
